"""An attestation is an operator's word: shown as such, taken back at will, never the end of system:masters."""

import pytest

from custody.books import ask, check_books, contents, tell
from custody.fleets import ANNA, BERT, NOW, Fleet
from kubecustody.core.errors import OperatorError
from kubecustody.core.times import format_time
from kubecustody.pki.certificates import load_certificates
from pki.openssl import Made, Openssl

WORD = "bindings deleted by hand, ticket 4711"
ENDS = "2036-01-01T00:00:00Z"


def fingerprint(made: Made) -> str:
    return load_certificates(made.certificate)[0].fingerprint_hex


def serial(made: Made) -> str:
    return load_certificates(made.certificate)[0].serial


@pytest.fixture
def held(fleet: Fleet, annas: Made, berts: Made) -> Fleet:
    """Anna and Bert hold a certificate each."""
    for made in (annas, berts):
        fleet.take(made.certificate)
    fleet.new_events()
    return fleet


def spellings(made: Made) -> list[dict[str, str]]:
    colons = ":".join(fingerprint(made)[at : at + 2] for at in range(0, 64, 2)).upper()
    return [
        {"fingerprint": fingerprint(made)},
        {"fingerprint": colons},
        {"serial": serial(made)},
        {"serial": "00:" + serial(made).upper()},
        {"user": ANNA},
        {"user": "Anna"},
        {"user": "anna@example.com"},
    ]


@pytest.mark.parametrize("spelling", range(7))
def test_a_credential_is_attested_by_fingerprint_serial_or_holder(held: Fleet, annas: Made, spelling: int) -> None:
    (row,) = held.attest(**spellings(annas)[spelling], reason=WORD)
    assert (row.fingerprint, row.uid, row.changed, row.remark) == (
        *(fingerprint(annas), ANNA, True),
        "is Removed, attested",
    )
    assert held.state(ANNA) == "Removed"
    assert held.state(BERT) == "Unexpired"
    assert held.new_events() == ["removal_attested"]
    check_books(held.path)


def test_an_attested_removal_is_shown_as_somebodys_word(held: Fleet) -> None:
    held.attest(user=ANNA, reason=WORD)
    row = held.row(ANNA)
    assert (row.cert_state, row.cert_expire_time, row.can_get_in) == ("Removed", ENDS, "unproven")
    assert row.removal_requested_at == format_time(NOW)
    assert "word of test" in str(row.cert_state_reason) and "attested" in str(row.cert_state_reason)
    assert str(row.cert_state_reason).endswith(WORD)
    assert (row.live_credential_count, row.live_credentials) == (0, [])
    assert (row.observed_at, row.reachable) == (None, None)
    assert held.row(ANNA, now=2_082_758_401).can_get_in == "no", "once it has ended by itself, it is no question"


def test_attested_twice_stays_as_the_first_time(held: Fleet, annas: Made) -> None:
    held.attest(user=ANNA, reason=WORD)
    before = contents(held.path)
    (row,) = held.attest(fingerprint=fingerprint(annas), reason="again")
    assert (row.changed, row.remark) == (False, "is Removed already (attested)")
    assert contents(held.path) == before


def test_withdrawn_it_is_again_what_its_certificate_says_and_the_wish_stays(held: Fleet, annas: Made) -> None:
    held.attest(user=ANNA, reason=WORD)
    (row,) = held.withdraw(serial=serial(annas))
    assert (row.changed, row.remark) == (True, "is no longer attested as removed")
    listed = held.row(ANNA)
    assert (listed.cert_state, listed.can_get_in) == ("Unexpired", "unproven")
    assert listed.removal_requested_at == format_time(NOW)
    assert [live.removal_requested_at for live in listed.live_credentials] == [format_time(NOW)]
    assert held.new_events() == ["removal_attested", "removal_withdrawn"]
    (row,) = held.withdraw(user=ANNA)
    assert (row.changed, row.remark) == (False, "has no attestation in force")
    assert held.new_events() == []
    held.attest(user=ANNA, reason="now really")
    assert held.state(ANNA) == "Removed"
    rows = ask(held.path, "SELECT removal_no, kind, actor, reason FROM removals ORDER BY removal_no")
    assert rows == [
        (1, "attested", "test", WORD),
        (2, "withdrawn", "test", "test"),
        (3, "attested", "test", "now really"),
    ]
    check_books(held.path)


def test_a_holders_others_in_the_cluster_keep_the_row_alive(held: Fleet, openssl: Openssl, ca: Made) -> None:
    second = openssl.make(f"/CN={ANNA}-2", by=ca, end="20280101000000Z")
    held.take(second.certificate)
    first = held.attest(user=ANNA)
    assert [row.changed for row in first] == [True, True]
    held.withdraw(fingerprint=fingerprint(second))
    row = held.row(ANNA)
    assert (row.cert_state, row.cert_expire_time) == ("Unexpired", "2028-01-01T00:00:00Z")
    assert row.live_credential_count == 1
    check_books(held.path)


def test_the_reason_names_the_end_that_the_row_names(held: Fleet, openssl: Openssl, ca: Made) -> None:
    """Of two vouched for: one whose own end is later, and one whose chain holds longer."""
    between = openssl.make_ca("/CN=between", by=ca, end="20270101000000Z")
    short = openssl.make(f"/CN={BERT}-1", by=between)
    longer = openssl.make(f"/CN={BERT}-2", by=ca, end="20290101000000Z")
    held.attest(user=BERT)
    held.take(short.certificate + between.certificate)
    held.take(longer.certificate)
    row = held.row(BERT)
    assert row.cert_expire_time == "2029-01-01T00:00:00Z"
    assert str(row.cert_state_reason).endswith("is valid until 2029-01-01T00:00:00Z.")


def test_where_the_newest_ended_and_another_is_removed_nothing_is_said_to_have_ended_that_has_not(
    held: Fleet, openssl: Openssl, ca: Made
) -> None:
    held.attest(user=ANNA)
    newest = openssl.make(f"/CN={ANNA}-2", by=ca, start="20261001000000Z", end="20261101000000Z")
    held.take(newest.certificate)
    row = held.row(ANNA)
    assert (row.cert_state, row.cert_expire_time) == ("Expired", "2026-11-01T00:00:00Z")
    assert row.cert_state_reason == (
        "The newest certificate known here ended at 2026-11-01T00:00:00Z, and no other one lives."
    )
    assert row.can_get_in == "unproven", "the removal of the other one is somebody's word"


def test_system_masters_is_never_attested(held: Fleet, openssl: Openssl, ca: Made) -> None:
    masters = openssl.make("/O=system:masters/CN=admin", by=ca)
    held.take(masters.certificate, holder=ANNA)
    held.new_events()
    rows = {row.fingerprint: row for row in held.attest(user=ANNA)}
    refused = rows[fingerprint(masters)]
    assert not refused.changed and "only a change of the cluster's CA removes it" in refused.remark
    assert held.new_events() == ["removal_attested"], "the other one of hers is"
    row = held.row(ANNA)
    assert (row.cert_state, row.can_get_in) == ("Unexpired", "yes")
    check_books(held.path)


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_without_a_reason_nothing_is_attested_or_withdrawn(held: Fleet, reason: str) -> None:
    before = contents(held.path)
    with pytest.raises(OperatorError, match="needs a reason"):
        held.attest(user=ANNA, reason=reason)
    assert contents(held.path) == before


def observe(fleet: Fleet, *, reachable: bool) -> None:
    tell(fleet.path, "DELETE FROM cluster_observations")
    sql = "INSERT INTO cluster_observations (account_id, cluster_seq, reachable, observed_at) VALUES (?, 1, ?, ?)"
    tell(fleet.path, sql, fleet.account_id, int(reachable), NOW)


def test_a_cluster_that_answers_proves_a_removal_itself(held: Fleet) -> None:
    observe(held, reachable=True)
    before = contents(held.path)
    with pytest.raises(OperatorError, match="prod can be reached: removal there is proved by the cluster"):
        held.attest(user=ANNA)
    assert contents(held.path) == before
    observe(held, reachable=False)
    assert [row.changed for row in held.attest(user=ANNA)] == [True]
    row = held.row(ANNA)
    assert (row.observed_at, row.reachable) == (format_time(NOW), False)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({}, "one of --fingerprint, --serial or --user"),
        ({"user": ANNA, "serial": "1"}, "one of --fingerprint, --serial or --user"),
        ({"user": "carol"}, "no user or role 'carol'"),
        ({"fingerprint": "ab" * 32}, "No credential of prod is meant"),
        ({"fingerprint": "anna"}, "64 hex digits"),
        ({"serial": "1"}, "No credential of prod is meant"),
        ({"serial": ""}, "No credential of prod is meant"),
    ],
)
def test_a_selection_of_nothing_is_told_and_changes_nothing(held: Fleet, selection: dict[str, str], words: str) -> None:
    before = contents(held.path)
    with pytest.raises(OperatorError, match=words):
        held.attest(**selection)
    with pytest.raises(OperatorError, match=words):
        held.withdraw(**selection)
    assert contents(held.path) == before


def test_what_is_nobodys_can_be_attested_too(held: Fleet, openssl: Openssl) -> None:
    foreign = openssl.make("/CN=somebody")
    held.take(foreign.certificate)
    (row,) = held.attest(fingerprint=fingerprint(foreign))
    assert (row.uid, row.changed) == ("", True)
    check_books(held.path)


def test_the_command_tells_what_it_changed(held: Fleet, annas: Made) -> None:
    command = ["admin", "removals", "attest", "--cluster", "prod", "--serial", serial(annas)]
    without = held.installation.command(*command, check=False)
    assert without.returncode == 2 and "--reason" in without.stderr
    done = held.installation.command(*command, "--reason", WORD)
    assert "is Removed, attested" in done.stdout
    assert ask(held.path, "SELECT reason FROM removals") == [(WORD,)]
