"""Certificates made here, judged by openssl and by the chain verdict."""

from pathlib import Path

import pytest

from kubecustody.pki.certificates import key_matches, load_certificates, load_private_key
from kubecustody.pki.issuing import make_ca, make_client_certificate
from kubecustody.pki.trust import assess, load_bundle

from .openssl import Openssl

NOW = 1_795_500_000


def test_a_client_certificate_chains_and_says_what_was_asked(tmp_path: Path, openssl: Openssl) -> None:
    ca = make_ca("kubernetes", NOW, 30)
    pair = make_client_certificate(ca, "2111-1795", ["system:users"], NOW, NOW + 3600)
    (leaf,) = load_certificates(pair.certificate)
    verdict = assess(leaf, [], load_bundle(ca.certificate))
    assert (verdict.vouched, verdict.chain_ends_at) == (True, NOW + 3600)
    assert (leaf.common_name, leaf.organizations) == ("2111-1795", ("system:users",))
    assert (leaf.not_before, leaf.not_after, leaf.extended_key_usage) == (NOW, NOW + 3600, ("1.3.6.1.5.5.7.3.2",))
    assert key_matches(leaf, load_private_key(pair.private_key))
    (tmp_path / "ca.pem").write_bytes(ca.certificate)
    (tmp_path / "leaf.pem").write_bytes(pair.certificate)
    openssl.run(
        *("verify", "-x509_strict", "-purpose", "sslclient", "-attime", str(NOW)),
        *("-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"),
    )


@pytest.mark.parametrize(("fill", "serial"), [(b"\xff", "f" * 32), (b"\x00", "1")])
def test_a_serial_number_is_positive_and_at_most_twenty_octets(fill: bytes, serial: str) -> None:
    (ca,) = load_certificates(make_ca("kubernetes", NOW, 1, random_bytes=lambda count: fill * count).certificate)
    assert ca.serial == serial


def test_repr_of_a_pair_shows_no_key() -> None:
    ca = make_ca("kubernetes", NOW, 1)
    assert "PRIVATE" not in repr(ca)
    assert "PRIVATE" not in f"{ca}"
