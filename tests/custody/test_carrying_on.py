"""Carrying a task on, cluster by cluster: judged anew for each, done once, and not stopped by a worker's death."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from custody.books import ask, check_books, contents, tell
from custody.fleets import ANNA, BERT, NOW, Fleet
from installations import AUTHOR
from kubecustody.catalogue.tasks import CleanUserPermissionsInput, DescribeTaskInfoInput
from kubecustody.core.errors import AccessDenied, AuditNotReadable, CleanForbidden, ClusterNotFound, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller, Origin
from kubecustody.custody.changes import Author, change
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster, purge_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.installation import Custody, open_custody
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import (
    add_access_key,
    add_principal,
    delete_access_key,
    delete_principal,
    set_access_key_disabled,
    set_principal_disabled,
)
from kubecustody.custody.sessions import begin_session, end_sessions
from kubecustody.custody.tasks import (
    LEASE_SECONDS,
    Due,
    carry_on,
    clean_user_permissions,
    describe_task_info,
    give_up_on_next,
    lease_due_task,
)
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.server.task_runner import TaskRunner
from pki.openssl import Made

FULL = "AliyunCSFullAccess"
ROLE = "3111"
REQUEST_ID = "00000000-0000-4000-8000-000000000002"


@dataclass
class Crew:
    """Anna, who leaves, holds a certificate in each of some clusters; Bert may clean; workers carry his tasks on."""

    fleet: Fleet
    clusters: list[str] = field(default_factory=list)
    key: str = ""

    def __post_init__(self) -> None:
        self.fleet.change(set_attachment, FULL, attached=True, user="bert")
        self.key = self.fleet.change(add_access_key, "bert").access_key_id

    def bert(self, *, address: str = "127.0.0.1") -> Caller:
        return self.caller(BERT, "user", self.key, address=address)

    def caller(self, uid: str, kind: str, key: str, session: Any = None, address: str = "127.0.0.1") -> Caller:
        ((version,),) = ask(
            self.fleet.path, "SELECT iam_version FROM accounts WHERE account_id = ?", self.fleet.account_id
        )
        return Caller(
            self.fleet.account_id,
            uid,
            kind,
            key,
            "local",
            version,
            1,
            1,
            session=session,
            origin=Origin(address, secure=False),
        )

    def begin(
        self,
        caller: Caller | None = None,
        clusters: list[str] | None = None,
        *,
        uid: str = ANNA,
        force: bool = True,
        now: float = NOW,
    ) -> str:
        caller = caller or self.bert()
        request = CleanUserPermissionsInput(uid, clusters, force)

        async def work(custody: Custody) -> str:
            author = Author(caller.actor, REQUEST_ID)
            answer = await change(
                custody.store,
                caller.account_id,
                author,
                now,
                lambda unit: clean_user_permissions(custody, unit, caller, request),
            )
            return answer.task_id

        return str(self.fleet.installation.run(work))

    def lease(self, worker: str, now: float = NOW) -> Due | None:
        found = self.fleet.installation.run(lambda custody: lease_due_task(custody, worker, now))
        assert found is None or isinstance(found, Due)
        return found

    def step(self, due: Due, now: float = NOW) -> bool:
        return bool(self.fleet.installation.run(lambda custody: carry_on(custody, due, now)))

    def finish(self, worker: str = "one", now: float = NOW) -> None:
        """One worker does all that is due."""

        async def work(custody: Custody) -> None:
            while (due := await lease_due_task(custody, worker, now)) is not None:
                while await carry_on(custody, due, now):
                    pass

        self.fleet.installation.run(work)

    def info(self, task_id: str) -> Any:
        read = partial(describe_task_info, caller=self.bert(), request=DescribeTaskInfoInput(task_id), _=NOW)
        return self.fleet.installation.run(lambda custody: custody.store.read(read))

    def lines(self, task_id: str) -> list[str]:
        return [one.status for one in self.info(task_id).task_result]

    def codes(self, task_id: str) -> list[str]:
        sql = "SELECT code FROM task_results WHERE task_id = ? ORDER BY cluster_seq"
        return [code for (code,) in ask(self.fleet.path, sql, task_id)]

    def wished(self) -> list[bool]:
        """Whether the removal of what Anna holds was asked for, by cluster."""
        sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE uid = ? ORDER BY cluster_seq"
        return [bool(wish) for (wish,) in ask(self.fleet.path, sql, ANNA)]

    def deny(self, action: str, *clusters: str) -> None:
        where = [f"acs:cs:*:*:cluster/{cluster}" for cluster in clusters]
        statement = {"Effect": "Deny", "Action": action, "Resource": where}
        self.fleet.change(put_policy, "not-there", json.dumps({"Version": "1", "Statement": [statement]}))
        self.fleet.change(set_attachment, "not-there", attached=True, user="bert")


@pytest.fixture
def crew(fleet: Fleet, ca: Made, annas: Made) -> Iterator[Crew]:
    crew = Crew(fleet)
    for name in ("prod", "stage", "test", "edge"):
        if name != "prod":
            fleet.add_cluster(name, ca.certificate)
        fleet.take_one(annas.certificate, cluster=name)
        ((cluster,),) = ask(fleet.path, "SELECT cluster_id FROM clusters WHERE name = ?", name)
        crew.clusters.append(cluster)
    fleet.new_events()
    yield crew
    check_books(fleet.path)


def refused(crew: Crew, error: type[Exception], *arguments: Any, **named: Any) -> Any:
    """The error of a call, once it was checked that nothing changed."""
    before = contents(crew.fleet.path)
    with pytest.raises(error) as caught:
        crew.begin(*arguments, **named)
    assert contents(crew.fleet.path) == before
    return caught.value


# --- taking a call


def test_a_task_cleans_in_every_cluster_where_something_may_live(crew: Crew, ca: Made) -> None:
    crew.fleet.add_cluster("empty", ca.certificate)
    crew.fleet.new_events()
    task_id = crew.begin()
    assert crew.info(task_id).state == "running" and crew.lines(task_id) == ["waiting"] * 4
    assert crew.wished() == [False] * 4
    crew.finish(now=NOW + 5)
    assert crew.info(task_id).state == "success" and crew.lines(task_id) == ["success"] * 4
    assert crew.wished() == [True] * 4
    assert crew.fleet.new_events() == ["task_begun", *["removal_requested"] * 4, "task_ended"]
    sql = (
        "SELECT DISTINCT actor, request_id FROM events WHERE kind IN ('task_begun', 'removal_requested', 'task_ended')"
    )
    assert ask(crew.fleet.path, sql) == [(f"acs:ram::{crew.fleet.account_id}:user/{BERT}", REQUEST_ID)]


def test_only_the_clusters_that_were_named_are_cleaned(crew: Crew) -> None:
    task_id = crew.begin(clusters=[crew.clusters[2], crew.clusters[0], crew.clusters[2]])
    crew.finish()
    assert [one.data for one in crew.info(task_id).task_result] == [crew.clusters[0], crew.clusters[2]]
    assert crew.wished() == [True, False, True, False]


def test_who_holds_nothing_anywhere_is_clean_at_once(crew: Crew) -> None:
    crew.fleet.add_user("carl", "2113")
    task_id = crew.begin(uid="2113")
    crew.finish()
    assert (crew.info(task_id).state, crew.lines(task_id)) == ("success", [])


def test_what_is_refused_begins_nothing(crew: Crew) -> None:
    assert "caller" in refused(crew, CleanForbidden, uid=BERT).whom
    assert "account" in refused(crew, CleanForbidden, uid=crew.fleet.account_id).whom
    account = crew.caller(crew.fleet.account_id, "account", crew.fleet.installation.key.access_key_id)
    assert "account" in refused(crew, CleanForbidden, account, uid=crew.fleet.account_id).whom
    assert refused(crew, UserNotFound, uid="299").uid == "299"
    assert refused(crew, ClusterNotFound, clusters=[crew.clusters[0], "c-none"]).cluster_id == "c-none"
    assert refused(crew, AuditNotReadable, force=False).cluster_id in crew.clusters
    assert refused(crew, AuditNotReadable, clusters=[crew.clusters[1]], force=False).cluster_id == crew.clusters[1]


@pytest.mark.parametrize("action", ["cs:CleanUserPermissions", "cs:CleanClusterUserPermissions", "cs:clean*"])
def test_a_cluster_in_which_the_caller_may_not_fails_and_the_others_succeed(crew: Crew, action: str) -> None:
    crew.deny(action, crew.clusters[1])
    task_id = crew.begin()
    assert crew.lines(task_id) == ["waiting", "failed", "waiting", "waiting"]
    crew.finish()
    assert crew.lines(task_id) == ["success", "failed", "success", "success"]
    told = crew.info(task_id)
    assert (told.state, told.error.code) == ("fail", "StatusForbidden")
    assert crew.wished() == [True, False, True, True]


def test_a_caller_who_may_in_none_of_the_clusters_is_refused(crew: Crew) -> None:
    crew.deny("cs:CleanClusterUserPermissions", *crew.clusters[:2])
    refused(crew, AccessDenied, clusters=crew.clusters[:2])
    crew.deny("cs:CleanClusterUserPermissions", "*")
    refused(crew, AccessDenied)


def test_the_account_cleans_anybody_in_every_cluster(crew: Crew) -> None:
    account = crew.caller(crew.fleet.account_id, "account", crew.fleet.installation.key.access_key_id)
    task_id = crew.begin(account)
    crew.finish()
    assert crew.info(task_id).state == "success" and crew.wished() == [True] * 4


# --- the same call again


def test_the_same_call_names_the_running_task(crew: Crew) -> None:
    task_id = crew.begin(clusters=crew.clusters[:2])
    before = contents(crew.fleet.path)
    for clusters in (crew.clusters[:2], crew.clusters[1::-1], [*crew.clusters[:2], crew.clusters[0]]):
        assert crew.begin(clusters=clusters, now=NOW + 3) == task_id
    assert contents(crew.fleet.path) == before
    crew.finish()
    assert crew.begin(clusters=crew.clusters[:2]) != task_id


def test_another_caller_user_or_choice_of_clusters_begins_another_task(crew: Crew) -> None:
    crew.fleet.add_user("carl", "2113")
    crew.fleet.change(set_attachment, FULL, attached=True, user="carl")
    carls = crew.fleet.change(add_access_key, "carl").access_key_id
    account = crew.caller(crew.fleet.account_id, "account", crew.fleet.installation.key.access_key_id)
    begun = [
        crew.begin(),
        crew.begin(clusters=crew.clusters),
        crew.begin(clusters=crew.clusters[:1]),
        crew.begin(account),
        crew.begin(crew.caller("2113", "user", carls)),
        crew.begin(uid="2113"),
        crew.begin(uid="2113", force=False),  # there is nothing to look at
    ]
    assert len(set(begun)) == len(begun)
    crew.finish()


def test_two_sessions_of_a_role_are_two_callers(crew: Crew) -> None:
    crew.fleet.change(add_principal, kind=PrincipalKind.ROLE, name="cleaner", uid=ROLE)
    crew.fleet.change(set_attachment, FULL, attached=True, user="cleaner")
    first_one = f"acs:cs:*:*:cluster/{crew.clusters[0]}"
    statements = [
        {"Effect": "Allow", "Action": "cs:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "cs:*", "Resource": first_one},
    ]
    narrow = json.dumps({"Version": "1", "Statement": statements})
    narrowed, wide = (
        crew.fleet.change(begin_session, "cleaner", name="ci", seconds=900, policy=policy).session
        for policy in (narrow, "")
    )
    first = crew.begin(crew.caller(ROLE, "role", narrowed.access_key_id, narrowed))
    second = crew.begin(crew.caller(ROLE, "role", wide.access_key_id, wide))
    assert first != second
    assert crew.begin(crew.caller(ROLE, "role", wide.access_key_id, wide)) == second
    crew.finish()
    assert crew.lines(first) == ["failed", "success", "success", "success"]
    assert crew.lines(second) == ["success"] * 4


# --- judged again

Gone = Callable[[Crew], Any]
GOES: dict[str, tuple[Gone, str]] = {
    "key disabled": (
        lambda crew: crew.fleet.change(set_access_key_disabled, crew.key, disabled=True),
        "InvalidAccessKeyId.Inactive",
    ),
    "key deleted": (lambda crew: crew.fleet.change(delete_access_key, crew.key), "InvalidAccessKeyId.NotFound"),
    "user disabled": (
        lambda crew: crew.fleet.change(set_principal_disabled, "bert", disabled=True),
        "InvalidAccessKeyId.Inactive",
    ),
    "user deleted": (lambda crew: crew.fleet.change(delete_principal, "bert"), "InvalidAccessKeyId.NotFound"),
    "policy detached": (
        lambda crew: crew.fleet.change(set_attachment, FULL, attached=False, user="bert"),
        "StatusForbidden",
    ),
    "denied since": (lambda crew: crew.deny("cs:CleanUserPermissions", "*"), "StatusForbidden"),
}


@pytest.mark.parametrize("what", GOES)
def test_what_goes_between_the_lines_stops_the_rest(crew: Crew, what: str) -> None:
    goes, code = GOES[what]
    task_id = crew.begin()
    due = crew.lease("one")
    assert due is not None and crew.step(due) and crew.wished() == [True, False, False, False]
    goes(crew)
    crew.finish()
    assert crew.lines(task_id) == ["success", "failed", "failed", "failed"]
    assert crew.codes(task_id) == ["", code, code, code]
    assert crew.info(task_id).state == "fail" and crew.wished() == [True, False, False, False]


def test_a_policy_that_comes_back_lets_the_rest_go_on(crew: Crew) -> None:
    task_id = crew.begin()
    due = crew.lease("one")
    assert due is not None
    for attached in (False, True):
        crew.fleet.change(set_attachment, FULL, attached=attached, user="bert")
        assert crew.step(due)
    crew.finish()
    assert crew.lines(task_id) == ["failed", "success", "success", "success"]


def test_conditions_are_asked_of_the_address_that_the_call_came_from(crew: Crew) -> None:
    inside = {"IpAddress": {"acs:SourceIp": "192.0.2.0/24"}}
    statement = {"Effect": "Allow", "Action": "cs:*", "Resource": "*", "Condition": inside}
    crew.fleet.change(put_policy, "inside", json.dumps({"Version": "1", "Statement": [statement]}))
    crew.fleet.change(set_attachment, FULL, attached=False, user="bert")
    crew.fleet.change(set_attachment, "inside", attached=True, user="bert")
    refused(crew, AccessDenied, crew.bert(address="198.51.100.1"))
    task_id = crew.begin(crew.bert(address="192.0.2.1"))
    crew.finish()
    assert crew.lines(task_id) == ["success"] * 4


def test_a_condition_on_the_time_ends_a_task_that_lasts_longer(crew: Crew) -> None:
    until = {"DateLessThan": {"acs:CurrentTime": format_time(NOW + 10)}}
    statement = {"Effect": "Allow", "Action": "cs:*", "Resource": "*", "Condition": until}
    crew.fleet.change(put_policy, "until", json.dumps({"Version": "1", "Statement": [statement]}))
    crew.fleet.change(set_attachment, FULL, attached=False, user="bert")
    crew.fleet.change(set_attachment, "until", attached=True, user="bert")
    task_id = crew.begin()
    due = crew.lease("one")
    assert due is not None and crew.step(due, NOW + 9)
    crew.finish(now=NOW + 10)
    assert crew.lines(task_id) == ["success", "failed", "failed", "failed"]


def session_task(crew: Crew) -> str:
    crew.fleet.change(add_principal, kind=PrincipalKind.ROLE, name="cleaner", uid=ROLE)
    crew.fleet.change(set_attachment, FULL, attached=True, user="cleaner")
    session = crew.fleet.change(begin_session, "cleaner", name="ci", seconds=900).session
    return crew.begin(crew.caller(ROLE, "role", session.access_key_id, session))


def test_a_task_of_a_session_is_finished_after_the_sessions_own_end(crew: Crew) -> None:
    task_id = session_task(crew)
    crew.finish(now=NOW + 5000)
    assert crew.lines(task_id) == ["success"] * 4
    sql = "SELECT DISTINCT actor FROM events WHERE kind = 'removal_requested'"
    assert ask(crew.fleet.path, sql) == [(f"acs:ram::{crew.fleet.account_id}:assumed-role/{ROLE}/ci",)]


@pytest.mark.parametrize(
    ("goes", "code"),
    [
        (lambda crew: crew.fleet.change(end_sessions, "cleaner"), "InvalidSecurityToken.Expired"),
        (
            lambda crew: crew.fleet.change(set_principal_disabled, "cleaner", disabled=True),
            "InvalidAccessKeyId.Inactive",
        ),
        (lambda crew: crew.fleet.change(delete_principal, "cleaner"), "InvalidAccessKeyId.NotFound"),
    ],
    ids=["ended", "disabled", "deleted"],
)
def test_a_task_of_a_session_stops_with_what_ends_the_session(crew: Crew, goes: Gone, code: str) -> None:
    task_id = session_task(crew)
    goes(crew)
    crew.finish()
    assert crew.codes(task_id) == [code] * 4 and crew.wished() == [False] * 4


@pytest.mark.parametrize(
    ("goes", "code"), [(delete_cluster, "ErrorClusterState"), (None, "ErrorClusterNotFound")], ids=["deleted", "purged"]
)
def test_a_cluster_that_goes_meanwhile_fails_alone(crew: Crew, goes: Any, code: str) -> None:
    task_id = crew.begin()
    crew.fleet.change(delete_cluster, "stage")
    if goes is None:
        crew.fleet.attest("stage", user=ANNA)
        crew.fleet.change(purge_cluster, crew.clusters[1])
    crew.finish()
    assert crew.codes(task_id) == ["", code, "", ""]


def test_a_deleted_clusters_line_says_so(crew: Crew) -> None:
    crew.fleet.change(delete_cluster, "edge")
    task_id = crew.begin()
    crew.finish()
    assert crew.lines(task_id) == ["success", "success", "success", "failed"]
    (event,) = [one for one in crew.info(task_id).events if one.level == "error"]
    assert (event.reason, event.source) == ("ErrorClusterState", crew.clusters[3]) and "deleted" in event.message


# --- workers


def test_a_task_is_one_workers_until_its_lease_ends(crew: Crew) -> None:
    task_id = crew.begin()
    first = crew.lease("one")
    assert first is not None and crew.step(first) and crew.step(first, NOW + 20)
    # Each step renews the lease.
    assert crew.lease("two", NOW + 20 + LEASE_SECONDS - 1) is None
    assert crew.lines(task_id) == ["success", "success", "waiting", "waiting"]
    second = crew.lease("two", NOW + 20 + LEASE_SECONDS)
    assert second is not None and second.worker == "two"
    # Who comes back from a long pause finds that it is another's now.
    at = NOW + 21 + LEASE_SECONDS
    before = contents(crew.fleet.path)
    assert crew.step(first, at) is False
    assert crew.fleet.installation.run(lambda custody: give_up_on_next(custody, first, at)) is False
    assert contents(crew.fleet.path) == before
    crew.finish("two", at)
    assert crew.lines(task_id) == ["success"] * 4
    assert crew.fleet.new_events() == ["task_begun", *["removal_requested"] * 4, "task_ended"]


def test_a_task_that_is_over_is_nobodys(crew: Crew) -> None:
    crew.begin()
    crew.finish()
    assert crew.lease("one") is None and ask(crew.fleet.path, "SELECT * FROM leases") == []


def test_two_runners_over_one_store_do_no_line_twice(crew: Crew) -> None:
    tasks = [crew.begin(clusters=[cluster]) for cluster in crew.clusters] + [crew.begin()]

    async def work(custody: Custody) -> None:
        store, another = await open_custody(crew.fleet.installation.settings)
        runners = [TaskRunner(one, lambda: NOW, lambda _: None) for one in (custody, another)]
        try:
            for runner in runners:
                runner.wake()
            await ended(crew, tasks)
        finally:
            for runner in runners:
                await runner.close()
            store.close()

    crew.fleet.installation.run(work)
    assert [set(crew.lines(task)) for task in tasks] == [{"success"}] * 5
    events = crew.fleet.new_events()
    # Anna holds one credential in each cluster; a second task in it asks nothing anew.
    assert events.count("removal_requested") == 4 and events.count("task_ended") == 5


async def ended(crew: Crew, tasks: list[str], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        (running,) = ask(crew.fleet.path, "SELECT COUNT(*) FROM tasks WHERE state = 'running'")[0]
        if not running:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"still running: {tasks}")


@pytest.mark.parametrize("done", [0, 1, 3, 4])
def test_another_worker_goes_on_where_one_was_killed(crew: Crew, done: int) -> None:
    task_id = crew.begin()
    first = crew.lease("one")
    assert first is not None
    for _ in range(done):
        assert crew.step(first)
    assert crew.lines(task_id).count("success") == done
    crew.finish("two", NOW + LEASE_SECONDS - 1)
    assert crew.lines(task_id).count("success") == done
    crew.finish("two", NOW + LEASE_SECONDS)
    assert crew.info(task_id).state == "success"
    events = crew.fleet.new_events()
    assert (events.count("removal_requested"), events.count("task_ended")) == (4, 1)


def run_until_quiet(crew: Crew) -> None:
    """A runner looks once, and does what it finds."""

    async def work(custody: Custody) -> None:
        runner = TaskRunner(custody, lambda: NOW, lambda _: None)
        runner.wake()
        assert runner._working is not None
        async with asyncio.timeout(20):
            await runner._working

    crew.fleet.installation.run(work)


def test_an_unforeseen_failure_in_one_cluster_is_one_failed_line(crew: Crew, caplog: pytest.LogCaptureFixture) -> None:
    task_id = crew.begin()
    # As a damaged index would: whatever touches Anna's credential of the second cluster fails.
    tell(
        crew.fleet.path,
        "CREATE TRIGGER broken BEFORE UPDATE ON credentials WHEN OLD.cluster_seq = 2 "
        "BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    run_until_quiet(crew)
    tell(crew.fleet.path, "DROP TRIGGER broken")
    assert crew.lines(task_id) == ["success", "failed", "success", "success"]
    assert crew.codes(task_id) == ["", "InternalError", "", ""]
    assert crew.wished() == [True, False, True, True] and crew.info(task_id).state == "fail"
    assert sum("unforeseen" in record.message for record in caplog.records) == 1


def test_a_task_whose_end_fails_is_tried_again_later_and_not_without_pause(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = crew.begin()
    tell(
        crew.fleet.path,
        "CREATE TRIGGER broken BEFORE UPDATE ON tasks WHEN NEW.state <> 'running' "
        "BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    run_until_quiet(crew)
    assert sum("unforeseen" in record.message for record in caplog.records) == 1
    assert crew.lines(task_id) == ["success"] * 4 and crew.info(task_id).state == "running"
    tell(crew.fleet.path, "DROP TRIGGER broken")
    crew.finish("two", NOW + LEASE_SECONDS)
    assert crew.info(task_id).state == "success"


# --- many clusters


def test_a_leaver_of_five_hundred_clusters_is_cleaned_in_each(crew: Crew, ca: Made, annas: Made) -> None:
    candidates = read_candidates(annas.certificate, "file")

    async def settle(custody: Custody) -> None:
        for number in range(496):
            fields = ClusterFields(name=f"many-{number}", client_ca=ca.certificate)
            cluster = await add_cluster(custody, crew.fleet.account_id, AUTHOR, NOW, fields)
            await import_credentials(custody, crew.fleet.account_id, AUTHOR, NOW, candidates, which_cluster=cluster)

    crew.fleet.installation.run(settle)
    task_id = crew.begin()
    started = time.monotonic()
    run_until_quiet(crew)
    seconds = time.monotonic() - started
    assert crew.lines(task_id) == ["success"] * 500 and crew.wished() == [True] * 500
    assert seconds < 30, f"500 clusters took {seconds:.1f} s"
