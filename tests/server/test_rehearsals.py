"""DryRun: each operation that removes tells beforehand what it would do, and does nothing."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from homes import CLEAN, CLEAN_ONE, FULL, GET, READ_ONLY, REVOKE, Home, served_home
from wire import Answer, Pair

from custody.books import ask as rows_of
from custody.books import contents, tell
from kubecustody.catalogue.model import Effect
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import members_of
from kubecustody.custody.clusters import ClusterFields, add_cluster, set_cluster
from kubecustody.custody.principals import NewAccessKey
from kubecustody.custody.signers import make_signer

DRY = ("DryRun", "true")
FORCE = ("Force", "true")
MASTERS = "UPDATE credentials SET masters = 1 WHERE uid = ? AND cluster_seq = ?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("rehearsals"), clusters=3, key_burst="5000", account_burst="9000") as home:
        home.add("full", FULL)
        home.add("reader", READ_ONLY)
        yield home


def leaver(home: Home, *clusters: int) -> NewAccessKey:
    """Somebody who holds a kubeconfig in each of these clusters, and is permitted something there and everywhere."""
    key = home.add(f"leaver-{len(home.people)}", FULL)
    for number in clusters:
        assert home.ask(key, GET, home.clusters[number]).status == 200
    body = [
        *({"cluster": home.clusters[number], "role_type": "cluster", "role_name": "dev"} for number in clusters),
        {"cluster": "", "role_type": "all-clusters", "role_name": "ops"},
    ]
    assert home.ask("account", "GrantPermissions", uid=key.uid, body=body).status == 200
    return key


def rehearsed(home: Home, operation: str, key: NewAccessKey, *query: Pair, cluster: str = "", who: Any = "full") -> Any:
    """The rehearsal, which left every row as it was."""
    before = contents(home.path)
    answer = home.ask(who, operation, cluster, uid=key.uid, query=(DRY, *query))
    assert answer.status == 200, answer.body
    assert contents(home.path) == before
    return answer.json["rehearsal"]


def wished(home: Home, key: NewAccessKey) -> list[str]:
    sql = "SELECT lower(hex(fingerprint)) FROM credentials WHERE uid = ? AND removal_requested_at IS NOT NULL"
    return [name for (name,) in rows_of(home.path, f"{sql} ORDER BY cluster_seq", key.uid)]


def done(home: Home, answer: Answer) -> None:
    """Wait for the task that was begun."""
    deadline = time.monotonic() + 20
    while home.ask("full", "DescribeTaskInfo", task_id=answer.json["task_id"]).json["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_operation_that_removes_can_be_rehearsed() -> None:
    removing = [one for one in OPERATIONS if Effect.REMOVES in one.effects and one.name != "ManageCluster"]
    assert {one.name for one in removing} == {CLEAN, CLEAN_ONE, REVOKE, "RevokeCredential", "RemoveCluster"}
    for operation in removing:
        assert [one for one in members_of(operation.input) if one.wire_name == "DryRun" and one.default is False]


def test_a_clean_of_one_cluster_is_told_and_then_done_as_told(home: Home) -> None:
    key = leaver(home, 0, 1)
    told = rehearsed(home, CLEAN_ONE, key, FORCE, cluster=home.clusters[0])
    (credential,) = told["credentials"]
    assert (credential["cluster_id"], credential["cluster_name"]) == (home.clusters[0], "cluster-0")
    assert (credential["cert_state"], credential["prospect"]) == ("Unexpired", "wish")
    assert told["permissions"] == [
        {"cluster_id": home.clusters[0], "cluster_name": "cluster-0", "namespace": "", "role_name": "dev"}
    ]
    answer = home.ask("full", CLEAN_ONE, home.clusters[0], uid=key.uid, query=(FORCE,))
    assert (answer.status, answer.json) == (200, {})
    assert wished(home, key) == [credential["fingerprint"]]
    again = rehearsed(home, CLEAN_ONE, key, FORCE, cluster=home.clusters[0])
    assert again["permissions"] == [] and len(again["credentials"]) == 1  # it lives on, and could be asked for again


def test_a_clean_of_everything_is_told_with_what_is_permitted_everywhere_and_what_is_refused(home: Home) -> None:
    closed = home.installation.change(add_cluster, ClusterFields(name="closed", public_endpoint="https://203.0.113.9"))
    home.installation.change(make_signer, closed)
    key = leaver(home, 0, 1, 2)
    assert home.ask(key, GET, closed).status == 200
    tell(home.path, MASTERS, key.uid, 2)
    home.installation.change(set_cluster, home.clusters[2], ClusterFields(attest_on_clean=True))
    home.installation.change(set_cluster, closed, ClusterFields(told_state="deleting"))
    try:
        told = rehearsed(home, CLEAN, key, FORCE)
        assert {one["cluster_name"]: one["prospect"] for one in told["credentials"]} == {
            "cluster-0": "wish",
            "cluster-1": "lives_on",
            "cluster-2": "attestation",
        }
        permissions = [(one["cluster_name"], one["role_name"]) for one in told["permissions"]]
        assert permissions == [("", "ops"), ("cluster-0", "dev"), ("cluster-1", "dev"), ("cluster-2", "dev")]
        assert [(one["cluster_id"], one["code"]) for one in told["refused"]] == [(closed, "ErrorClusterState")]
        done(home, home.ask("full", CLEAN, uid=key.uid, query=(FORCE,)))
        assert wished(home, key) == [one["fingerprint"] for one in told["credentials"]]
        states = "SELECT removed_by FROM credentials WHERE uid = ? ORDER BY cluster_seq"
        assert rows_of(home.path, states, key.uid) == [(None,), (None,), ("attested",), (None,)]
    finally:
        home.installation.change(set_cluster, home.clusters[2], ClusterFields(attest_on_clean=False))


def test_a_rehearsal_begins_no_task_and_names_none_that_runs(home: Home) -> None:
    key = leaver(home, 0)
    answer = home.ask("full", CLEAN, uid=key.uid, query=(FORCE, DRY))
    assert answer.json["task_id"] == "" and answer.json["request_id"] == answer.header("x-acs-request-id")
    assert rows_of(home.path, "SELECT COUNT(*) FROM tasks WHERE uid = ?", key.uid) == [(0,)]


def test_revoking_ones_own_is_told_without_a_new_one(home: Home) -> None:
    key = leaver(home, 1)
    told = rehearsed(home, REVOKE, key, cluster=home.clusters[1], who=key)
    assert len(told["credentials"]) == 1 and told["permissions"] == told["refused"] == []
    answer = home.ask(key, REVOKE, home.clusters[1])
    assert (answer.status, answer.json) == (200, {})
    assert wished(home, key) == [told["credentials"][0]["fingerprint"]]


@pytest.mark.parametrize("operation", [CLEAN, CLEAN_ONE])
def test_what_refuses_the_act_refuses_its_rehearsal(home: Home, operation: str) -> None:
    key, cluster = leaver(home, 0), home.clusters[0]
    full = home.people["full"].uid
    for who, uid, query, code in (
        ("full", key.uid, (), "ErrorAuditNotReadable"),
        ("full", full, (FORCE,), "ForbiddenCleanUserPermissions"),
        ("full", "424242", (FORCE,), "EntityNotExist.User"),
        ("reader", key.uid, (FORCE,), "StatusForbidden"),
    ):
        act = home.ask(who, operation, cluster, uid=uid, query=query)
        rehearsal = home.ask(who, operation, cluster, uid=uid, query=(*query, DRY))
        assert home.refusal(act, code) == home.refusal(rehearsal, code)


# --- who somebody is


def test_people_are_found_by_name_and_id_in_any_case(home: Home) -> None:
    uid = home.people["reader"].uid
    for who in ("reader", "READER", uid):
        told = home.ask("account", "DescribeUser", Who=who).json
        assert told == {"uid": uid, "name": "reader", "display_name": "reader", "type": "user", "state": "Active"}
    assert home.ask("reader", "DescribeUser", Who="full").status == 200
    home.refusal(home.ask("full", "DescribeUser", Who="reader"))
    for nobody in ("nobody-here", "999999", "%00", "a%20b", "%E2%80%AE"):
        home.refusal(home.ask("account", "DescribeUser", Who=nobody), "EntityNotExist.User")
    stranger = home.second_account()
    home.refusal(home.ask(stranger, "DescribeUser", Who="reader"), "EntityNotExist.User")
