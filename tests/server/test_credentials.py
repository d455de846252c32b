"""ListCredentials, DescribeCredential and RevokeCredential: one credential at a time, found, looked at and ended."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from homes import EXPIRE, FULL, GET, READ_ONLY, Home, served_home
from wire import Answer, Pair

from custody.books import ask as rows_of
from custody.books import contents, tell
from kubecustody.core.times import format_time
from kubecustody.custody.principals import NewAccessKey, delete_principal

LIST = "ListCredentials"
LOOK = "DescribeCredential"
KILL = "RevokeCredential"
REASON = ("Reason", "found in a public repository")
DAY = 86_400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(
        tmp_path_factory.mktemp("credentials"), clusters=3, key_burst="5000", account_burst="9000"
    ) as home:
        home.add("reader", READ_ONLY)
        home.add("full", FULL)
        home.allow("killer", {"Action": "kubecustody:*"})
        yield home


def person(home: Home, *clusters: int, minutes: int | None = None) -> NewAccessKey:
    """Somebody new who holds a kubeconfig in these clusters."""
    key = home.add(f"person-{len(home.people)}", FULL)
    for number in clusters:
        get(home, key, number, minutes)
    return key


def get(home: Home, key: NewAccessKey, cluster: int, minutes: int | None = None) -> None:
    query = () if minutes is None else (("TemporaryDurationMinutes", str(minutes)),)
    assert home.ask(key, GET, home.clusters[cluster], query=query).status == 200


def page(home: Home, *query: Pair, who: str = "killer") -> Any:
    answer = home.ask(who, LIST, query=query)
    assert answer.status == 200, answer.body
    return answer.json


def listed(home: Home, *query: Pair, size: int = 500) -> list[Any]:
    """Every entry, over all pages."""
    found: list[Any] = []
    token = ""
    while True:
        told = page(home, *query, ("MaxResults", str(size)), *([("NextToken", token)] if token else []))
        assert len(told["credentials"]) <= size
        found += told["credentials"]
        if not (token := told.get("next_token", "")):
            return found


def one_of(home: Home, key: NewAccessKey) -> Any:
    (found,) = listed(home, ("Uid", key.uid))
    return found


def look(home: Home, row: Any) -> Any:
    answer = home.ask("killer", LOOK, row["cluster_id"], Credential=row["fingerprint"])
    assert answer.status == 200, answer.body
    return answer.json


def kill(home: Home, row: Any, *query: Pair, who: str = "killer") -> Answer:
    return home.ask(who, KILL, row["cluster_id"], query=(REASON, *query), Credential=row["fingerprint"])


def faults(home: Home, *query: Pair) -> str:
    return home.refusal(home.ask("killer", LIST, query=query), "InvalidParameter")


def fits(row: Any, query: dict[str, str]) -> bool:
    return (
        query.get("Uid", row["uid"]) == row["uid"]
        and query.get("ClusterId", row["cluster_id"]) == row["cluster_id"]
        and (query.get("State") != "Live" or row["cert_state"] in ("Unexpired", "Unknown"))
    )


# --- the list


def test_a_credential_is_listed_with_its_facts_and_its_holder(home: Home) -> None:
    key = person(home, 1)
    row = one_of(home, key)
    ((cn, not_after),) = rows_of(home.path, "SELECT cn, not_after FROM credentials WHERE uid = ?", key.uid)
    assert len(row["fingerprint"]) == 64 and row["serial"]
    assert {name: row[name] for name in row if name not in ("fingerprint", "serial", "not_before", "issued_at")} == {
        "common_name": cn,
        "organizations": ["system:users"],
        "uid": key.uid,
        "holder_name": "person-" + str(len(home.people) - 1),
        "holder_state": "Active",
        "cluster_id": home.clusters[1],
        "cluster_name": "cluster-1",
        "cluster_state": "running",
        "cert_state": "Unexpired",
        "can_get_in": "unproven",
        "cert_expire_time": format_time(not_after),
        "origin": "issued",
        "masters": False,
        "removal_requested_at": None,
        "removed_at": None,
        "removed_by": "",
    }


@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_pages_of_any_size_and_filter_hold_each_credential_once(home: Home, size: int) -> None:
    key = person(home, 0, 1, 2)
    for minutes in (15, 30, 60):
        get(home, key, 1, minutes)
    everything = listed(home)
    sql = "SELECT lower(hex(fingerprint)) FROM credentials ORDER BY credential_no"
    assert [row["fingerprint"] for row in everything] == [name for (name,) in rows_of(home.path, sql)]
    for query in ([], [("Uid", key.uid)], [("ClusterId", home.clusters[1])], [("State", "Live")]):
        found = [row["fingerprint"] for row in listed(home, *query, size=size)]
        assert len(found) == len(set(found))
        assert set(found) == {row["fingerprint"] for row in everything if fits(row, dict(query))}, query
    both = listed(home, ("Uid", key.uid), ("ClusterId", home.clusters[1]), size=size)
    assert len(both) == 4 and {row["cluster_id"] for row in both} == {home.clusters[1]}


def test_states_and_ends_and_deleted_holders_are_filters(home: Home) -> None:
    key, gone = person(home, 0, minutes=60), person(home, 0, 1)
    home.installation.change(delete_principal, gone.uid)
    ours = [("Uid", key.uid)]
    soon, late = format_time(int(time.time()) + 1800), format_time(int(time.time()) + 7200)
    assert len(listed(home, *ours, ("State", "Unexpired"))) == len(listed(home, *ours, ("ExpiresBefore", late))) == 1
    assert not listed(home, *ours, ("ExpiresBefore", soon)) and not listed(home, *ours, ("State", "Expired"))
    assert {row["uid"] for row in listed(home, ("DeletedHolders", "true"))} == {gone.uid}
    assert listed(home, ("Uid", gone.uid))[0]["holder_state"] == "Deleted"
    tell(home.path, "UPDATE credentials SET not_after = 1, vouched_until = 1 WHERE uid = ?", key.uid)
    try:
        assert [row["cert_state"] for row in listed(home, *ours, ("State", "Expired"))] == ["Expired"]
        assert not listed(home, *ours, ("State", "Live"))
    finally:
        tell(home.path, "DELETE FROM credentials WHERE uid = ?", key.uid)
        tell(home.path, "DELETE FROM holdings WHERE uid = ?", key.uid)


def test_a_credential_is_found_by_fingerprint_and_by_serial_however_they_are_written(home: Home) -> None:
    key = person(home, 2)
    row = one_of(home, key)
    pairs = ":".join(row["fingerprint"][at : at + 2] for at in range(0, 64, 2)).upper()
    for value in (row["fingerprint"], row["fingerprint"].upper(), pairs):
        assert listed(home, ("Fingerprint", value)) == [row]
    for value in (row["serial"], row["serial"].upper(), "00" + row["serial"]):
        assert listed(home, ("Serial", value)) == [row]
    assert listed(home, ("Fingerprint", row["fingerprint"]), ("ClusterId", home.clusters[0])) == []
    assert listed(home, ("Serial", row["serial"]), ("Uid", key.uid)) == [row]
    assert listed(home, ("Fingerprint", "0" * 64)) == listed(home, ("Serial", "1")) == []


def test_bad_filters_are_named_all_at_once(home: Home) -> None:
    told = faults(home, ("Fingerprint", "xyz"), ("Serial", "q"), ("ExpiresBefore", "tomorrow"))
    assert "Fingerprint" in told and "Serial" in told and "ExpiresBefore" in told
    for name, value in (("State", "Unissued"), ("MaxResults", "0"), ("MaxResults", "501"), ("NextToken", "1.2")):
        assert name in faults(home, (name, value))
    assert "NextToken" in faults(home, ("NextToken", "1"), ("Uid", home.people["full"].uid))
    home.refusal(home.ask("killer", LIST, query=(("Uid", "12345"),)), "EntityNotExist.User")
    home.refusal(home.ask("killer", LIST, query=(("ClusterId", "c" * 33),)), "ErrorClusterNotFound")


def test_full_access_of_the_provider_does_not_reach_what_is_ours_and_reading_ends_nothing(home: Home) -> None:
    row = one_of(home, person(home, 0))
    home.refusal(home.ask("full", LIST))
    home.refusal(kill(home, row, who="full"))
    assert page(home, who="reader")["credentials"]
    home.refusal(kill(home, row, ("DryRun", "true"), who="reader"))


def test_another_account_sees_none_of_it(home: Home) -> None:
    row = one_of(home, person(home, 0))
    stranger = home.second_account()
    assert home.ask(stranger, LIST).json == {"credentials": []}
    assert home.ask(stranger, LIST, query=(("Fingerprint", row["fingerprint"]),)).json == {"credentials": []}
    home.refusal(home.ask(stranger, LIST, query=(("Uid", row["uid"]),)), "EntityNotExist.User")
    for operation, query in ((LOOK, ()), (KILL, (REASON,))):
        answer = home.ask(stranger, operation, row["cluster_id"], query=query, Credential=row["fingerprint"])
        home.refusal(answer, "ErrorClusterNotFound")


# --- one of them


def test_a_look_tells_who_was_given_the_key_and_when(home: Home) -> None:
    key = person(home, 0)
    row = one_of(home, key)
    account = home.installation.account_id
    fetched = home.ask("account", "DescribeSubaccountK8sClusterUserConfig", home.clusters[0], uid=key.uid)
    told = look(home, row)
    assert {name: told[name] for name in row} == row
    assert [one["kind"] for one in told["events"]] == ["private_key_disclosed"] * 2 + ["credential_issued"]
    by_whom = [f"acs:ram::{account}:root", f"acs:ram::{account}:user/{key.uid}"]
    assert [one["actor"] for one in told["key_disclosures"]] == by_whom
    assert told["key_disclosures"][0]["request_id"] == fetched.header("x-acs-request-id")
    assert (told["private_key"], told["prospect"], told["evidence"], told["removals"]) == ("kept", "wish", [], [])
    assert told["cert_state_reason"].startswith("A certificate chains")


def test_no_answer_holds_a_secret(home: Home) -> None:
    key = person(home)
    kubeconfig = yaml.safe_load(home.ask(key, GET, home.clusters[0]).json["config"])
    secret = base64.b64decode(kubeconfig["users"][0]["user"]["client-key-data"]).decode()
    row = one_of(home, key)
    text = json.dumps([look(home, row), page(home), kill(home, row, ("DryRun", "true")).json])
    assert "PRIVATE KEY" not in text and secret.splitlines()[1] not in text and key.secret not in text


def test_what_is_no_credential_of_the_cluster_is_told(home: Home) -> None:
    row = one_of(home, person(home, 0))
    for cluster, credential, code in (
        (home.clusters[1], row["fingerprint"], "ErrorCredentialNotFound"),
        (home.clusters[0], "0" * 64, "ErrorCredentialNotFound"),
        (home.clusters[0], "deadbeef", "ErrorCredentialNotFound"),
        (home.clusters[0], "nothing-hex", "InvalidParameter"),
        ("c" * 33, row["fingerprint"], "ErrorClusterNotFound"),
    ):
        home.refusal(home.ask("killer", LOOK, cluster, Credential=credential), code)
        home.refusal(home.ask("killer", KILL, cluster, query=(REASON,), Credential=credential), code)


def test_a_serial_number_that_two_have_is_refused_with_their_fingerprints(home: Home) -> None:
    first, second = (one_of(home, person(home, 0)) for _ in range(2))
    number = "SELECT credential_no FROM credentials WHERE fingerprint = ?"
    tell(
        home.path,
        f"UPDATE certificates SET serial = ? WHERE credential_no = ({number})",
        first["serial"],
        bytes.fromhex(second["fingerprint"]),
    )
    told = home.refusal(
        home.ask("killer", KILL, home.clusters[0], query=(REASON,), Credential=first["serial"]),
        "ErrorCredentialAmbiguous",
    )
    assert first["fingerprint"] in told and second["fingerprint"] in told
    tell(
        home.path,
        f"UPDATE certificates SET serial = ? WHERE credential_no = ({number})",
        second["serial"],
        bytes.fromhex(second["fingerprint"]),
    )


# --- ending one


def test_one_credential_is_ended_and_nothing_else(home: Home) -> None:
    key = person(home, 0, 1)
    get(home, key, 0, 15)
    account = home.people["account"]
    grant = [{"cluster": home.clusters[0], "role_type": "cluster", "role_name": "dev"}]
    assert home.ask(account, "GrantPermissions", uid=key.uid, body=grant).status == 200
    expire = {"expire_hour": 100, "user": key.uid}
    assert home.ask(account, EXPIRE, home.clusters[0], body=expire).status == 200
    chosen, *rest = listed(home, ("Uid", key.uid))
    answer = kill(home, chosen)
    assert answer.status == 200, answer.body
    told = answer.json
    assert told == {
        "fingerprint": chosen["fingerprint"],
        "uid": key.uid,
        "cluster_id": chosen["cluster_id"],
        "cert_state": "Unexpired",
        "changed": True,
        "removal_requested_at": told["removal_requested_at"],
        "prospect": "wish",
        "outlook": told["outlook"],
    }
    after = listed(home, ("Uid", key.uid))
    assert after[0] == {**chosen, "removal_requested_at": told["removal_requested_at"]} and after[1:] == rest
    assert rows_of(home.path, "SELECT COUNT(*) FROM grants WHERE uid = ?", key.uid) == [(1,)]
    assert rows_of(home.path, "SELECT hours FROM custom_validities WHERE uid = ?", key.uid) == [(100,)]
    event = look(home, after[0])["events"][0]
    assert (event["kind"], event["reason"]) == ("removal_requested", REASON[1])
    assert event["request_id"] == answer.header("x-acs-request-id")


def test_what_was_ended_is_not_handed_out_again(home: Home) -> None:
    key = person(home, 0)
    ended = one_of(home, key)
    assert kill(home, ended).status == 200
    get(home, key, 0)
    newer = [row for row in listed(home, ("Uid", key.uid)) if row["removal_requested_at"] is None]
    assert len(newer) == 1 and newer[0]["fingerprint"] != ended["fingerprint"]


def test_a_second_call_changes_nothing(home: Home) -> None:
    row = one_of(home, person(home, 0))
    first = kill(home, row).json
    before = contents(home.path)
    second = kill(home, row).json
    assert second == {**first, "changed": False} and contents(home.path) == before


def test_that_somebody_else_may_have_the_key_is_recorded_of_what_was_ended_before_too(home: Home) -> None:
    row = one_of(home, person(home, 0))
    first = kill(home, row).json
    rehearsed = kill(home, row, ("Compromised", "true"), ("DryRun", "true")).json
    assert look(home, row)["events"][0]["kind"] == "removal_requested"
    assert kill(home, row, ("Compromised", "true")).json == rehearsed == {**first, "changed": False}
    assert look(home, row)["events"][0]["kind"] == "credential_compromised"


def test_a_rehearsal_tells_the_same_and_changes_nothing(home: Home) -> None:
    row = one_of(home, person(home, 0))
    before = contents(home.path)
    told = kill(home, row, ("DryRun", "true")).json
    assert told["changed"] and told["removal_requested_at"] is None and contents(home.path) == before
    assert {**kill(home, row).json, "removal_requested_at": None} == told


@pytest.mark.parametrize("reason", ["", "   ", None])
def test_a_reason_is_demanded(home: Home, reason: str | None) -> None:
    row = one_of(home, person(home, 0))
    query = () if reason is None else (("Reason", reason),)
    answer = home.ask("killer", KILL, row["cluster_id"], query=query, Credential=row["fingerprint"])
    assert "Reason" in home.refusal(answer, "InvalidParameter")


def test_a_component_of_the_cluster_is_not_ended(home: Home) -> None:
    row = one_of(home, person(home, 0))
    fingerprint = bytes.fromhex(row["fingerprint"])
    tell(home.path, "UPDATE credentials SET cn = 'system:kube-scheduler' WHERE fingerprint = ?", fingerprint)
    told = home.refusal(kill(home, row), "ForbiddenRevokeCredential")
    assert "system:kube-scheduler" in told


def test_a_policy_can_keep_a_cluster_out(home: Home) -> None:
    row = one_of(home, person(home, 2))
    cluster = f"acs:kubecustody:*:*:cluster/{home.clusters[2]}"
    denied = {"Effect": "Deny", "Action": "kubecustody:Revoke*", "Resource": cluster}
    home.allow("careful", {"Action": "kubecustody:*"}, denied)
    home.refusal(kill(home, row, who="careful"))
    assert kill(home, one_of(home, person(home, 1)), who="careful").status == 200
