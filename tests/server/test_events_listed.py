"""ListEvents and ListOwnEvents: what happened, for whom a policy lets see it, from any point on."""

import ast
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from homes import CLEAN_ONE, FULL, GET, READ_ONLY, Home, served_home

from custody.books import ask
from kubecustody.core.events import KINDS
from kubecustody.core.times import format_time
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster, purge_cluster

ALL, OWN = "ListEvents", "ListOwnEvents"
ROWS = 100_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("events")) as home:
        home.add("auditor", READ_ONLY)
        home.allow("anna", {"Action": ["kubecustody:ListOwnEvents", f"cs:{GET}"]})
        home.allow("bert", {"Action": ["kubecustody:ListOwnEvents", f"cs:{GET}"]})
        home.add("cleaner", FULL)
        for who in ("anna", "bert"):
            for cluster in home.clusters:
                assert home.ask(who, GET, cluster).status == 200
        answer = home.ask(
            "cleaner", CLEAN_ONE, home.clusters[0], uid=home.people["anna"].uid, query=(("Force", "true"),)
        )
        assert answer.status == 200, answer.body
        yield home


def listed(home: Home, who: str = "auditor", operation: str = ALL, **query: str) -> list[dict[str, Any]]:
    """Every event of a list, by as many calls as it takes."""
    found: list[dict[str, Any]] = []
    while True:
        answer = home.ask(who, operation, query=tuple(query.items()))
        assert answer.status == 200, answer.body
        found += answer.json["events"]
        if not answer.json["next_token"]:
            return found
        query["NextToken"] = answer.json["next_token"]


def numbers(home: Home, where: str, *values: object) -> list[int]:
    sql = f"SELECT event_no FROM events WHERE account_id = ? AND {where} ORDER BY event_no DESC"
    return [row[0] for row in ask(home.path, sql, home.installation.account_id, *values)]


def nos(events: list[dict[str, Any]]) -> list[int]:
    return [one["event_no"] for one in events]


def test_every_event_is_listed_once_the_newest_first_whatever_the_page(home: Home) -> None:
    for size in ("1", "7", "200"):
        assert nos(listed(home, MaxResults=size)) == numbers(home, "1")


def test_an_event_shows_who_did_what_to_whom_where_and_when(home: Home) -> None:
    (event, *_) = listed(home, Kind="private_key_disclosed")
    bert = home.people["bert"]
    row = ask(home.path, "SELECT * FROM events WHERE event_no = ?", event["event_no"])[0]
    assert event == {
        "event_no": row[1],
        "recorded_at": format_time(row[2] // 1000),
        "occurred_at": format_time(row[3]),
        "kind": "private_key_disclosed",
        "actor": f"acs:ram::{home.installation.account_id}:user/{bert.uid}",
        "request_id": row[6],
        "uid": bert.uid,
        "cluster_id": home.clusters[1],
        "subject": row[9],
        "reason": "",
        "details": row[11],
    }
    assert isinstance(json.loads(event["details"]), dict)


def test_filters_by_person_cluster_kind_and_time_hold_alone_and_together(home: Home) -> None:
    anna = home.people["anna"].uid
    assert nos(listed(home, Uid=anna)) == numbers(home, "uid = ?", anna)
    assert nos(listed(home, ClusterId=home.clusters[1])) == numbers(home, "cluster_seq = 2")
    assert nos(listed(home, Kind="credential_issued")) == numbers(home, "kind = 'credential_issued'")
    both = {"Uid": anna, "Kind": "credential_issued", "ClusterId": home.clusters[0]}
    assert nos(listed(home, **both)) == numbers(
        home, "uid = ? AND kind = 'credential_issued' AND cluster_seq = 1", anna
    )
    times = [row[0] for row in ask(home.path, "SELECT DISTINCT recorded_at_ms / 1000 FROM events")]
    for at in [min(times) - 1, *times, max(times) + 1]:
        told = format_time(at)
        assert nos(listed(home, StartTime=told)) == numbers(home, "recorded_at_ms >= ?", at * 1000)
        assert nos(listed(home, EndTime=told)) == numbers(home, "recorded_at_ms < ?", at * 1000)


def test_a_person_sees_the_events_about_themselves_and_no_others(home: Home) -> None:
    anna = home.people["anna"].uid
    own = listed(home, "anna", OWN)
    assert nos(own) == numbers(home, "uid = ?", anna) and "removal_requested" in {one["kind"] for one in own}
    home.refusal(home.ask("anna", ALL))
    home.refusal(home.ask("anna", ALL, query=(("Uid", anna),)))
    home.refusal(home.ask("cleaner", OWN))
    assert listed(home, "account", OWN)[-1]["kind"] == "account_created"


def test_another_account_sees_none_of_it_and_is_told_no_id(home: Home) -> None:
    stranger = home.second_account()
    answer = home.ask(stranger, ALL)
    assert [one["kind"] for one in answer.json["events"]] == ["access_key_created", "account_created"]
    home.refusal(home.ask(stranger, ALL, query=(("Uid", home.people["anna"].uid),)), "EntityNotExist.User")
    home.refusal(home.ask(stranger, ALL, query=(("ClusterId", home.clusters[0]),)), "ErrorClusterNotFound")


def test_a_purged_cluster_is_still_named_and_found(home: Home) -> None:
    gone = home.installation.change(add_cluster, ClusterFields(name="gone"))
    home.installation.change(delete_cluster, gone)
    home.installation.change(purge_cluster, gone)
    events = listed(home, ClusterId=gone)
    assert [one["kind"] for one in events] == ["cluster_purged", "cluster_deleted", "cluster_added"]
    assert {one["cluster_id"] for one in events} == {gone}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"Kind": "kubeconfig_made"}, "Kind: is 'kubeconfig_made'; it must be one of the"),
        ({"StartTime": "yesterday"}, "StartTime: is 'yesterday'; it must be a time of RFC 3339"),
        ({"StartTime": "2026-11-02T00:00:00Z", "EndTime": "2026-11-01T00:00:00Z"}, "EndTime: is before StartTime"),
        ({"NextToken": "-3"}, "NextToken: is '-3'; it must be next_token of the answer before"),
        ({"EndTime": ""}, "EndTime: is ''; it must be a time of RFC 3339"),
        ({"MaxResults": "201"}, "MaxResults: is 201"),
    ],
)
def test_what_is_wrong_with_a_call_is_said(home: Home, query: dict[str, str], told: str) -> None:
    assert told in home.refusal(home.ask("auditor", ALL, query=tuple(query.items())), "InvalidParameter")


def test_a_hundred_thousand_events_are_listed_as_fast_at_the_end_as_at_the_begin(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with served_home(tmp_path_factory.mktemp("many")) as home:
        home.add("auditor", READ_ONLY)
        before = len(numbers(home, "1"))
        fill(home, before)
        for query in ({}, {"Uid": home.people["auditor"].uid}, {"Kind": "private_key_disclosed"}):
            matching = len(numbers(home, "uid = ?", query["Uid"])) if "Uid" in query else before + ROWS
            seconds = {token: time_of(home, {**query, **token_at(token)}) for token in ("first", "last")}
            assert matching > ROWS // 2 and seconds["last"] < 5 * seconds["first"] + 0.005, (query, seconds)
        empty(home, before)


def fill(home: Home, before: int) -> None:
    """Add events behind the last one, as an evenly busy account leaves them. They are not sealed."""
    uid, now = home.people["auditor"].uid, int(time.time() * 1000)
    account = home.installation.account_id
    rows = (
        (account, before + n, now + n, now // 1000, "private_key_disclosed", "test", "", uid, 1, "", "", "{}")
        for n in range(1, ROWS + 1)
    )
    with closing(sqlite3.connect(home.path, timeout=10)) as connection, connection:
        connection.executemany(f"INSERT INTO events VALUES ({', '.join('?' * 12)})", rows)
        connection.execute("UPDATE accounts SET last_event_no = ? WHERE account_id = ?", (before + ROWS, account))


def empty(home: Home, before: int) -> None:
    with closing(sqlite3.connect(home.path, timeout=10)) as connection, connection:
        connection.execute("DELETE FROM events WHERE event_no > ?", (before,))
        connection.execute("UPDATE accounts SET last_event_no = ?", (before,))


def token_at(place: str) -> dict[str, str]:
    return {"NextToken": "60"} if place == "last" else {}


def time_of(home: Home, query: dict[str, str]) -> float:
    """The best of several calls, in seconds."""
    best = 9.0
    for _ in range(15):
        started = time.perf_counter()
        assert home.ask("auditor", ALL, query=tuple(query.items())).status == 200
        best = min(best, time.perf_counter() - started)
    return best


def test_every_kind_of_event_that_the_program_records_is_explained() -> None:
    kinds: set[str] = set()
    for path in Path(str(files("kubecustody.custody"))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "record":
                told = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                kinds.update(value for value in told if isinstance(value, str))
    assert len(kinds) > 50 and kinds <= set(KINDS)
    assert all(text.endswith(".") for text in KINDS.values())
