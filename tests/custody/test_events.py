"""Every change leaves its events, in its own transaction and under a seal; no event names a person."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from custody.books import ask, check_books, check_events, contents, plain
from custody.fleets import ANNA, NOW, Fleet
from installations import AUTHOR
from kubecustody.core.errors import OperatorError
from kubecustody.core.events import Event
from kubecustody.core.names import PrincipalKind
from kubecustody.custody import clusters, policies, principals
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import ClusterFields
from kubecustody.custody.installation import Custody, add_account
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.certificates import load_certificates
from pki.openssl import Made, Openssl

POLICY = json.dumps(
    {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "cs:ListUserKubeConfigStates", "Resource": "*"}]}
)
NAME, EMAIL, DISPLAY = "canary-name", "canary@example.com", "Canary van den Display"


class Life:
    """All that can be done to an account, each step with the kinds of events that it has to leave."""

    def __init__(self, fleet: Fleet, made: Made, ca: Made, other_ca: Made) -> None:
        self.fleet, self.made, self.ca, self.other_ca = fleet, made, ca, other_ca
        self.key = ""

    def steps(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        """Twice the same where the second time there is nothing left to do, or nothing that may be done."""
        yield from self.people()
        yield from self.policies()
        yield from self.clusters()
        yield from self.credentials()
        yield from self.ends()

    def do(self, use_case: Callable[..., object], *arguments: object, **named: object) -> Callable[[], object]:
        return lambda: self.fleet.change(use_case, *arguments, **named)

    def add_key(self) -> None:
        self.key = self.fleet.change(principals.add_access_key, NAME).access_key_id

    def people(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        person = {"kind": PrincipalKind.USER, "name": NAME, "display_name": DISPLAY, "email": EMAIL}
        yield ["principal_created"], self.do(principals.add_principal, uid=None, **person)
        yield [], self.do(principals.add_principal, **person)
        yield ["principal_created"], self.do(principals.add_principal, kind=PrincipalKind.ROLE, name="canary-role")
        for disabled, kind in ((True, "principal_disabled"), (False, "principal_enabled")):
            yield [kind], self.do(principals.set_principal_disabled, NAME, disabled=disabled)
            yield [], self.do(principals.set_principal_disabled, EMAIL, disabled=disabled)
        yield ["group_created"], self.do(principals.add_group, "operators")
        yield [], self.do(principals.add_group, "Operators")
        yield ["group_member_added"], self.do(principals.set_membership, NAME, "operators", member=True)
        yield [], self.do(principals.set_membership, EMAIL, "operators", member=True)
        yield ["access_key_created"], self.add_key
        for disabled, kind in ((True, "access_key_disabled"), (False, "access_key_enabled")):
            yield [kind], lambda disabled=disabled: self.set_key(disabled)
            yield [], lambda disabled=disabled: self.set_key(disabled)

    def set_key(self, disabled: bool) -> None:
        self.fleet.change(principals.set_access_key_disabled, self.key, disabled=disabled)

    def policies(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        yield ["policy_stored"], self.do(policies.put_policy, "readers", POLICY)
        yield [], self.do(policies.put_policy, "readers", POLICY)
        yield [], self.do(policies.put_policy, "readers", "{}")
        for target in ({"user": NAME}, {"group": "operators"}):
            yield ["policy_attached"], self.do(policies.set_attachment, "readers", attached=True, **target)
            yield [], self.do(policies.set_attachment, "readers", attached=True, **target)
            yield [], self.do(policies.delete_policy, "readers")
            yield ["policy_detached"], self.do(policies.set_attachment, "readers", attached=False, **target)
            yield [], self.do(policies.set_attachment, "readers", attached=False, **target)
        yield ["policy_deleted"], self.do(policies.delete_policy, "readers")
        yield [], self.do(policies.delete_policy, "readers")

    def clusters(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        fields = ClusterFields(name="test", client_ca=self.ca.certificate)
        yield ["cluster_added", "trust_changed"], self.do(clusters.add_cluster, fields, "test-id")
        yield [], self.do(clusters.add_cluster, fields, "test-id")
        yield ["cluster_renamed"], self.do(clusters.set_cluster, "test", ClusterFields(name="stage"))
        for kinds in (["cluster_state_told"], []):
            yield kinds, self.do(clusters.set_cluster, "stage", ClusterFields(told_state="stopped"))
        for kinds in (["cluster_details_changed"], []):
            fields = ClusterFields(public_endpoint="https://stage.example:6443")
            yield kinds, self.do(clusters.set_cluster, "stage", fields)
        for kinds in (["trust_changed"], []):
            fields = ClusterFields(client_ca=self.other_ca.certificate)
            yield kinds, self.do(clusters.set_cluster, "stage", fields)
        yield [], self.do(clusters.purge_cluster, "stage")

    def credentials(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        candidates = read_candidates(self.made.certificate + self.made.key, "canary.kubeconfig")
        keep = {"holder": EMAIL, "keep_private_keys": True}
        yield ["credential_imported"], lambda: self.fleet.take(candidates, "stage", holder=EMAIL)
        yield ["private_key_kept"], lambda: self.fleet.take(candidates, "stage", **keep)
        yield [], lambda: self.fleet.take(candidates, "stage", **keep)
        yield ["removal_attested"], lambda: self.fleet.attest("stage", user=NAME)
        yield [], lambda: self.fleet.attest("stage", user=NAME)
        yield ["removal_withdrawn"], lambda: self.fleet.withdraw("stage", user=EMAIL)
        yield [], lambda: self.fleet.withdraw("stage", user=EMAIL)

    def ends(self) -> Iterator[tuple[list[str], Callable[[], object]]]:
        yield ["cluster_deleted"], self.do(clusters.delete_cluster, "stage")
        yield [], self.do(clusters.delete_cluster, "stage")
        yield [], self.do(clusters.purge_cluster, "stage")  # a credential of it may live
        yield ["removal_attested"], lambda: self.fleet.attest("stage", user=NAME)
        yield ["cluster_purged"], self.do(clusters.purge_cluster, "stage")
        yield [], self.do(clusters.add_cluster, ClusterFields(name="test"), "test-id")
        yield ["access_key_deleted"], lambda: self.fleet.change(principals.delete_access_key, self.key)
        yield [], lambda: self.fleet.change(principals.delete_access_key, self.key)
        yield ["group_member_removed"], self.do(principals.set_membership, NAME, "operators", member=False)
        yield ["group_deleted"], self.do(principals.delete_group, "operators")
        yield [], self.do(principals.delete_group, "operators")
        yield ["principal_deleted"], self.do(principals.delete_principal, NAME)
        yield [], self.do(principals.delete_principal, EMAIL)


@pytest.fixture
def life(fleet: Fleet, openssl: Openssl, ca: Made) -> Life:
    made = openssl.make("/O=devs/CN=canary", by=ca)
    return Life(fleet, made, ca, openssl.make_ca("/CN=other"))


def test_each_change_leaves_exactly_its_events_and_a_refused_or_empty_one_none(life: Life) -> None:
    done = 0
    for kinds, step in life.steps():
        before = contents(life.fleet.path)
        seals = len(before["event_seals"])
        try:
            step()
        except OperatorError:
            assert kinds == []
        after = contents(life.fleet.path)
        assert life.fleet.new_events() == kinds
        assert len(after["event_seals"]) == seals + bool(kinds), "one seal for each change"
        if not kinds:
            assert after == before
        done += 1
    assert done > 60
    check_books(life.fleet.path)


def test_no_event_names_a_person_or_a_file(life: Life) -> None:
    for _, step in life.steps():
        try:
            step()
        except OperatorError:
            continue
    events = ask(life.fleet.path, "SELECT * FROM events")
    assert len(events) > 30
    text = json.dumps(events).lower()
    assert "canary" not in text and "example.com" not in text and "anna" not in text
    held = {row[0] for row in ask(life.fleet.path, "SELECT name FROM personal_names")}
    assert NAME in held, "the name was there all the time, in a table of its own"


def test_an_event_says_who_did_what_to_whom_and_why(fleet: Fleet, annas: Made) -> None:
    author = Author("os:0/root@here", request_id="r-1", reason="ticket 4711")
    fleet.take(annas.certificate, author=author, now=NOW + 0.25)
    event = Event._make(ask(fleet.path, "SELECT * FROM events ORDER BY event_no DESC LIMIT 1")[0])
    leaf = load_certificates(annas.certificate)[0]
    assert event[:10] == (
        *(fleet.account_id, event.event_no, NOW * 1000 + 250, leaf.not_before, "credential_imported"),
        *("os:0/root@here", "r-1", ANNA, 1, f"credential/{leaf.fingerprint_hex}"),
    )
    assert event.reason == "ticket 4711"
    assert json.loads(event.details) == {
        **{"verdict": "chains", "not_after": leaf.not_after, "vouched_until": leaf.not_after},
        **{"trust_epoch": 1, "masters": False},
    }


def test_a_change_that_fails_after_it_wrote_leaves_neither_row_nor_event(fleet: Fleet) -> None:
    before = contents(fleet.path)

    async def work(unit: Change) -> None:
        await principals.principals.add_principal(unit.tx, fleet.account_id, "2999", "user", NOW)
        unit.record("principal_created", uid="2999")
        raise OperatorError("changed my mind")

    with pytest.raises(OperatorError, match="changed my mind"):
        fleet.installation.run(lambda custody: change(custody.store, fleet.account_id, AUTHOR, NOW, work))
    assert contents(fleet.path) == before


def test_a_change_raises_the_data_version_and_one_of_permissions_the_iam_version_too(fleet: Fleet, annas: Made) -> None:
    def versions() -> tuple[int, int]:
        sql = "SELECT data_version, iam_version FROM accounts WHERE account_id = ?"
        data, iam = ask(fleet.path, sql, fleet.account_id)[0]
        return data, iam

    data, iam = versions()
    fleet.take(annas.certificate)
    assert versions() == (data + 1, iam)
    fleet.change(policies.put_policy, "readers", POLICY)
    fleet.change(policies.set_attachment, "readers", attached=True, user=ANNA)
    assert versions() == (data + 3, iam + 2)
    fleet.change(principals.set_principal_disabled, ANNA, disabled=True)
    assert versions() == (data + 4, iam + 3)


# --- the chain


@pytest.fixture
def copied(fleet: Fleet, annas: Made, berts: Made) -> Iterator[sqlite3.Connection]:
    """A copy in memory of a store with events of several changes, to be tampered with."""
    fleet.take([*read_candidates(annas.certificate, "a"), *read_candidates(berts.certificate, "b")])
    fleet.attest(user=ANNA, reason="ticket 4711")
    with plain(fleet.path) as source, closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        source.backup(copy)
        check_events(copy, fleet.account_id)
        yield copy


def broken(connection: sqlite3.Connection) -> bool:
    """Whether the chain of some account does not hold."""
    for (account_id,) in connection.execute("SELECT account_id FROM accounts").fetchall():
        try:
            check_events(connection, account_id)
        except AssertionError:
            return True
    return False


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])


@pytest.mark.parametrize("column", Event._fields)
def test_an_edit_of_any_column_of_any_event_breaks_the_chain(copied: sqlite3.Connection, column: str) -> None:
    value = {"INTEGER": f"{column} + 1000", "TEXT": f"{column} || ' '"}
    kinds = {row[1]: row[2] for row in copied.execute("PRAGMA table_info(events)")}
    for event_no in range(1, count(copied) + 1):
        copied.execute("BEGIN")
        copied.execute(f"UPDATE events SET {column} = {value[kinds[column]]} WHERE event_no = ?", (event_no,))
        assert broken(copied)
        copied.execute("ROLLBACK")
    assert not broken(copied)


def test_the_deletion_of_any_event_breaks_the_chain(copied: sqlite3.Connection) -> None:
    last = count(copied)
    for event_no in range(1, last + 1):
        for close_the_gap in (False, True):
            copied.execute("BEGIN")
            copied.execute("DELETE FROM events WHERE event_no = ?", (event_no,))
            if close_the_gap:
                for later in range(event_no + 1, last + 1):
                    copied.execute("UPDATE events SET event_no = ? WHERE event_no = ?", (later - 1, later))
                copied.execute("UPDATE accounts SET last_event_no = last_event_no - 1")
            assert broken(copied)
            copied.execute("ROLLBACK")
    copied.execute("BEGIN")
    copied.execute("DELETE FROM events WHERE event_no = (SELECT MAX(event_no) FROM events)")
    copied.execute("DELETE FROM event_seals WHERE last_event_no = (SELECT MAX(last_event_no) FROM event_seals)")
    assert broken(copied), "the end of the chain stands in the account's own row"


def test_two_events_in_each_others_place_break_the_chain(copied: sqlite3.Connection) -> None:
    for first in range(1, count(copied)):
        copied.execute("BEGIN")
        for old, new in ((first, 0), (first + 1, first), (0, first + 1)):
            copied.execute("UPDATE events SET event_no = ? WHERE event_no = ?", (new, old))
        assert broken(copied)
        copied.execute("ROLLBACK")


def test_an_event_put_in_breaks_the_chain(copied: sqlite3.Connection) -> None:
    columns = ", ".join(name for name in Event._fields if name != "event_no")
    last = f"SELECT event_no + 1, {columns} FROM events ORDER BY event_no DESC LIMIT 1"
    copied.execute(f"INSERT INTO events (event_no, {columns}) {last}")
    copied.execute("UPDATE accounts SET last_event_no = last_event_no + 1")
    assert broken(copied)


def test_each_account_has_a_chain_of_its_own(fleet: Fleet) -> None:
    async def found(custody: Custody) -> str:
        return await add_account(custody, AUTHOR, NOW, name="other", region_id="local", account_id="1999")

    other = Fleet(fleet.installation, fleet.installation.run(found))
    other.add_user("anna", ANNA)
    fleet.add_cluster("more")
    assert other.new_events() == ["account_created", "principal_created"]
    assert fleet.new_events() == ["cluster_added"]
    check_books(fleet.path)
