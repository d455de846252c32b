"""DescribeRequestError: what went wrong in a failed request, told to who may know and to nobody else."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import Home, Who, served_home
from wire import Answer, call

from custody.books import ask as rows_of
from installations import make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import set_delegated_admin
from kubecustody.store.failed_requests import FailedRequest, add_failed_requests, find_failed_request

ASK, DETAIL, REGISTER = "DescribeRequestError", "DescribeClusterDetail", "RegisterCluster"
ABSENT = "c0000000000000000000000000000000f"
CANARY = "canary-Zm9vYmFyYmF6"
EVERYTHING = {"Action": ["cs:*", "kubecustody:*"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("failed"), clusters=1) as home:
        home.put("everything", EVERYTHING)
        for name in ("anna", "bert"):
            home.add(name, "everything")
        home.add("nobody")
        yield home


def fail(home: Home, who: Who) -> str:
    """The id of a request that failed."""
    answer = home.ask(who, DETAIL, ABSENT)
    assert answer.status == 404
    return answer.header("x-acs-request-id")


def look_up(home: Home, who: Who, request_id: str) -> Answer:
    """What is told of a request, once it is written down."""
    deadline = time.monotonic() + 5
    while (answer := home.ask(who, ASK, RequestId=request_id)).status == 404 and time.monotonic() < deadline:
        if rows_of(home.path, "SELECT 1 FROM failed_requests WHERE request_id = ?", request_id.upper()):
            return home.ask(who, ASK, RequestId=request_id)
        time.sleep(0.05)
    return answer


def test_sender_is_told_what_went_wrong_and_what_to_do(home: Home) -> None:
    before = int(time.time())
    request_id = fail(home, "anna")
    told = look_up(home, "anna", request_id.lower()).json
    assert told["time"] >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before))
    assert told["what_to_do"] and told["meaning"]
    assert {name: told[name] for name in ("failed_request_id", "operation", "method", "path", "status", "code")} == {
        "failed_request_id": request_id,
        "operation": DETAIL,
        "method": "GET",
        "path": f"/clusters/{ABSENT}",
        "status": 404,
        "code": "ErrorClusterNotFound",
    }
    assert ABSENT in told["message"]
    assert told["caller"].endswith(f":user/{home.people['anna'].uid}")


def test_account_and_delegated_administrators_see_everybodys(home: Home) -> None:
    request_id = fail(home, "anna")
    assert look_up(home, "account", request_id).json["code"] == "ErrorClusterNotFound"
    home.add("steward", "everything")
    home.installation.change(set_delegated_admin, "steward", delegated=True)
    assert look_up(home, "steward", request_id).status == 200


def test_who_may_not_see_it_is_told_the_same_as_where_there_is_none(home: Home) -> None:
    request_id = fail(home, "anna")
    assert look_up(home, "anna", request_id).status == 200
    other = home.second_account()
    for who in ("bert", other):
        home.people["asking"] = home.people[who] if isinstance(who, str) else who
        hidden = home.refusal(look_up(home, "asking", request_id), "ErrorRequestNotFound")
        absent = home.refusal(look_up(home, "asking", ABSENT), "ErrorRequestNotFound")
        assert hidden == absent.replace(ABSENT, request_id)
    home.refusal(look_up(home, "bert", fail(home, "account")), "ErrorRequestNotFound")


def test_it_is_an_operation_that_policies_rule(home: Home) -> None:
    request_id = home.ask("nobody", DETAIL, ABSENT).header("x-acs-request-id")
    assert "kubecustody:DescribeRequestError" in home.refusal(look_up(home, "nobody", request_id))
    assert look_up(home, "account", request_id).json["code"] == "StatusForbidden"


def test_session_sees_the_requests_of_its_own_name(home: Home) -> None:
    home.add("porter", "everything", kind=PrincipalKind.ROLE)
    first, second = home.begin("porter", name="one"), home.begin("porter", name="two")
    request_id = fail(home, first)
    assert look_up(home, first, request_id).json["caller"].endswith("/one")
    assert look_up(home, home.begin("porter", name="one"), request_id).status == 200
    home.refusal(look_up(home, second, request_id), "ErrorRequestNotFound")


def test_what_nobody_proved_or_what_succeeded_is_not_kept(home: Home) -> None:
    forged = call(home.server, home.people["anna"], secret=b"another")
    good = home.ask("anna", DETAIL, home.clusters[0])
    assert (forged.code, good.status) == ("SignatureDoesNotMatch", 200)
    look_up(home, "anna", fail(home, "anna"))  # by then the others would be written down
    kept = {row[0] for row in rows_of(home.path, "SELECT request_id FROM failed_requests")}
    assert not kept & {forged.header("x-acs-request-id"), good.header("x-acs-request-id")}


@pytest.mark.parametrize("field", ["query", "body", "header"])
def test_no_secret_of_the_request_is_kept(home: Home, field: str) -> None:
    more: dict[str, Any] = {
        "query": {"query": (("page_size", CANARY), ("detail", f"'{CANARY}\"'"), ("security_token", CANARY))},
        "body": {"body": {"Kubeconfig": f"users: [{{user: {{token: {CANARY}}}}}]", "Name": "x", "DryRun": CANARY}},
        "header": {"added": (("x-secret", CANARY), ("cookie", CANARY))},
    }[field]
    operation = {"query": "ListUserKubeConfigStates", "body": REGISTER, "header": DETAIL}[field]
    failed = home.ask("account", operation, ABSENT, **more)
    assert failed.status in (400, 404)
    told = look_up(home, "account", failed.header("x-acs-request-id"))
    assert told.status == 200 and CANARY not in told.body.decode()
    rows = rows_of(home.path, "SELECT * FROM failed_requests")
    assert rows and CANARY not in str(rows)


def test_hostile_ids_are_not_found(home: Home) -> None:
    for text in ("'", "%22%3Cscript%3E", "%00", "%c3%a9", "a" * 36, "%25"):
        assert home.ask("account", ASK, RequestId=text).status in (400, 404), text
    assert home.ask("account", ASK, RequestId="a" * 37).code == "InvalidParameter"


def test_a_stop_writes_down_what_was_noted(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    with serving(installation) as server:
        home = Home(installation, server, [], {"account": installation.key})
        home.put("full", EVERYTHING)
        request_id = fail(home, "account")
        assert server.stop() == 0
    assert rows_of(home.path, "SELECT request_id FROM failed_requests") == [(request_id,)]


def test_of_each_account_the_newest_are_kept_for_a_time(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)

    def failed(number: int, at: int) -> FailedRequest:
        return FailedRequest(f"R{number}", at, "arn", "Operation", "GET", "/", "StatusForbidden", "no")

    async def work(custody: Custody) -> list[bool]:
        async def add(first: int, last: int, account: str, since: int) -> None:
            rows = [failed(number, number) for number in range(first, last)]
            await custody.store.write(lambda tx: add_failed_requests(tx, account, rows, at_most=100, since=since))

        await add(0, 150, "a", 0)
        await add(0, 10, "b", 0)
        await add(150, 160, "a", 0)
        await add(10, 10, "b", 5)
        wanted = [("a", 59), ("a", 60), ("a", 159), ("b", 4), ("b", 5), ("b", 9)]
        return [
            await custody.store.read(lambda tx, of=of, number=number: find_failed_request(tx, of, f"R{number}"))
            is not None
            for of, number in wanted
        ]

    assert installation.run(work) == [False, True, True, False, True, True]
