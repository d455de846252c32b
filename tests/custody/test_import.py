"""What people hold is taken from any file they have it in, is theirs only where that is proved, and keeps no key."""

import base64
import json
import os
import pty
import select
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from custody.books import ask, check_books, contents
from custody.fleets import ANNA, BERT, NOW, Fleet
from installations import AUTHOR, PROGRAM, Installation
from kubeconfig.conftest import Kubectl
from kubecustody.core.errors import OperatorError, UserNotFound
from kubecustody.custody.imports import ImportRow, Outcome
from kubecustody.custody.installation import add_account
from kubecustody.custody.principals import delete_principal
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.certificates import load_certificates, load_private_key
from kubecustody.pki.issuing import make_ca, make_client_certificate
from pki.openssl import CA, Made, Openssl

ENDS = "2036-01-01T00:00:00Z"
YEAR = 365 * 86400


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path)


def add_user(kubectl: Kubectl, name: str, made: Made) -> None:
    files = (f"--client-certificate={made.certificate_path}", f"--client-key={made.key_path}")
    kubectl.config("set-credentials", name, *files, "--embed-certs")


def facts(row: ImportRow) -> tuple[str, str, str]:
    return row.outcome, row.uid, row.state


TAKEN, KNOWN, REFUSED = Outcome.TAKEN, Outcome.KNOWN, Outcome.REFUSED
ANNAS = (TAKEN, ANNA, "Unexpired")


# --- forms of files


def test_a_kubeconfig_of_kubectl_is_its_holders(fleet: Fleet, kubectl: Kubectl, annas: Made) -> None:
    add_user(kubectl, "anna", annas)
    row = fleet.take_one(kubectl.written)
    assert facts(row) == ANNAS
    assert (row.label, row.common_name, row.remarks) == ("file: anna", f"{ANNA}-1795521600123456789", ())
    assert row.fingerprint == load_certificates(annas.certificate)[0].fingerprint_hex
    assert fleet.new_events() == ["credential_imported"]
    listed = fleet.row(ANNA)
    assert (listed.cert_state, listed.cert_expire_time, listed.can_get_in) == ("Unexpired", ENDS, "unproven")
    assert [live.fingerprint for live in listed.live_credentials] == [row.fingerprint]
    assert fleet.state(BERT) == "Unissued"
    check_books(fleet.path)


def test_pem_der_and_base64_of_either_are_the_same_certificate(fleet: Fleet, annas: Made) -> None:
    pem = annas.certificate
    der = load_certificates(pem)[0].der
    outcomes = [facts(fleet.take_one(data)) for data in (der, pem, base64.b64encode(pem), base64.b64encode(der))]
    assert outcomes == [ANNAS, *[(KNOWN, ANNA, "Unexpired")] * 3]
    assert fleet.new_events() == ["credential_imported"]


def test_each_user_of_a_file_with_several_is_taken_for_themselves(
    fleet: Fleet, kubectl: Kubectl, annas: Made, berts: Made
) -> None:
    add_user(kubectl, "anna", annas)
    add_user(kubectl, "bert", berts)
    add_user(kubectl, "anna-again", annas)
    kubectl.config("set-credentials", "robot", "--token=canary")
    rows = fleet.take(kubectl.written)
    assert {row.label: (row.outcome, row.uid) for row in rows} == {
        "file: anna": (TAKEN, ANNA),
        "file: anna-again": (KNOWN, ANNA),
        "file: bert": (TAKEN, BERT),
        "file: robot": (REFUSED, ""),
    }
    assert fleet.state(ANNA) == fleet.state(BERT) == "Unexpired"
    check_books(fleet.path)


BOMB = "a: &a [x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("users: [{name: anna, user: {client-certificate-data: 'not base64!'}}]", "base64"),
        ("users: [{name: anna, user: {exec: {command: /bin/sh, args: [-c, 'touch canary']}}}]", "never run"),
        (BOMB, "anchor or alias"),
        ("-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n", "not an X.509 certificate"),
        ("hello", "no kubeconfig"),
        ("", "no kubeconfig"),
    ],
)
def test_what_is_no_certificate_is_refused_with_a_reason_and_its_neighbours_are_taken(
    fleet: Fleet, annas: Made, data: str, words: str
) -> None:
    started = time.monotonic()
    candidates = [*read_candidates(data.encode(), "bad"), *read_candidates(annas.certificate, "good")]
    bad, good = fleet.take(candidates)
    assert (bad.label.split(":")[0], bad.outcome, bad.fingerprint) == ("bad", REFUSED, "")
    assert words in bad.remarks[0]
    assert facts(good) == ANNAS
    assert time.monotonic() - started < 5
    assert not Path("canary").exists()


def test_a_file_of_nothing_but_refusals_changes_nothing(fleet: Fleet) -> None:
    before = contents(fleet.path)
    assert [row.outcome for row in fleet.take(b"hello")] == [REFUSED]
    assert contents(fleet.path) == before


# --- whose it is


def test_a_common_name_counts_only_when_the_chain_holds(fleet: Fleet, openssl: Openssl) -> None:
    forged = openssl.make(f"/O=system:users/CN={ANNA}", by=openssl.make_ca("/CN=kubernetes"))
    row = fleet.take_one(forged.certificate)
    assert facts(row) == (TAKEN, "", "Unknown")
    assert "holder is not known" in row.remarks[1]
    assert fleet.state(ANNA) == "Unissued"
    assert fleet.row(ANNA).live_credential_count == 0
    check_books(fleet.path)


@pytest.mark.parametrize("subject", ["/CN=2999", "/CN=anna", "/CN=2111-x", "/CN=kubernetes-admin", "/O=only"])
def test_a_common_name_of_nobody_here_is_nobodys(fleet: Fleet, openssl: Openssl, ca: Made, subject: str) -> None:
    row = fleet.take_one(openssl.make(subject, by=ca).certificate)
    assert (row.outcome, row.uid) == (TAKEN, "")
    assert "--holder" in row.remarks[-1]


def test_what_was_nobodys_is_matched_when_the_right_client_ca_comes(fleet: Fleet, annas: Made, ca: Made) -> None:
    fleet.add_cluster("test")
    fleet.new_events()
    row = fleet.take_one(annas.certificate, "test")
    assert facts(row) == (TAKEN, "", "Unknown")
    assert fleet.new_events() == ["credential_imported"]
    assert fleet.state(ANNA, "test") == "Unissued"
    change = fleet.trust("test", ca.certificate)
    assert (change.epoch, change.judged) == (1, 1)
    assert fleet.new_events() == ["trust_changed", "credential_matched", "verdict_changed"]
    assert fleet.state(ANNA, "test") == "Unexpired"
    check_books(fleet.path)


def test_when_the_client_ca_is_changed_what_it_signed_is_unknown_and_stays_its_holders(
    fleet: Fleet, openssl: Openssl, annas: Made, ca: Made
) -> None:
    fleet.take(annas.certificate)
    fleet.trust("prod", openssl.make_ca("/CN=kubernetes").certificate)
    row = fleet.row(ANNA)
    assert (row.cert_state, row.cert_expire_time, row.can_get_in) == ("Unknown", ENDS, "unproven")
    assert fleet.trust("prod", ca.certificate).epoch == 3
    assert fleet.state(ANNA) == "Unexpired"
    assert fleet.trust("prod", ca.certificate) is None
    check_books(fleet.path)


def test_a_holder_that_is_named_takes_what_no_common_name_claims(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    admin = openssl.make("/O=devs/CN=admin", by=ca)
    assert facts(fleet.take_one(admin.certificate, holder="anna@EXAMPLE.com")) == ANNAS
    foreign = openssl.make("/CN=admin")
    assert facts(fleet.take_one(foreign.certificate, holder="Anna")) == (TAKEN, ANNA, "Unknown")
    check_books(fleet.path)


def test_a_holder_that_a_proved_common_name_contradicts_is_refused(fleet: Fleet, annas: Made, berts: Made) -> None:
    rows = fleet.take([*read_candidates(annas.certificate, "a"), *read_candidates(berts.certificate, "b")], holder=BERT)
    assert [facts(row) for row in rows] == [(REFUSED, "", ""), (TAKEN, BERT, "Unexpired")]
    assert f"it is {ANNA}'s" in rows[0].remarks[0] and "--holder" in rows[0].remarks[0]
    assert ask(fleet.path, "SELECT uid FROM credentials") == [(BERT,)]


def test_a_holder_who_is_deleted_still_holds_what_they_hold(
    fleet: Fleet, openssl: Openssl, annas: Made, ca: Made
) -> None:
    fleet.change(delete_principal, ANNA)
    assert facts(fleet.take_one(annas.certificate)) == ANNAS
    other = openssl.make("/CN=laptop", by=ca)
    assert facts(fleet.take_one(other.certificate, holder=ANNA)) == ANNAS
    assert fleet.state(ANNA) == "Unexpired"


def test_a_holder_or_cluster_that_does_not_exist_takes_nothing(fleet: Fleet, annas: Made) -> None:
    before = contents(fleet.path)
    with pytest.raises(OperatorError, match="no user or role 'carol'"):
        fleet.take(annas.certificate, holder="carol")
    with pytest.raises(OperatorError, match="no cluster 'elsewhere'"):
        fleet.take(annas.certificate, "elsewhere")
    assert contents(fleet.path) == before


def test_what_was_nobodys_gets_the_holder_that_is_named_later_and_keeps_them(fleet: Fleet, openssl: Openssl) -> None:
    foreign = openssl.make("/CN=admin").certificate
    assert fleet.take_one(foreign).uid == ""
    fleet.new_events()
    row = fleet.take_one(foreign, holder=ANNA)
    assert facts(row) == (KNOWN, ANNA, "Unknown")
    assert fleet.new_events() == ["credential_matched"]
    again = fleet.take_one(foreign, holder=BERT)
    assert facts(again) == (KNOWN, ANNA, "Unknown")
    assert f"recorded as {ANNA}'s" in again.remarks[-1]
    assert fleet.new_events() == []
    check_books(fleet.path)


def test_system_masters_is_reported_and_can_get_in(fleet: Fleet, openssl: Openssl, ca: Made) -> None:
    masters = openssl.make("/O=system:masters/CN=kubernetes-admin", by=ca)
    row = fleet.take_one(masters.certificate, holder=ANNA)
    assert facts(row) == ANNAS
    assert "system:masters, which passes every authorizer" in row.remarks[-1]
    assert fleet.row(ANNA).can_get_in == "yes"
    foreign = openssl.make("/O=system:masters/CN=kubernetes-admin")
    fleet.take_one(foreign.certificate, holder=BERT)
    assert fleet.row(BERT).can_get_in == "unproven"


@pytest.mark.parametrize("group", ["kubeadm:cluster-admins", "system:nodes"])
def test_other_groups_beyond_a_persons_rights_are_reported(
    fleet: Fleet, openssl: Openssl, ca: Made, group: str
) -> None:
    row = fleet.take_one(openssl.make(f"/O={group}/O=system:users/CN={ANNA}", by=ca).certificate)
    assert row.remarks == (f"It is of the group {group}.",)
    assert fleet.row(ANNA).can_get_in == "unproven"


# --- again


def test_the_same_import_twice_changes_nothing(fleet: Fleet, kubectl: Kubectl, annas: Made, berts: Made) -> None:
    add_user(kubectl, "anna", annas)
    add_user(kubectl, "bert", berts)
    fleet.take(kubectl.written, keep_private_keys=True)
    before = contents(fleet.path)
    rows = fleet.take(kubectl.written, keep_private_keys=True)
    assert [facts(row) for row in rows] == [(KNOWN, ANNA, "Unexpired"), (KNOWN, BERT, "Unexpired")]
    assert contents(fleet.path) == before, "no event, no row, no version changes"


def test_a_file_with_the_missing_intermediate_completes_the_chain_and_one_without_takes_nothing_back(
    fleet: Fleet, openssl: Openssl, ca: Made
) -> None:
    between = openssl.make("/CN=between", CA, by=ca, end="20270101000000Z")
    leaf = openssl.make(f"/CN={ANNA}", by=between)
    alone, whole = leaf.certificate, leaf.certificate + between.certificate
    assert facts(fleet.take_one(alone)) == (TAKEN, "", "Unknown")
    fleet.new_events()
    row = fleet.take_one(whole)
    assert facts(row) == (KNOWN, ANNA, "Unexpired")
    assert fleet.new_events() == ["credential_matched", "credential_chain_completed"]
    listed = fleet.row(ANNA)
    assert (listed.cert_state, listed.cert_expire_time) == ("Unexpired", "2027-01-01T00:00:00Z")
    assert facts(fleet.take_one(alone)) == (KNOWN, ANNA, "Unexpired")
    assert facts(fleet.take_one(whole)) == (KNOWN, ANNA, "Unexpired")
    assert fleet.new_events() == []
    # What was completed is judged as a whole from then on.
    fleet.trust("prod", ca.certificate + openssl.make_ca("/CN=second").certificate)
    assert fleet.state(ANNA) == "Unexpired"
    check_books(fleet.path)


# --- keys


def everything_on_disk(fleet: Fleet) -> bytes:
    folder = fleet.installation.settings.data_dir
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def forms_of_key(made: Made) -> list[bytes]:
    """The key as it might lie there in plain: as PEM, its lines, encoded once more, as DER, and the bare number."""
    key = load_private_key(made.key)
    assert isinstance(key, EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32)
    lines = [line for line in made.key.splitlines() if b"-----" not in line]
    twice = base64.b64encode(made.key)
    return [made.key, number, lines[0], lines[1], twice[40:80], twice[80:120], base64.b64decode(b"".join(lines))]


@pytest.mark.parametrize("form", ["kubeconfig", "pem"])
def test_a_private_key_is_never_kept_unasked_and_kept_sealed_when_asked(
    fleet: Fleet, kubectl: Kubectl, annas: Made, form: str
) -> None:
    add_user(kubectl, "anna", annas)
    data = kubectl.written if form == "kubeconfig" else annas.key + annas.certificate
    assert facts(fleet.take_one(data)) == ANNAS
    assert ask(fleet.path, "SELECT COUNT(*) FROM private_keys") == [(0,)]
    row = fleet.take_one(data, keep_private_keys=True)
    assert facts(row) == (KNOWN, ANNA, "Unexpired")
    assert "kept, sealed" in row.remarks[-1]
    assert fleet.new_events() == ["credential_imported", "private_key_kept"]
    ((number, sealed),) = ask(fleet.path, "SELECT credential_no, sealed FROM private_keys")

    async def opened(custody: object) -> bytes:
        place = {"table": "private_keys", "column": "sealed", "account_id": fleet.account_id, "row_id": number}
        return custody.sealer.open(sealed, **place)  # type: ignore[attr-defined,no-any-return]

    assert fleet.installation.run(opened) == annas.key
    on_disk = everything_on_disk(fleet)
    assert sealed in on_disk
    assert [form for form in forms_of_key(annas) if form in on_disk] == []


def test_a_key_of_another_certificate_is_not_kept(fleet: Fleet, annas: Made, berts: Made) -> None:
    row = fleet.take_one(annas.certificate + berts.key, keep_private_keys=True)
    assert facts(row) == ANNAS
    assert "belongs to another certificate" in row.remarks[0]
    assert ask(fleet.path, "SELECT COUNT(*) FROM private_keys") == [(0,)]


# --- clusters and accounts


def test_a_certificate_for_two_clusters_of_one_ca_is_held_in_each(fleet: Fleet, annas: Made, ca: Made) -> None:
    fleet.add_cluster("test", ca.certificate)
    assert facts(fleet.take_one(annas.certificate)) == facts(fleet.take_one(annas.certificate, "test")) == ANNAS
    assert [state.cert_state for state in fleet.states(ANNA)] == ["Unexpired", "Unexpired"]
    fleet.attest("test", user=ANNA)
    assert [state.cert_state for state in fleet.states(ANNA)] == ["Unexpired", "Removed"]
    check_books(fleet.path)


def test_clusters_and_people_of_another_account_are_unknown(fleet: Fleet, annas: Made, ca: Made) -> None:
    async def found(custody: object) -> str:
        return await add_account(custody, AUTHOR, NOW, name="other", region_id="local", account_id="1999")  # type: ignore[arg-type]

    other = Fleet(fleet.installation, fleet.installation.run(found))
    cluster_id = other.add_cluster("theirs", ca.certificate)
    other.add_user("carol", "2333")
    for which in ("theirs", cluster_id):
        with pytest.raises(OperatorError, match=f"There is no cluster '{which}'"):
            fleet.take(annas.certificate, which)
    for who in ("carol", "2333"):
        with pytest.raises(OperatorError, match=f"no user or role '{who}'"):
            fleet.take(annas.certificate, holder=who)
    # Anna's CN names nobody there, and what is held there is not seen from here.
    assert other.take_one(annas.certificate, "theirs").uid == ""
    assert other.take_one(annas.certificate, "theirs", holder="carol").uid == "2333"
    assert other.state("2333", "theirs") == "Unexpired"
    with pytest.raises(UserNotFound):
        fleet.states("2333")
    assert [state.cluster_name for state in fleet.states(ANNA)] == ["prod"]
    with pytest.raises(OperatorError, match="No credential of prod is meant"):
        fleet.attest(fingerprint=load_certificates(annas.certificate)[0].fingerprint_hex)
    check_books(fleet.path)


# --- a folder, as a command


def read_terminal(terminal: int, said: list[bytes]) -> None:
    while True:
        try:
            if select.select([terminal], [], [], 60)[0]:
                said.append(os.read(terminal, 65536))
        except OSError:  # the other end is closed
            return


def test_a_folder_of_a_thousand_files_is_taken_with_progress_and_a_report(
    installation: Installation, tmp_path: Path
) -> None:
    now = int(time.time())
    ca = make_ca("kubernetes", now - 60, 3650)
    fleet = Fleet(installation)
    fleet.add_user("anna", ANNA)
    fleet.add_cluster("prod", ca.certificate)
    folder = tmp_path / "kubeconfigs" / "deeper"
    folder.mkdir(parents=True)
    for number in range(1000):
        if number % 100 == 7:
            (folder / f"{number:04}.txt").write_text("no certificate")
            continue
        pair = make_client_certificate(ca, f"{ANNA}-{number}", ["system:users"], now - 60, now + YEAR)
        (folder / f"{number:04}.pem").write_bytes(pair.certificate + pair.private_key)
    ours, theirs = pty.openpty()
    said: list[bytes] = []
    listener = threading.Thread(target=read_terminal, args=(ours, said))
    listener.start()
    command = [*PROGRAM, "admin", "credentials", "import", "--cluster", "prod", str(folder.parent), "-o", "json"]
    environment = {**installation.environment, "TERM": "xterm"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, timeout=120)
    os.close(theirs)
    listener.join(10)
    os.close(ours)
    shown = b"".join(said).decode()
    assert done.returncode == 1, "something was refused"
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == sorted(str(file) for file in folder.iterdir())
    assert sum(row["outcome"] == "taken" and row["holder"] == ANNA for row in rows) == 990
    assert sum(row["outcome"] == "refused" and "no kubeconfig" in row["remarks"][0] for row in rows) == 10
    assert "Importing" in shown and "/1000" in shown
    assert "990 taken, 0 known, 10 refused" in shown
    assert fleet.row(ANNA, now=now).live_credential_count == 990
    assert ask(fleet.path, "SELECT COUNT(*) FROM private_keys") == [(0,)]
    check_books(fleet.path)


def test_without_a_terminal_the_report_alone_is_on_standard_output(fleet: Fleet, annas: Made, berts: Made) -> None:
    arguments = ["admin", "credentials", "import", "--cluster", "prod", "-o", "json"]
    files = [str(annas.certificate_path), str(berts.certificate_path)]
    done = fleet.installation.command(*arguments, *files)
    assert [row["outcome"] for row in json.loads(done.stdout)] == ["taken", "taken"]
    assert "2 taken, 0 known, 0 refused" in done.stderr
    table = fleet.installation.command("admin", "credentials", "import", "--cluster", "prod", *files)
    assert "known" in table.stdout and ANNA in table.stdout
