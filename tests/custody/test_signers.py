"""Which CA issues for a cluster: made here, imported, or none."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from custody.books import ask, check_books, contents
from custody.fleets import ANNA, NOW, Fleet
from custody.issuers import Issuer, certificate_of
from installations import AUTHOR
from kubecustody.core.errors import OperatorError
from kubecustody.custody.changes import Author
from kubecustody.custody.signers import end_signer, import_signer, make_signer
from kubecustody.pki.certificates import format_certificates
from kubecustody.pki.issuing import PemPair
from pki.openssl import LEAF, Made, Openssl


@pytest.fixture(autouse=True)
def _books(fleet: Fleet) -> Iterator[None]:
    yield
    check_books(fleet.path)


def pair_of(certificate: Made, key: Made | None = None) -> PemPair:
    return PemPair(certificate.certificate, (key or certificate).key)


def refused(fleet: Fleet, words: str, pair: PemPair, author: Author = AUTHOR) -> None:
    before = contents(fleet.path)
    with pytest.raises(OperatorError, match=words) as caught:
        fleet.change(import_signer, "prod", pair, author=author)
    assert "PRIVATE KEY" not in str(caught.value)
    assert contents(fleet.path) == before


def test_a_ca_made_here_is_trusted_beside_those_before(fleet: Fleet, annas: Made) -> None:
    fleet.take_one(annas.certificate)
    made = fleet.change(make_signer, "prod")
    assert made.number == 1 and made.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert fleet.state(ANNA) == "Unexpired"
    ((bundle,),) = ask(fleet.path, "SELECT client_ca FROM trust_bundles ORDER BY epoch DESC LIMIT 1")
    assert bundle.count("BEGIN CERTIFICATE") == 2 and made.certificate in bundle


def test_a_ca_made_here_is_the_first_that_a_cluster_trusts_where_none_was_known(fleet: Fleet) -> None:
    fleet.add_cluster("bare")
    fleet.change(make_signer, "bare")
    assert ask(fleet.path, "SELECT COUNT(*) FROM trust_bundles WHERE cluster_seq = 2") == [(1,)]


def test_its_key_is_sealed_and_in_no_event(fleet: Fleet) -> None:
    fleet.change(make_signer, "prod")
    assert b"PRIVATE KEY" not in repr(contents(fleet.path)).encode()
    assert "signer_set" in fleet.new_events()


def test_an_imported_ca_that_the_cluster_trusts_issues(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    issuer = Issuer(fleet)
    fleet.change(import_signer, "prod", pair_of(ca))
    issued = format_certificates([certificate_of(issuer.get())]).encode()
    at = ("-purpose", "sslclient", "-attime", str(NOW))
    assert openssl.run("verify", *at, "-CAfile", ca.certificate_path, data=issued) == b"stdin: OK\n"
    assert fleet.state(ANNA) == "Unexpired"


def test_a_ca_in_a_file_with_words_beside_it_is_taken(fleet: Fleet, ca: Made) -> None:
    issuer = Issuer(fleet)
    words = "# die Behörde von prod\n".encode()
    fleet.change(import_signer, "prod", PemPair(words + ca.certificate, ca.key))
    assert issuer.get()


def test_a_ca_whose_key_is_anothers_is_refused(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    refused(fleet, "does not belong to its certificate", pair_of(ca, openssl.make_ca()))


def test_a_ca_that_the_cluster_does_not_trust_is_refused(fleet: Fleet, openssl: Openssl) -> None:
    refused(fleet, "--client-ca", pair_of(openssl.make_ca()))


def test_what_is_no_ca_is_refused(fleet: Fleet, openssl: Openssl) -> None:
    refused(fleet, "is no CA", pair_of(openssl.make("/CN=leaf", LEAF)))


def test_a_key_with_a_passphrase_or_none_is_refused(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    locked = openssl.run("pkey", "-in", ca.key_path, "-aes128", "-passout", "pass:secret")
    refused(fleet, "passphrase", PemPair(ca.certificate, locked))
    refused(fleet, "no private key", PemPair(ca.certificate, ca.certificate))


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_nothing_about_issuing_changes(fleet: Fleet, ca: Made, reason: str) -> None:
    author = Author(AUTHOR.actor, reason=reason)
    refused(fleet, "needs a reason", pair_of(ca), author)
    for use_case in (make_signer, end_signer):
        with pytest.raises(OperatorError, match="needs a reason"):
            fleet.change(use_case, "prod", author=author)


def test_a_signer_that_ended_stays_on_record_and_ends_once(fleet: Fleet) -> None:
    fleet.change(make_signer, "prod")
    fleet.change(end_signer, "prod", now=NOW + 5)
    fleet.new_events()
    fleet.change(end_signer, "prod", now=NOW + 9)
    assert fleet.new_events() == []
    rows = ask(fleet.path, "SELECT signer_no, kind, from_at, to_at FROM signers ORDER BY signer_no")
    assert rows == [(1, "ca", NOW, NOW + 5), (2, "none", NOW + 5, None)]
    fleet.change(make_signer, "prod", now=NOW + 10)
    assert Issuer(fleet).get()


# --- the command


def command(fleet: Fleet, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return fleet.installation.command("admin", "clusters", "signer", "prod", *map(str, words), check=False)


def test_the_command_makes_a_ca_and_prints_its_certificate_alone(fleet: Fleet, openssl: Openssl) -> None:
    done = command(fleet, "--make-ca", "--reason", "test")
    assert done.returncode == 0, done.stderr
    assert openssl.run("x509", "-noout", "-subject", data=done.stdout.encode())
    assert "PRIVATE KEY" not in done.stdout + done.stderr and "--client-ca-file" in done.stderr


def test_the_command_imports_a_ca_only_with_its_key(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    done = command(fleet, "--ca", ca.certificate_path, "--reason", "test")
    assert done.returncode != 0 and "--import-ca-key" in done.stderr
    foreign = openssl.make_key()
    done = command(fleet, "--ca", ca.certificate_path, "--import-ca-key", foreign, "--reason", "test")
    assert done.returncode != 0 and "does not belong to its certificate" in done.stderr
    done = command(fleet, "--ca", ca.certificate_path, "--import-ca-key", ca.key_path, "--reason", "test")
    assert done.returncode == 0, done.stderr
    assert command(fleet, "--none", "--make-ca", "--reason", "test").returncode != 0
