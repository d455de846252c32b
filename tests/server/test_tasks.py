"""CleanUserPermissions over many clusters, and what DescribeTaskInfo and DescribeClusterTasks tell of it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, unquote

import pytest
from homes import CLEAN, CLEAN_ONE, FULL, GET, READ_ONLY, Home, served_home
from wire import REQUEST_ID, Answer, Pair, exchange, sign, write_request

from custody.books import ask as rows_of
from custody.books import contents, plain
from installations import serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster
from kubecustody.custody.principals import NewAccessKey, delete_principal
from kubecustody.custody.signers import make_signer

TASK = "DescribeTaskInfo"
TASKS = "DescribeClusterTasks"
ACTIVITY = "DescribeUserClusterActivityState"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("tasks"), clusters=4, key_burst="5000", account_burst="9000") as home:
        home.add("full", FULL)
        home.add("reader", READ_ONLY)
        home.add("nobody")
        yield home


def leaver(home: Home, clusters: list[str] | None = None) -> NewAccessKey:
    """Somebody who holds a kubeconfig in each of these clusters, or in every one."""
    key = home.add(f"leaver-{len(home.people)}", FULL)
    for cluster in home.clusters if clusters is None else clusters:
        assert home.ask(key, GET, cluster).status == 200
    return key


def clean(home: Home, uid: str, *query: Pair, who: str = "full", force: bool = True) -> Answer:
    return home.ask(who, CLEAN, uid=uid, query=(*query, *((("Force", "True"),) if force else ())))


def begin(home: Home, uid: str, *query: Pair, who: str = "full") -> str:
    answer = clean(home, uid, *query, who=who)
    assert answer.status == 200, answer.body
    return str(answer.json["task_id"])


def info(home: Home, task_id: str) -> Any:
    answer = home.ask("full", TASK, task_id=task_id)
    assert answer.status == 200, answer.body
    return answer.json


def ended(home: Home, task_id: str, seconds: float = 20) -> Any:
    """The task's end, which comes without any other call."""
    deadline = time.monotonic() + seconds
    while (told := info(home, task_id))["state"] == "running":
        assert time.monotonic() < deadline, "the task does not end"
        time.sleep(0.05)
    return told


def wished(home: Home, uid: str) -> list[bool]:
    sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE uid = ? ORDER BY cluster_seq"
    return [bool(wish) for (wish,) in rows_of(home.path, sql, uid)]


# --- from the call to the end


def test_a_task_ends_by_itself_in_success_with_a_result_for_each_cluster(home: Home) -> None:
    uid = leaver(home).uid
    answer = clean(home, uid)
    assert set(answer.json) == {"task_id", "request_id"}
    assert answer.json["request_id"] == answer.header("x-acs-request-id") and REQUEST_ID.fullmatch(
        answer.json["request_id"]
    )
    assert re.fullmatch(rf"clean-user-permissions-{uid}-[0-9a-f]+", answer.json["task_id"])
    told = ended(home, answer.json["task_id"])
    assert told["state"] == "success"
    assert told["task_result"] == [{"data": cluster, "status": "success"} for cluster in home.clusters]
    assert told["parameters"] == {"Uid": uid, "ClusterIds": "", "Force": "true"}
    assert told["target"] == {"id": uid, "type": "user"} and told["error"] == {"code": "", "message": ""}
    assert [(one["level"], one["source"]) for one in told["events"]] == [("info", one) for one in home.clusters]
    assert told["task_type"] == "clean-user-permissions" and told["created"] <= told["updated"]
    assert wished(home, uid) == [True] * 4
    kinds = "'removal_requested', 'task_begun', 'task_ended'"
    sql = f"SELECT DISTINCT request_id FROM events WHERE uid = ? AND kind IN ({kinds})"
    assert rows_of(home.path, sql, uid) == [(answer.json["request_id"],)]


def test_who_is_gone_is_cleaned_wherever_something_of_theirs_lives(home: Home) -> None:
    key = leaver(home, home.clusters[1:3])
    home.installation.change(delete_principal, key.uid)
    told = ended(home, begin(home, key.uid))
    assert [one["data"] for one in told["task_result"]] == home.clusters[1:3]
    assert told["state"] == "success" and wished(home, key.uid) == [True, True]


def test_a_role_is_cleaned_as_a_user_is(home: Home) -> None:
    role = home.add("ci", FULL, kind=PrincipalKind.ROLE)
    assert home.ask(role, GET, home.clusters[0]).status == 200
    told = ended(home, begin(home, role.uid))
    assert told["target"] == {"id": role.uid, "type": "role"}
    assert told["cluster_id"] == home.clusters[0] and told["state"] == "success"


def test_a_deleted_cluster_fails_alone_and_the_task_with_it(home: Home) -> None:
    fields = ClusterFields(name="going", public_endpoint="https://203.0.113.99:6443")
    going = home.installation.change(add_cluster, fields)
    home.installation.change(make_signer, going)
    uid = leaver(home, [home.clusters[0], going]).uid
    home.installation.change(delete_cluster, going)
    told = ended(home, begin(home, uid))
    assert told["state"] == "fail"
    assert told["task_result"] == [
        {"data": home.clusters[0], "status": "success"},
        {"data": going, "status": "failed"},
    ]
    assert told["error"]["code"] == "ErrorClusterState" and "deleted" in told["error"]["message"]
    assert [one["reason"] for one in told["events"]] == ["", "ErrorClusterState"]


# --- which clusters


def raw(home: Home, uid: str, query: str) -> Answer:
    """A call with just this query, signed over it as it stands."""
    pairs = [tuple(part.partition("=")[::2]) for part in query.split("&")]
    decoded = [(unquote(name), unquote(value)) for name, value in pairs]
    signed = sign(home.server, home.people["full"], f"/users/{uid}/permissions", decoded, method="DELETE", action=CLEAN)
    path = signed.target.partition("?")[0]
    return exchange(home.server, write_request(signed._replace(target=f"{path}?{query}"), method="DELETE"), "DELETE")


def spellings(first: str, second: str) -> dict[str, str]:
    return {
        "one value": f"ClusterIds={first}%2C{second}",
        "one value, plain comma": f"ClusterIds={first},{second}",
        "numbered": f"ClusterIds.1={first}&ClusterIds.2={second}",
        "numbered backwards": f"ClusterIds.2={second}&ClusterIds.1={first}",
        "with blanks": f"ClusterIds={first}%2C%20{second}",
        "one of them twice": f"ClusterIds={first}%2C{second}%2C{first}",
    }


@pytest.mark.parametrize("spelling", spellings("", ""))
def test_a_list_of_clusters_is_taken_as_sdks_and_the_cli_write_it(home: Home, spelling: str) -> None:
    uid = leaver(home, home.clusters[:3]).uid
    answer = raw(home, uid, f"{spellings(*home.clusters[:2])[spelling]}&Force=true")
    assert answer.status == 200, answer.body
    told = ended(home, answer.json["task_id"])
    assert [one["data"] for one in told["task_result"]] == home.clusters[:2]
    assert wished(home, uid) == [True, True, False]
    assert told["parameters"]["ClusterIds"] == ",".join(sorted(home.clusters[:2]))


@pytest.mark.parametrize(
    "query",
    [
        "ClusterIds={0}&ClusterIds={1}",
        "ClusterIds={0}&ClusterIds={0}",
        "ClusterIds={0}&ClusterIds.1={1}",
        "ClusterIds.1={0}&ClusterIds.1={1}",
        "ClusterIds.1={0}&ClusterIds.3={1}",
        "ClusterIds.0={0}&ClusterIds.1={1}",
        "ClusterIds.2={0}",
        "ClusterIds.01={0}",
        "ClusterIds.one={0}",
        "ClusterIds.={0}",
        "ClusterIds.1.1={0}",
        "ClusterIds=",
        "ClusterIds={0}%2C",
        "ClusterIds=%2C{0}",
        "ClusterIds={0}%2C%2C{1}",
        "ClusterIds=%20",
        "ClusterIds.1=",
        "ClusterIds.1={0}&ClusterIds.2=",
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_by_name_and_nothing_is_cleaned(home: Home, query: str) -> None:
    uid = home.people["reader"].uid
    before = contents(home.path)
    answer = raw(home, uid, query.format(*home.clusters) + "&Force=true")
    assert home.refusal(answer, "InvalidParameter").startswith("ClusterIds")
    assert contents(home.path) == before


def test_a_thousand_clusters_are_taken_and_one_more_is_not(home: Home) -> None:
    uid = home.people["reader"].uid
    listed = [f"c{number:032x}" for number in range(1001)]
    for query in (
        (("ClusterIds", ",".join(listed)),),
        tuple((f"ClusterIds.{n}", one) for n, one in enumerate(listed, 1)),
    ):
        answer = clean(home, uid, *query)
        assert "ClusterIds: has 1001 entries; at most 1000" in home.refusal(answer, "InvalidParameter")
    # A thousand reach the use case, which looks for the first.
    for query in (
        (("ClusterIds", ",".join(listed[1:])),),
        tuple((f"ClusterIds.{n}", one) for n, one in enumerate(listed[1:], 1)),
    ):
        assert listed[1] in home.refusal(clean(home, uid, *query), "ErrorClusterNotFound")


def test_a_cluster_that_never_was_is_told_and_nothing_is_begun(home: Home) -> None:
    uid = leaver(home, home.clusters[:1]).uid
    before = contents(home.path)
    for listed in ("c-none", f"{home.clusters[0]},c-none", home.clusters[0].upper()):
        home.refusal(clean(home, uid, ("ClusterIds", listed)), "ErrorClusterNotFound")
    assert contents(home.path) == before


# --- who may, and whom


def test_without_force_nothing_is_begun_since_no_access_record_is_readable(home: Home) -> None:
    uid = leaver(home, home.clusters[:2]).uid
    before = contents(home.path)
    for query in ((), (("Force", "false"),), (("ClusterIds", home.clusters[1]),)):
        answer = home.ask("full", CLEAN, uid=uid, query=query)
        assert "Force=True" in home.refusal(answer, "ErrorAuditNotReadable")
    assert contents(home.path) == before


def test_neither_oneself_nor_the_account_nor_a_stranger_is_cleaned(home: Home) -> None:
    before = contents(home.path)
    for who, uid, code in (
        ("full", home.people["full"].uid, "ForbiddenCleanUserPermissions"),
        ("full", home.installation.account_id, "ForbiddenCleanUserPermissions"),
        ("account", home.installation.account_id, "ForbiddenCleanUserPermissions"),
        ("full", "299", "EntityNotExist.User"),
        ("full", "", "InvalidParameter"),
        ("full", "x", "InvalidParameter"),
    ):
        home.refusal(clean(home, uid, who=who), code)
    assert contents(home.path) == before


def test_who_may_not_is_told_the_same_of_everybody_and_every_cluster(home: Home) -> None:
    for who in ("nobody", "reader"):
        told = set()
        for uid in (home.people["full"].uid, "299", home.people[who].uid, home.installation.account_id):
            for query in ((), (("ClusterIds", home.clusters[0]),), (("ClusterIds", "c-none"),)):
                answer = clean(home, uid, *query, who=who)
                told.add(home.refusal(answer).replace(answer.header("x-acs-request-id"), ""))
        assert len(told) == 1


@pytest.mark.parametrize("action", ["cs:CleanUserPermissions", "cs:CleanClusterUserPermissions"])
def test_a_deny_on_one_cluster_fails_its_line_and_the_others_succeed(home: Home, action: str) -> None:
    name = f"all-but-one-{len(home.people)}"
    deny = {"Effect": "Deny", "Action": action, "Resource": home.arn(home.clusters[1])}
    home.add(name, FULL, home.put(f"deny-{name}", deny))
    uid = leaver(home).uid
    told = ended(home, begin(home, uid, who=name))
    assert [one["status"] for one in told["task_result"]] == ["success", "failed", "success", "success"]
    assert told["error"]["code"] == "StatusForbidden" and f"deny-{name}" in told["error"]["message"]
    assert wished(home, uid) == [True, False, True, True]
    # Where nothing is left, the call is refused as the one over that cluster alone is.
    before = contents(home.path)
    answer = clean(home, uid, ("ClusterIds", home.clusters[1]), who=name)
    assert home.refusal(answer) and answer.json["AccessDeniedDetail"]["NoPermissionType"] == "ExplicitDeny"
    assert contents(home.path) == before


def test_who_may_not_clean_in_a_cluster_is_not_told_whether_it_exists(home: Home) -> None:
    home.add("in-none", FULL, home.put("in-none", {"Effect": "Deny", "Action": "cs:*", "Resource": home.arn("*")}))
    uid = leaver(home).uid
    told = set()
    for cluster in (home.clusters[0], "c-none"):
        answer = clean(home, uid, ("ClusterIds", cluster), who="in-none")
        told.add(home.refusal(answer).replace(cluster, "").replace(answer.header("x-acs-request-id"), ""))
    assert len(told) == 1


def test_the_act_in_one_cluster_is_no_way_past_a_deny_on_it(home: Home) -> None:
    deny = {"Effect": "Deny", "Action": "cs:CleanClusterUserPermissions"}
    home.add("not-one", FULL, home.put("not-one", deny))
    uid = leaver(home, home.clusters[:1]).uid
    home.refusal(home.ask("not-one", CLEAN_ONE, home.clusters[0], uid=uid, query=(("Force", "true"),)))
    home.refusal(clean(home, uid, who="not-one"))
    assert wished(home, uid) == [False]


def test_the_account_begins_tasks_as_others_do(home: Home) -> None:
    uid = leaver(home, home.clusters[:2]).uid
    assert ended(home, begin(home, uid, who="account"))["state"] == "success"


# --- the same call again


def test_the_same_call_while_it_runs_names_the_same_task_and_reads_go_on(home: Home) -> None:
    uid, other = leaver(home).uid, leaver(home, home.clusters[:1]).uid
    with plain(home.path) as connection:
        with ThreadPoolExecutor(6) as pool:
            first = [pool.submit(begin, home, uid) for _ in range(5)]
            named = {one.result() for one in first}
        # Whichever of them came while it ran, joined it; a later one finds nothing to do.
        assert 1 <= len(named) <= 5
        connection.execute("BEGIN IMMEDIATE")  # the worker waits for this
        try:
            with ThreadPoolExecutor(2) as pool:
                calls = [pool.submit(begin, home, other) for _ in range(2)]
                time.sleep(0.3)
                assert info(home, next(iter(named)))["task_id"] in named
                connection.execute("COMMIT")
                ids = {one.result() for one in calls}
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    for task_id in named | ids:
        assert ended(home, task_id)["state"] == "success"
    sql = "SELECT COUNT(*) FROM events WHERE uid = ? AND kind = 'removal_requested'"
    assert (rows_of(home.path, sql, uid), rows_of(home.path, sql, other)) == ([(4,)], [(1,)])


def test_a_running_task_is_told_as_running_and_joined_by_the_same_call_alone(home: Home) -> None:
    """A worker that has died holds the lease, so that the task stands still."""
    uid = leaver(home).uid
    home.add("second", FULL)
    with plain(home.path) as connection:
        # Whatever task is begun is taken before this server's worker sees it.
        connection.execute(
            "CREATE TRIGGER taken AFTER INSERT ON tasks BEGIN INSERT INTO leases VALUES "
            "('task/' || NEW.account_id || '/' || NEW.task_id, 'dead', unixepoch() + 3600); END"
        )
        try:
            task_id = begin(home, uid)
            told = info(home, task_id)
            assert told["state"] == "running"
            assert told["task_result"] == [{"data": cluster, "status": "waiting"} for cluster in home.clusters]
            assert told["events"] == []
            assert begin(home, uid) == task_id
            others = [
                begin(home, uid, who="second"),
                begin(home, uid, who="account"),
                begin(home, uid, ("ClusterIds", ",".join(home.clusters))),
                begin(home, uid, ("ClusterIds", home.clusters[0])),
                begin(home, home.people["reader"].uid),
            ]
            assert begin(home, uid, ("ClusterIds", ",".join(reversed(home.clusters)))) == others[2]
            assert len({task_id, *others}) == 6
            assert wished(home, uid) == [False] * 4
        finally:
            connection.execute("DROP TRIGGER taken")
            connection.execute("DELETE FROM leases WHERE holder = 'dead'")
    begin(home, home.people["nobody"].uid)  # which wakes the worker
    for one in (task_id, *others):
        assert ended(home, one)["state"] == "success"
    assert wished(home, uid) == [True] * 4


# --- looking


def test_a_task_that_never_was_or_is_anothers_is_unknown(home: Home) -> None:
    uid = leaver(home, home.clusters[:1]).uid
    task_id = begin(home, uid)
    ended(home, task_id)
    stranger = home.second_account()
    for who, wanted in (("full", "none"), ("full", f"clean-user-permissions-{uid}-00"), (stranger, task_id)):
        assert wanted in home.refusal(home.ask(who, TASK, task_id=wanted), "ErrorTaskNotFound")
    assert home.refusal(home.ask(stranger, TASKS, home.clusters[0]), "ErrorClusterNotFound")
    assert home.refusal(home.ask(stranger, CLEAN, uid=uid, query=(("Force", "true"),)), "EntityNotExist.User")
    assert home.refusal(home.ask("nobody", TASK, task_id=task_id)) and home.ask("reader", TASK, task_id=task_id).json


def test_tasks_of_a_cluster_are_paged_by_number_and_by_token(home: Home) -> None:
    cluster = home.clusters[3]
    uid = leaver(home, []).uid
    begun = [begin(home, uid, ("ClusterIds", cluster)) for _ in range(1)]
    for _ in range(5):
        ended(home, begun[-1])
        begun.append(begin(home, uid, ("ClusterIds", cluster)))
    ended(home, begun[-1])
    whole = home.ask("full", TASKS, cluster, query=(("page_size", "100"),))
    assert set(whole.json) == {"tasks", "page_info", "requestId"}
    assert whole.json["requestId"] == whole.header("x-acs-request-id")
    listed = [one["task_id"] for one in whole.json["tasks"]]
    total = whole.json["page_info"]["total_count"]
    assert len(listed) == total == len(set(listed)) and set(begun) <= set(listed)
    created = [one["created"] for one in whole.json["tasks"]]
    assert created == sorted(created, reverse=True)

    by_number: list[str] = []
    for number in range(1, total // 2 + 2):
        page = home.ask("full", TASKS, cluster, query=(("page_number", str(number)), ("page_size", "2"))).json
        assert page["page_info"] == {"page_number": number, "page_size": 2, "total_count": total}
        by_number += [one["task_id"] for one in page["tasks"]]
    assert by_number == listed
    past = home.ask("full", TASKS, cluster, query=(("page_number", "2147483647"), ("page_size", "100"))).json
    assert past["tasks"] == [] and "next_token" not in past

    by_token, token = [], ""
    while True:
        query = (("max_results", "2"), *((("next_token", token),) if token else ()))
        page = home.ask("full", TASKS, cluster, query=query).json
        by_token += [one["task_id"] for one in page["tasks"]]
        if not (token := page.get("next_token", "")):
            break
    assert by_token == listed


@pytest.mark.parametrize(
    "token", ["0", "x", "-1", "1.5", "²", "99999999999999999999", "9" * 19, "2147483648", "1" * 21]
)
def test_a_token_that_no_answer_had_is_refused(home: Home, token: str) -> None:
    answer = home.ask("full", TASKS, home.clusters[0], query=(("next_token", token),))
    assert home.refusal(answer, "InvalidParameter").startswith("next_token")


def test_a_task_of_a_cluster_says_what_failed_in_it(home: Home) -> None:
    name = f"but-{len(home.people)}"
    home.add(
        name,
        FULL,
        home.put(f"d{name}", {"Effect": "Deny", "Action": "cs:Clean*", "Resource": home.arn(home.clusters[2])}),
    )
    task_id = begin(home, leaver(home, home.clusters[1:3]).uid, who=name)
    ended(home, task_id)
    errors = {}
    for cluster in home.clusters[1:3]:
        (row,) = [
            one
            for one in home.ask("full", TASKS, cluster, query=(("page_size", "100"),)).json["tasks"]
            if one["task_id"] == task_id
        ]
        assert row["state"] == "fail"
        errors[cluster] = row["error"]["code"]
    assert errors == {home.clusters[1]: "", home.clusters[2]: "StatusForbidden"}


def test_activity_is_not_readable_of_whom_and_where_it_could_be(home: Home) -> None:
    uid = home.people["full"].uid
    assert home.refusal(home.ask("reader", ACTIVITY, home.clusters[0], uid=uid), "ErrorAuditNotReadable")
    home.refusal(home.ask("reader", ACTIVITY, home.clusters[0], uid="299"), "EntityNotExist.User")
    home.refusal(home.ask("reader", ACTIVITY, "c-none", uid=uid), "ErrorClusterNotFound")
    home.refusal(home.ask("nobody", ACTIVITY, home.clusters[0], uid=uid))


def test_an_id_is_only_a_text(home: Home) -> None:
    for text in ("*", "a'b", "{task_id}", "%00"):
        encoded = text if text.startswith("%") else quote(text, safe="")
        assert home.ask("full", TASK, task_id=encoded).code == "ErrorTaskNotFound"


# --- a server that dies


def test_a_task_of_a_server_that_was_killed_is_ended_by_the_next(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served_home(tmp_path_factory.mktemp("killed"), clusters=3) as home:
        home.add("full", FULL)
        uid = leaver(home).uid
        with plain(home.path) as connection:
            connection.execute(
                "CREATE TRIGGER taken AFTER INSERT ON tasks BEGIN INSERT INTO leases VALUES "
                "('task/' || NEW.account_id || '/' || NEW.task_id, 'dead', unixepoch() + 2); END"
            )
            task_id = begin(home, uid)
            connection.execute("DROP TRIGGER taken")
        home.server.process.kill()
        home.server.process.wait(20)
        time.sleep(2.1)
        with serving(home.installation) as server:
            told = ended(Home(home.installation, server, home.clusters, home.people), task_id)
        assert told["state"] == "success" and wished(home, uid) == [True] * 3


def test_two_workers_share_the_tasks_and_do_no_line_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served_home(tmp_path_factory.mktemp("workers"), clusters=3, workers="2") as home:
        home.add("full", FULL)
        uids = [leaver(home).uid for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda uid: begin(home, uid), uids * 4))
        for task_id in set(begun):
            assert ended(home, task_id)["state"] == "success"
        sql = "SELECT uid, COUNT(*) FROM events WHERE kind = 'removal_requested' GROUP BY uid"
        assert sorted(rows_of(home.path, sql)) == sorted((uid, 3) for uid in uids)
        sql = "SELECT COUNT(*) FROM events WHERE kind = 'task_ended'"
        assert rows_of(home.path, sql) == [(len(set(begun)),)]
