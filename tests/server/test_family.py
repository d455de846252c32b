"""The kubeconfig operations over HTTP: who may, what is answered, and what a race cannot get past."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wire import NO_ADDRESS_LIMIT, Answer, Pair, Place, add_user, call, check_error

from custody.books import ask, check_books, contents
from installations import AUTHOR, make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.installation import Custody, add_account
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, delete_principal
from kubecustody.custody.signers import make_signer

KUBECTL = Path(sys.executable).parent / "kubectl"
FULL = "AliyunCSFullAccess"

GET = "DescribeClusterUserKubeconfig", "GET", "/k8s/{}/user_config"
GET_V2 = "DescribeClusterV2UserKubeconfig", "GET", "/api/v2/k8s/{}/user_config"
GET_FOR = "DescribeSubaccountK8sClusterUserConfig", "GET", "/k8s/{}/users/{}/user_config"
EXPIRE = "UpdateK8sClusterUserConfigExpire", "POST", "/k8s/{}/user_config/expire"
REVOKE = "RevokeK8sClusterKubeConfig", "DELETE", "/k8s/{}/certs"
CLEAN = "CleanClusterUserPermissions", "DELETE", "/cluster/{}/user/{}/permissions"
HOLDERS = "ListClusterKubeconfigStates", "GET", "/clusters/{}/kubeconfig/states"
Operation = tuple[str, str, str]


@dataclass
class Home(Place):
    """Two clusters that issue; `people` have keys."""

    clusters: list[str]
    people: dict[str, NewAccessKey]

    def ask(
        self, who: str | NewAccessKey, operation: Operation, *path: str, query: tuple[Pair, ...] = (), body: Any = None
    ) -> Answer:
        name, method, template = operation
        key = self.people[who] if isinstance(who, str) else who
        data = b"" if body is None else json.dumps(body).encode()
        return call(self.server, key, template.format(*path), query, method=method, action=name, body=data)

    def add(self, name: str, *policies: str) -> NewAccessKey:
        key = add_user(self.installation, name)
        for policy in policies:
            self.installation.change(set_attachment, policy, attached=True, user=name)
        self.people[name] = key
        return key

    def put(self, policy: str, *statements: tuple[str, str, str]) -> str:
        listed = [{"Effect": effect, "Action": action, "Resource": where} for effect, action, where in statements]
        self.installation.change(put_policy, policy, json.dumps({"Version": "1", "Statement": listed}))
        return policy

    def arn(self, cluster: str) -> str:
        return f"acs:cs:*:{self.installation.account_id}:cluster/{cluster}"

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    installation = make_installation(tmp_path_factory.mktemp("family"))
    clusters = []
    for number, name in enumerate(("first", "second")):
        fields = ClusterFields(name=name, public_endpoint=f"https://203.0.113.{number}:6443")
        clusters.append(installation.change(add_cluster, fields))
        installation.change(make_signer, name)
    with serving(installation, **NO_ADDRESS_LIMIT, most_temporary="3") as server:
        home = Home(installation, server, clusters, {"account": installation.key})
        home.add("full", FULL)
        home.add("nobody")
        home.add("other", FULL)
        yield home
    check_books(home.path)


def refusal(home: Home, answer: Answer, code: str) -> str:
    return check_error(answer, code, home.server.url)


# --- what is answered


def test_a_kubeconfig_twice_is_the_same_bytes_with_its_end(home: Home) -> None:
    first = home.ask("full", GET, home.clusters[0])
    assert first.status == 200 and set(first.json) == {"config", "expiration"}
    assert home.ask("full", GET, home.clusters[0]).json == first.json
    assert home.ask("full", GET_V2, home.clusters[0]).json == {"config": first.json["config"]}
    own = home.ask("account", GET_FOR, home.clusters[0], home.people["full"].uid)
    assert own.json == first.json
    assert first.header("cache-control") == "no-store"


def test_what_has_nothing_to_say_answers_an_empty_object(home: Home) -> None:
    """The provider's SDKs raise at an empty body."""
    cluster, uid = home.clusters[0], home.add("said", FULL).uid
    answers = [
        home.ask("account", EXPIRE, cluster, body={"expire_hour": 720, "user": uid}),
        home.ask("said", REVOKE, cluster),
        home.ask("full", CLEAN, cluster, uid, query=(("Force", "True"),)),
    ]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {})] * 3


def test_kubectl_reads_two_answers_merged_and_each_keeps_its_server(home: Home, tmp_path: Path) -> None:
    files = []
    for name, cluster in zip("ab", home.clusters, strict=True):
        files.append(tmp_path / name)
        files[-1].write_text(home.ask("full", GET, cluster).json["config"])
    done = subprocess.run(
        [str(KUBECTL), "config", "view", "--raw", "-o", "json"],
        env={"KUBECONFIG": ":".join(map(str, files)), "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    document = json.loads(done.stdout)
    servers = {one["name"]: one["cluster"]["server"] for one in document["clusters"]}
    contexts = {one["name"]: one["context"] for one in document["contexts"]}
    uid = home.people["full"].uid
    for number, cluster in enumerate(home.clusters):
        assert servers[contexts[f"{uid}-{cluster}"]["cluster"]] == f"https://203.0.113.{number}:6443"
    assert len({context["user"] for context in contexts.values()}) == 2


def test_who_ask_at_once_get_one_new_credential(home: Home) -> None:
    key = home.add("hasty", FULL)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: home.ask(key, GET, home.clusters[0]), range(16)))
    assert len({answer.json["config"] for answer in answers}) == 1
    sql = "SELECT kind, COUNT(*) FROM events WHERE uid = ? AND kind LIKE '%credential%' GROUP BY kind"
    assert ask(home.path, sql, key.uid) == [("credential_issued", 1)]


def test_two_who_revoke_at_once_leave_one_current_credential(home: Home) -> None:
    key = home.add("twice", FULL)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: home.ask(key, REVOKE, home.clusters[0]), range(4)))
    assert {answer.status for answer in answers} == {200}
    sql = "SELECT COUNT(*), COUNT(removal_requested_at) FROM credentials WHERE uid = ?"
    assert ask(home.path, sql, key.uid) == [(4, 3)]


def test_every_key_that_goes_out_is_an_event_of_that_request_and_caller(home: Home) -> None:
    key = home.add("told", FULL)
    answers = [home.ask(key, GET, home.clusters[0]), home.ask("account", GET_FOR, home.clusters[0], key.uid)]
    sql = "SELECT request_id, actor FROM events WHERE uid = ? AND kind = 'private_key_disclosed' ORDER BY event_no"
    account = home.installation.account_id
    actors = [f"acs:ram::{account}:user/{key.uid}", f"acs:ram::{account}:root"]
    assert ask(home.path, sql, key.uid) == [
        (answer.header("x-acs-request-id"), actor) for answer, actor in zip(answers, actors, strict=True)
    ]


def test_the_request_that_revokes_or_cleans_is_named_in_its_events(home: Home) -> None:
    key = home.add("named", FULL)
    home.ask(key, GET, home.clusters[0])
    revoked = home.ask(key, REVOKE, home.clusters[0])
    cleaned = home.ask("other", CLEAN, home.clusters[0], key.uid, query=(("Force", "true"),))
    sql = "SELECT request_id FROM events WHERE uid = ? AND kind = 'removal_requested' ORDER BY event_no"
    ids = [(answer.header("x-acs-request-id"),) for answer in (revoked, cleaned)]
    assert ask(home.path, sql, key.uid) == ids


def test_no_key_and_no_kubeconfig_is_in_the_servers_log(home: Home) -> None:
    text = home.ask("full", GET, home.clusters[0]).json["config"]
    log = home.server.log.read_text()
    assert "PRIVATE" not in log and "client-key-data" not in log
    assert all(line.strip() not in log for line in text.splitlines() if "-data:" in line)


# --- parameters


@pytest.mark.parametrize(
    "value", ["14", "4321", "0", "-15", "text", "", "15.0", "1e2", " 15", "١٥", "9" * 40, "0x10", "15_0", "+15"]
)
def test_a_temporary_duration_out_of_bounds_is_refused_by_name(home: Home, value: str) -> None:
    before = contents(home.path)
    answer = home.ask("full", GET, home.clusters[0], query=(("TemporaryDurationMinutes", value),))
    message = refusal(home, answer, "InvalidParameter")
    assert message.startswith("TemporaryDurationMinutes: ") and "from 15 to 4320" in message
    assert contents(home.path) == before


@pytest.mark.parametrize("value", ["15", "4320"])
def test_a_temporary_duration_at_its_bounds_is_given(home: Home, value: str) -> None:
    assert home.ask("full", GET, home.clusters[0], query=(("TemporaryDurationMinutes", value),)).status == 200


def test_every_wrong_parameter_is_named_at_once(home: Home) -> None:
    query = (("PrivateIpAddress", "perhaps"), ("TemporaryDurationMinutes", "1"))
    message = refusal(home, home.ask("full", GET, home.clusters[0], query=query), "InvalidParameter")
    assert "PrivateIpAddress: " in message and "TemporaryDurationMinutes: " in message


@pytest.mark.parametrize("spelling", ["True", "true", "TRUE"])
def test_a_boolean_is_understood_as_each_sdk_writes_it(home: Home, spelling: str) -> None:
    answer = home.ask("full", GET, home.clusters[0], query=(("PrivateIpAddress", spelling),))
    assert "intranet address" in refusal(home, answer, "ErrorClusterState")


def test_force_given_twice_is_refused(home: Home) -> None:
    query = (("Force", "false"), ("Force", "true"))
    answer = home.ask("other", CLEAN, home.clusters[0], home.people["full"].uid, query=query)
    assert "Force" in refusal(home, answer, "InvalidParameter")


def test_at_the_limit_the_oldest_is_named_and_what_ends_it(home: Home) -> None:
    key = home.add("limited", FULL)
    for minutes in ("15", "16", "17"):
        assert home.ask(key, GET, home.clusters[0], query=(("TemporaryDurationMinutes", minutes),)).status == 200
    answer = home.ask(key, GET, home.clusters[0], query=(("TemporaryDurationMinutes", "18"),))
    message = refusal(home, answer, "QuotaExceeded.KubeConfig")
    ((oldest,),) = ask(
        home.path,
        "SELECT lower(hex(fingerprint)) FROM credentials WHERE uid = ? ORDER BY credential_no LIMIT 1",
        key.uid,
    )
    assert oldest in message and "RevokeK8sClusterKubeConfig" in message and "3" in message
    assert home.ask(key, REVOKE, home.clusters[0]).status == 200
    assert home.ask(key, GET, home.clusters[0], query=(("TemporaryDurationMinutes", "18"),)).status == 200


# --- who may


def test_a_clean_without_force_is_not_readable_and_changes_nothing(home: Home) -> None:
    before = contents(home.path)
    answer = home.ask("other", CLEAN, home.clusters[0], home.people["full"].uid)
    assert "Force=True" in refusal(home, answer, "ErrorAuditNotReadable")
    assert contents(home.path) == before


def test_neither_account_nor_oneself_is_cleaned(home: Home) -> None:
    force = (("Force", "true"),)
    for uid in (home.installation.account_id, home.people["full"].uid):
        answer = home.ask("full", CLEAN, home.clusters[0], uid, query=force)
        assert refusal(home, answer, "ForbiddenCleanUserPermissions")


@pytest.mark.parametrize("operation", [GET_FOR, EXPIRE])
def test_what_only_the_account_may_is_refused_to_every_user(home: Home, operation: Operation) -> None:
    body = {"expire_hour": 1, "user": home.people["full"].uid} if operation is EXPIRE else None
    for cluster in (home.clusters[0], "c-none"):
        answer = home.ask("full", operation, cluster, home.people["full"].uid, body=body)
        assert "only the account itself" in refusal(home, answer, "StatusForbidden")
    assert refusal(home, home.ask("nobody", operation, home.clusters[0], "1", body=body), "StatusForbidden")


@pytest.mark.parametrize("operation", [GET, GET_V2, REVOKE, CLEAN, HOLDERS], ids=lambda operation: operation[0])
def test_an_unknown_cluster_is_told_to_who_may_and_to_nobody_else(home: Home, operation: Operation) -> None:
    uid = home.people["other"].uid
    assert refusal(home, home.ask("full", operation, "c-none", uid), "ErrorClusterNotFound")
    told = set()
    for cluster in (home.clusters[0], "c-none"):
        answer = home.ask("nobody", operation, cluster, uid)
        message = refusal(home, answer, "StatusForbidden")
        told.add(message.replace(cluster, "").replace(answer.header("x-acs-request-id"), ""))
        told.add(json.dumps(answer.json["AccessDeniedDetail"], sort_keys=True))
    assert len(told) == 2


def test_an_unknown_person_is_told_to_who_may_and_to_nobody_else(home: Home) -> None:
    assert refusal(home, home.ask("account", GET_FOR, home.clusters[0], "299"), "EntityNotExist.User")
    assert refusal(home, home.ask("full", CLEAN, home.clusters[0], "299"), "EntityNotExist.User")
    told = set()
    for uid in ("299", home.people["other"].uid):
        answer = home.ask("nobody", CLEAN, home.clusters[0], uid)
        told.add(refusal(home, answer, "StatusForbidden").replace(answer.header("x-acs-request-id"), ""))
    assert len(told) == 1


def test_another_accounts_clusters_and_people_are_unknown(home: Home) -> None:
    async def second(custody: Custody) -> NewAccessKey:
        account = await add_account(custody, AUTHOR, time.time(), name="second", region_id="local")
        return await add_access_key(custody, account, AUTHOR, time.time(), account)

    key = home.installation.run(second)
    before = contents(home.path)
    for operation in (GET, GET_V2, REVOKE, HOLDERS):
        assert refusal(home, home.ask(key, operation, home.clusters[0]), "ErrorClusterNotFound")
    uid = home.people["full"].uid
    for answer in (
        home.ask(key, GET_FOR, home.clusters[0], uid),
        home.ask(key, CLEAN, home.clusters[0], uid, query=(("Force", "True"),)),
        home.ask(key, EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": uid}),
    ):
        assert refusal(home, answer, "EntityNotExist.User")
    assert contents(home.path) == before


def test_a_policy_for_one_cluster_is_for_no_other(home: Home) -> None:
    one = home.put("one", ("Allow", "cs:DescribeClusterUserKubeconfig", home.arn(home.clusters[0])))
    home.add("one-cluster", one)
    assert home.ask("one-cluster", GET, home.clusters[0]).status == 200
    for cluster in (home.clusters[1], "c-none", home.clusters[0].upper(), home.clusters[0] + "x"):
        assert refusal(home, home.ask("one-cluster", GET, cluster), "StatusForbidden")
    assert refusal(home, home.ask("one-cluster", REVOKE, home.clusters[0]), "StatusForbidden")
    assert home.ask("one-cluster", GET_V2, home.clusters[0]).status == 200


def test_a_policy_for_all_clusters_is_for_each_and_a_deny_on_one_stands_above_it(home: Home) -> None:
    every = home.put("every", ("Allow", "cs:*", home.arn("*")))
    deny = home.put("deny", ("Deny", "cs:GetUserConfig", home.arn(home.clusters[1])))
    home.add("all-but-one", every, deny)
    assert home.ask("all-but-one", GET, home.clusters[0]).status == 200
    for operation in (GET, GET_V2):
        answer = home.ask("all-but-one", operation, home.clusters[1])
        assert "the policy deny denies it" in refusal(home, answer, "StatusForbidden")
        assert answer.json["AccessDeniedDetail"]["NoPermissionType"] == "ExplicitDeny"
    assert home.ask("all-but-one", REVOKE, home.clusters[1]).status == 200


def test_a_cluster_id_with_pattern_letters_is_only_a_text(home: Home) -> None:
    for text in ("*", "%2A", "?" * 33, "{account_id}", "a:b", "a/b"):
        encoded = text if text.startswith("%") else "".join(f"%{byte:02X}" for byte in text.encode())
        assert home.ask("nobody", GET, encoded).code == "StatusForbidden"
        assert home.ask("full", GET, encoded).code == "ErrorClusterNotFound"


def test_read_only_access_lists_holders_and_gets_no_key(home: Home) -> None:
    home.add("reader", "AliyunCSReadOnlyAccess")
    assert home.ask("reader", HOLDERS, home.clusters[0]).status == 200
    for operation in (GET, GET_V2, GET_FOR, EXPIRE, REVOKE, CLEAN):
        answer = home.ask("reader", operation, home.clusters[0], "1", body={} if operation is EXPIRE else None)
        assert answer.code in ("StatusForbidden", "InvalidParameter")
    answer = home.ask("reader", EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": "1"})
    assert refusal(home, answer, "StatusForbidden")


def test_a_role_is_cleaned_and_got_as_a_user_is(home: Home) -> None:
    role = add_user(home.installation, "deployer", PrincipalKind.ROLE)
    assert home.ask("account", GET_FOR, home.clusters[0], role.uid).status == 200
    assert home.ask("full", CLEAN, home.clusters[0], role.uid, query=(("Force", "True"),)).json == {}


def test_who_is_deleted_gets_nothing_and_can_be_cleaned(home: Home) -> None:
    key = home.add("leaver", FULL)
    home.ask(key, GET, home.clusters[0])
    home.installation.change(delete_principal, "leaver")
    assert refusal(home, home.ask(key, GET, home.clusters[0]), "InvalidAccessKeyId.NotFound")
    assert refusal(home, home.ask("account", GET_FOR, home.clusters[0], key.uid), "EntityNotExist.User")
    (row,) = [
        one
        for one in home.ask("full", HOLDERS, home.clusters[0], query=(("pageSize", "50"),)).json["states"]
        if one["account_id"] == key.uid
    ]
    assert (row["account_state"], row["cert_state"], row["revokable"]) == ("Deleted", "Unexpired", True)
    assert home.ask("full", CLEAN, home.clusters[0], key.uid, query=(("Force", "True"),)).status == 200


# --- between authentication and the transaction

GOES: dict[str, tuple[str, str]] = {
    "key disabled": ("UPDATE access_keys SET disabled_at = 1 WHERE uid = ?", "InvalidAccessKeyId.Inactive"),
    "key deleted": ("UPDATE access_keys SET deleted_at = 1 WHERE uid = ?", "InvalidAccessKeyId.NotFound"),
    "user disabled": ("UPDATE principals SET disabled_at = 1 WHERE uid = ?", "InvalidAccessKeyId.Inactive"),
    "user deleted": ("UPDATE principals SET deleted_at = 1 WHERE uid = ?", "InvalidAccessKeyId.NotFound"),
    "policy detached": ("DELETE FROM policy_attachments WHERE target = ?", "StatusForbidden"),
}


def logged_with(home: Home, key: NewAccessKey, count: int) -> list[Any]:
    """The access log's lines of this key, once there are that many; only who was authenticated stands in one."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [line for line in home.server.log.read_text().splitlines() if f'"{key.access_key_id}"' in line]
        if len(lines) >= count:
            break
        time.sleep(0.05)
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("what", GOES)
def test_what_goes_while_a_request_waits_for_its_transaction_is_gone_for_it(home: Home, what: str) -> None:
    sql, code = GOES[what]
    key = home.add(what.replace(" ", "-"), FULL)
    answers: dict[str, Answer] = {}

    def send(operation: Operation) -> None:
        answers[operation[0]] = home.ask(key, operation, home.clusters[0])

    with closing(sqlite3.connect(home.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threads = [threading.Thread(target=send, args=(operation,)) for operation in (GET, REVOKE)]
        for thread in threads:
            thread.start()
        time.sleep(0.4)  # both are authenticated by now and wait for the lock
        assert not answers
        assert other.execute(sql, (key.uid,)).rowcount == 1
        other.execute("UPDATE accounts SET iam_version = iam_version + 1")
        other.execute("COMMIT")
        for thread in threads:
            thread.join(20)
    assert {answer.code for answer in answers.values()} == {code}
    codes = [line["code"] for line in logged_with(home, key, 2)]
    assert codes == [code] * 2, "a request was refused before it had been authenticated"
    assert ask(home.path, "SELECT COUNT(*) FROM credentials WHERE uid = ?", key.uid) == [(0,)]
    assert ask(home.path, "SELECT COUNT(*) FROM events WHERE kind = 'private_key_disclosed' AND uid = ?", key.uid) == [
        (0,)
    ]


# --- by what is remembered of a caller


def happen(home: Home, sql: str, uid: str) -> None:
    with closing(sqlite3.connect(home.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute(sql, (uid,)).rowcount == 1
        other.execute("UPDATE accounts SET iam_version = iam_version + 1")
        other.execute("COMMIT")


@pytest.mark.parametrize("what", GOES)
def test_a_caller_who_is_remembered_is_refused_at_the_next_request(home: Home, what: str) -> None:
    sql, code = GOES[what]
    key = home.add(f"remembered {what}".replace(" ", "-"), FULL)
    for cluster in home.clusters:  # the second time by memory
        assert home.ask(key, GET, cluster).status == 200
    happen(home, sql, key.uid)
    for operation in (GET, REVOKE, GET):
        assert refusal(home, home.ask(key, operation, home.clusters[0]), code)


def test_a_key_that_is_enabled_again_is_served_at_once(home: Home) -> None:
    key = home.add("on-and-off", FULL)
    for disabled_at, status in (("NULL", 200), ("1", 400), ("NULL", 200), ("1", 400), ("NULL", 200)):
        happen(home, f"UPDATE access_keys SET disabled_at = {disabled_at} WHERE uid = ?", key.uid)
        assert [home.ask(key, GET, home.clusters[0]).status for _ in range(3)] == [status] * 3


def test_what_else_is_wrong_is_not_told_to_a_key_that_is_remembered_and_disabled(home: Home) -> None:
    key = home.add("remembered-and-wrong", FULL)
    assert home.ask(key, GET, home.clusters[0]).status == 200
    happen(home, "UPDATE access_keys SET disabled_at = 1 WHERE uid = ?", key.uid)
    forged = NewAccessKey(key.access_key_id, "x" * 30, key.uid)
    for asked in (
        home.ask(forged, GET, home.clusters[0]),
        home.ask(key, GET, home.clusters[0], query=(("PrivateIpAddress", "maybe"),)),
        home.ask(key, GET, "c0"),
    ):
        assert refusal(home, asked, "InvalidAccessKeyId.Inactive")


def test_a_forged_signature_of_a_key_that_is_remembered_is_refused(home: Home) -> None:
    key = home.add("remembered-and-forged", FULL)
    assert home.ask(key, GET, home.clusters[0]).status == 200
    forged = NewAccessKey(key.access_key_id, "x" * 30, key.uid)
    assert refusal(home, home.ask(forged, GET, home.clusters[0]), "SignatureDoesNotMatch")


def test_a_store_that_stays_locked_is_told_as_unavailable_and_issues_nothing(home: Home) -> None:
    key = home.add("patient", FULL)
    with closing(sqlite3.connect(home.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = home.ask(key, GET, home.clusters[0])
        other.execute("ROLLBACK")
    assert refusal(home, answer, "ServiceUnavailable")
    assert ask(home.path, "SELECT COUNT(*) FROM credentials WHERE uid = ?", key.uid) == [(0,)]
    assert home.ask(key, GET, home.clusters[0]).status == 200
