"""Conditions, aliases, NotAction and the auditor's policy, as a caller meets them over HTTP."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from homes import (
    CLEAN,
    CLEAN_ONE,
    EXPIRE,
    FULL,
    GET,
    GET_FOR,
    GET_V2,
    HOLDERS,
    ISSUE,
    LIST,
    READ_ONLY,
    REVOKE,
    STATES,
    Home,
    document,
    served_home,
)
from wire import address_of, connect, read_answer, sign, write_request

from custody.books import tell
from installations import make_installation, serving
from kubecustody.catalogue.model import Effect
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.policies import AUDITOR
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import add_access_key, add_principal, set_delegated_admin
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.client_certificates import KeyType, make_key

DISCLOSE = "kubecustody:DisclosePrivateKeyOfOthers"
MINUTES = "cs:KubeConfigDurationMinutes"
OURS = "kubecustody:IssueCredential"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Called without a proxy in between."""
    with served_home(tmp_path_factory.mktemp("policies")) as home:
        home.add("victim", FULL)
        yield home


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Called through proxies: this machine, and 10.0.0.0/8 before it."""
    with served_home(tmp_path_factory.mktemp("behind"), trusted_proxies="127.0.0.1,10.0.0.0/8") as home:
        yield home


def when(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


def forwarded(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple(("x-forwarded-for", value) for value in values)


# --- acs:SourceIp


def test_the_source_address_is_the_sockets_whatever_the_caller_writes(home: Home) -> None:
    home.allow("local", {"Action": "cs:*", **when("IpAddress", "acs:SourceIp", "127.0.0.0/8")})
    home.allow("remote", {"Action": "cs:*", **when("IpAddress", "acs:SourceIp", "192.0.2.1")})
    home.add(
        "not-remote",
        FULL,
        home.put(
            "not-remote", {"Effect": "Deny", "Action": "cs:*", **when("NotIpAddress", "acs:SourceIp", "192.0.2.0/24")}
        ),
    )
    for _ in range(2):
        for operation in (LIST, GET):
            for added in ((), forwarded("192.0.2.1"), (("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1"))):
                assert home.ask("local", operation, home.clusters[0], added=added).status == 200
                home.refusal(home.ask("remote", operation, home.clusters[0], added=added))
                home.refusal(home.ask("not-remote", operation, home.clusters[0], added=added))


def test_behind_a_declared_proxy_its_own_entry_is_the_source_address(behind: Home) -> None:
    behind.allow("inside", {"Action": "cs:*", **when("IpAddress", "acs:SourceIp", "192.0.2.0/24", "2001:db8::/32")})
    allowed = [
        ("192.0.2.1",),
        ("198.51.100.1, 192.0.2.1",),
        ("192.0.2.1, 10.1.2.3",),
        ("x", "192.0.2.7"),
        ("2001:db8::1",),
        ("::ffff:192.0.2.1",),
    ]
    refused = [
        ("198.51.100.1",),
        ("192.0.2.1, 198.51.100.1",),
        ("192.0.2.1", "198.51.100.1"),
        ("192.0.2.1, 198.51.100.1, 10.0.0.1",),
        ("192.0.2.1, unknown",),
        (),
    ]
    for _ in range(2):
        for given, status in [*((one, 200) for one in allowed), *((one, 403) for one in refused)]:
            for operation in (LIST, GET):
                answer = behind.ask("inside", operation, behind.clusters[0], added=forwarded(*given))
                assert answer.status == status, (given, operation)


# --- acs:SecureTransport, acs:CurrentTime


def test_secure_transport_is_what_the_proxy_says_of_it_and_nobody_else(home: Home, behind: Home) -> None:
    for place in (home, behind):
        place.allow("secure", {"Action": "cs:*", **when("Bool", "acs:SecureTransport", "true")})
        place.add(
            "no-plain",
            FULL,
            place.put("no-plain", {"Effect": "Deny", "Action": "*", **when("Bool", "acs:SecureTransport", "false")}),
        )
    for who in ("secure", "no-plain"):
        for protos, status in [
            (("https",), 200),
            (("HTTPS",), 200),
            (("http",), 403),
            ((), 403),
            (("http, https",), 200),
            (("https, http",), 403),
            (("https", "http"), 403),
        ]:
            added = tuple(("x-forwarded-proto", proto) for proto in protos)
            assert behind.ask(who, LIST, added=added).status == status, (who, protos)
            assert home.ask(who, LIST, added=added).status == 403, (who, protos)


def test_a_call_over_tls_is_secure(tmp_path_factory: pytest.TempPathFactory) -> None:
    installation = make_installation(tmp_path_factory.mktemp("tls"))
    uid = installation.change(add_principal, kind=PrincipalKind.USER, name="secure")
    statements = document({"Action": "cs:*", **when("Bool", "acs:SecureTransport", "true")})
    installation.change(put_policy, "secure", statements)
    installation.change(set_attachment, "secure", attached=True, user=uid)
    key = installation.change(add_access_key, uid)
    context = ssl.create_default_context(cafile=installation.settings.tls_root_file)
    with (
        serving(installation, tls="on") as server,
        connect(server) as plain,
        context.wrap_socket(plain, server_hostname=address_of(server)[0]) as connection,
    ):
        connection.sendall(write_request(sign(server, key, "/api/v1/clusters", action=LIST)))
        assert read_answer(connection).status == 200


def test_a_policy_holds_for_its_time_alone(home: Home) -> None:
    def spelt(**delta: float) -> str:
        return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")

    home.allow("still", {"Action": "cs:*", **when("DateLessThan", "acs:CurrentTime", spelt(hours=1))})
    home.allow("over", {"Action": "cs:*", **when("DateLessThan", "acs:CurrentTime", spelt(hours=-1))})
    home.allow("not-yet", {"Action": "cs:*", **when("DateGreaterThan", "acs:CurrentTime", spelt(hours=1))})
    home.add(
        "from-now",
        FULL,
        home.put(
            "from-now",
            {"Effect": "Deny", "Action": "cs:*", **when("DateGreaterThan", "acs:CurrentTime", spelt(hours=-1))},
        ),
    )
    for operation in (LIST, GET):
        codes = {
            who: home.ask(who, operation, home.clusters[0]).code for who in ("still", "over", "not-yet", "from-now")
        }
        assert codes == {
            "still": "",
            "over": "StatusForbidden",
            "not-yet": "StatusForbidden",
            "from-now": "StatusForbidden",
        }


def test_a_policy_ends_at_its_moment_under_a_running_server(home: Home) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    home.allow(
        "brief", {"Action": "cs:*", **when("DateLessThan", "acs:CurrentTime", end.strftime("%Y-%m-%dT%H:%M:%SZ"))}
    )
    assert (home.ask("brief", LIST).status, home.ask("brief", LIST).status) == (200, 200)
    time.sleep(max(0.0, end.timestamp() - time.time()) + 0.05)
    home.refusal(home.ask("brief", LIST))


# --- cs:KubeConfigDurationMinutes

TOO_LONG = {"Effect": "Deny", "Action": ["cs:*", OURS], **when("NumericGreaterThan", MINUTES, "60")}
EVERYTHING = {
    "Action": [
        "cs:*",
        OURS,
        DISCLOSE,
        "cs:DescribeSubaccountK8sClusterUserConfig",
        "cs:UpdateK8sClusterUserConfigExpire",
    ]
}


def ask_minutes(home: Home, who: str, operation: str, minutes: int | None, *, cluster: str = "", uid: str = "") -> str:
    """The code of a call for so many minutes; "" where it succeeds."""
    cluster = cluster or home.clusters[0]
    if operation == ISSUE:
        body: dict[str, Any] = {"Csr": make_certificate_request(make_key(KeyType.P256))}
        if minutes is not None:
            body["TemporaryDurationMinutes"] = minutes
        return home.ask(who, operation, cluster, body=body).code
    query = () if minutes is None else (("TemporaryDurationMinutes", str(minutes)),)
    return home.ask(who, operation, cluster, uid=uid, query=query).code


@pytest.mark.parametrize("operation", [GET, GET_V2, ISSUE])
def test_a_deny_above_an_hour_is_not_passed_by_leaving_the_minutes_out(home: Home, operation: str) -> None:
    name = f"hour-{operation}"
    home.allow(name, EVERYTHING, TOO_LONG)
    for _ in range(2):
        assert ask_minutes(home, name, operation, 60) == ""
        for minutes in (61, 4320, None):
            assert ask_minutes(home, name, operation, minutes) == "StatusForbidden", minutes


def test_a_deny_above_an_hour_stands_in_a_group_and_beside_full_access(home: Home) -> None:
    home.add("beside", FULL, home.put("no-long-ones", TOO_LONG))
    assert ask_minutes(home, "beside", GET, 15) == ""
    assert ask_minutes(home, "beside", GET, None) == "StatusForbidden"
    assert home.ask("beside", REVOKE, home.clusters[0]).code == "StatusForbidden"


def test_an_allow_of_a_quarter_of_an_hour_is_one_of_nothing_else(home: Home) -> None:
    home.allow("quarter", {"Action": ["cs:*", OURS], **when("NumericEquals", MINUTES, "15")})
    for operation in (GET, GET_V2, ISSUE):
        assert ask_minutes(home, "quarter", operation, 15) == ""
        for minutes in (16, 30, None):
            assert ask_minutes(home, "quarter", operation, minutes) == "StatusForbidden"
    assert home.ask("quarter", REVOKE, home.clusters[0]).code == "StatusForbidden"
    # A call that has to do with no validity has no minutes, and an Allow is not taken for granted.
    assert home.ask("quarter", LIST).code == "StatusForbidden"


def test_what_is_handed_out_counts_with_its_whole_validity(home: Home) -> None:
    key = home.allow("whole", EVERYTHING)
    expire = {"expire_hour": 2, "user": key.uid}
    assert home.ask("account", EXPIRE, home.clusters[0], body=expire).status == 200
    first = home.ask("whole", GET, home.clusters[0])
    assert first.status == 200
    # 65 of its 120 minutes pass: 55 are left, and it is not due for renewal yet.
    shift = "issued_at = issued_at - 3900, not_before = not_before - 3900, not_after = not_after - 3900, "
    tell(home.path, f"UPDATE credentials SET {shift} vouched_until = vouched_until - 3900 WHERE uid = ?", key.uid)
    shift = "vouched_until = vouched_until - 3900, newest_not_after = newest_not_after - 3900"
    tell(home.path, f"UPDATE holdings SET {shift} WHERE uid = ?", key.uid)
    assert home.ask("whole", GET, home.clusters[0]).json["config"] == first.json["config"]
    home.put("of-whole", EVERYTHING, TOO_LONG)
    home.refusal(home.ask("whole", GET, home.clusters[0]))
    # What would be issued next is short enough; the one before is not handed out any more.
    assert home.ask("account", EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": key.uid}).status == 200
    again = home.ask("whole", GET, home.clusters[0])
    assert again.status == 200 and again.json["config"] != first.json["config"]


def test_a_renewal_counts_with_the_validity_that_it_would_give(home: Home) -> None:
    key = home.allow("renewed", EVERYTHING)
    assert home.ask("renewed", GET, home.clusters[0]).status == 200
    assert home.ask("account", EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": key.uid}).status == 200
    home.put("of-renewed", EVERYTHING, TOO_LONG)
    given = home.ask("renewed", GET, home.clusters[0]).json
    left = datetime.fromisoformat(given["expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(minutes=60)
    # Revoking ends the validity that was set, and so would give a long one.
    home.refusal(home.ask("renewed", REVOKE, home.clusters[0]))


@pytest.mark.parametrize("limit", ["60", "60.0"])
def test_a_delegated_administrator_is_bound_by_the_minutes_too(home: Home, limit: str) -> None:
    name = f"delegate-{limit.replace('.', '-')}"
    deny = {"Effect": "Deny", "Action": "*", **when("NumericGreaterThan", MINUTES, limit)}
    home.allow(name, EVERYTHING, deny)
    home.installation.change(set_delegated_admin, name, delegated=True)
    subject = home.add(f"subject-{limit.replace('.', '-')}").uid
    assert ask_minutes(home, name, GET_FOR, 60, uid=subject) == ""
    for minutes in (61, None):
        assert ask_minutes(home, name, GET_FOR, minutes, uid=subject) == "StatusForbidden"
    for hours, status in ((1, 200), (2, 403), (876_000, 403)):
        assert home.ask(name, EXPIRE, home.clusters[0], body={"expire_hour": hours, "user": subject}).status == status
    # Their validity is an hour now, which is what the call would give.
    assert ask_minutes(home, name, GET_FOR, None, uid=subject) == ""


def test_who_may_not_is_not_told_by_the_minutes_whether_a_cluster_exists(home: Home) -> None:
    home.allow("curious", {"Action": "cs:*"}, TOO_LONG)
    told = {
        home.refusal(answer).replace(cluster, "").replace(answer.header("x-acs-request-id"), "")
        for cluster in (home.clusters[0], "c-none")
        for answer in (home.ask("curious", GET, cluster),)
    }
    assert len(told) == 1


# --- actions


@pytest.mark.parametrize(
    ("denied", "operation"),
    [
        ("cs:GetClusters", LIST),
        ("cs:DescribeClustersV1", LIST),
        ("cs:ListClusters", LIST),
        ("CS:GETCLUSTERS", LIST),
        ("cs:?etClusters", LIST),
        ("cs:GetUserConfig", GET),
        ("cs:GetUserConfig", GET_V2),
        ("cs:DescribeClusterUserKubeconfig", GET_V2),
    ],
)
def test_a_deny_on_any_name_of_an_operation_is_not_passed_by_another(home: Home, denied: str, operation: str) -> None:
    name = f"alias-{len(home.people)}"
    home.add(name, FULL, home.put(f"deny-{name}", {"Effect": "Deny", "Action": denied}))
    for _ in range(2):
        answer = home.ask(name, operation, home.clusters[0])
        assert f"the policy deny-{name} denies it" in home.refusal(answer)


@pytest.mark.parametrize("name", ["cs:GetClusters", "cs:DescribeClustersV1", "cs:ListClusters", "cs:listclusters"])
def test_an_allow_on_any_name_of_an_operation_allows_it(home: Home, name: str) -> None:
    who = f"allow-{len(home.people)}"
    home.allow(who, {"Action": name})
    assert home.ask(who, LIST).status == 200
    home.refusal(home.ask(who, GET, home.clusters[0]))


def test_not_action_is_every_other_operation(home: Home) -> None:
    home.allow("all-but", {"NotAction": ["cs:GetClusters", "cs:GetUserConfig"]})
    home.refusal(home.ask("all-but", LIST))
    home.refusal(home.ask("all-but", GET, home.clusters[0]))
    home.refusal(home.ask("all-but", GET_V2, home.clusters[0]))
    assert home.ask("all-but", REVOKE, home.clusters[0]).status == 200
    home.add("only", FULL, home.put("only", {"Effect": "Deny", "NotAction": "cs:DescribeClustersV1"}))
    assert home.ask("only", LIST).status == 200
    for operation in (GET, REVOKE, HOLDERS):
        home.refusal(home.ask("only", operation, home.clusters[0]))


def test_resources_are_compared_part_by_part(home: Home) -> None:
    account = home.installation.account_id
    others = ["acs:cs:*:1:cluster/*", "acs:cs:other:*:cluster/*", "acs:ram:*:*:cluster/*", "acs:cs:*:*:cluster"]
    home.allow("elsewhere", {"Action": "cs:*", "Resource": others})
    home.allow("here", {"Action": "cs:*", "Resource": f"acs:cs:lo*:{account}:cluster/{home.clusters[0]}"})
    home.refusal(home.ask("elsewhere", GET, home.clusters[0]))
    assert home.ask("here", GET, home.clusters[0]).status == 200
    home.refusal(home.ask("here", GET, home.clusters[1]))


# --- the auditor

ARGUMENTS: dict[str, dict[str, Any]] = {
    "DescribeCredential": {"Credential": "0"},
    "DescribeUser": {"Who": "none"},
    "DescribeRequestError": {"RequestId": "none"},
    "DescribeTaskInfo": {"task_id": "none"},
    "CheckServiceRole": {"body": {"roles": []}},
    "DescribeClustersForRegion": {"region_id": "local"},
}


@pytest.mark.parametrize("beside", [(), (FULL,), (READ_ONLY,)], ids=["alone", "beside-full", "beside-read-only"])
def test_an_auditor_reads_everything_and_gets_no_private_key(home: Home, beside: tuple[str, ...]) -> None:
    name = f"auditor-{len(beside)}-{''.join(beside)[-14:]}"
    home.add(name, AUDITOR, *beside)
    victim = home.people["victim"].uid
    for operation in OPERATIONS:
        if operation.effects == {Effect.READS}:
            answer = home.ask(name, operation.name, home.clusters[0], uid=victim, **ARGUMENTS.get(operation.name, {}))
            assert answer.code != "StatusForbidden", operation.name
        if Effect.DISCLOSES_KEY in operation.effects:
            answer = home.ask(name, operation.name, home.clusters[0], uid=victim)
            assert "PRIVATE KEY" not in answer.body.decode() and "client-key-data" not in answer.body.decode()
            assert home.refusal(answer), operation.name


def test_an_auditor_alone_changes_nothing(home: Home) -> None:
    home.add("auditor", AUDITOR)
    victim = home.people["victim"].uid
    for operation in (REVOKE, CLEAN_ONE, CLEAN):
        home.refusal(home.ask("auditor", operation, home.clusters[0], uid=victim, query=()))
    body = {"Csr": make_certificate_request(make_key(KeyType.P256))}
    home.refusal(home.ask("auditor", ISSUE, home.clusters[0], body=body))
    home.refusal(home.ask("auditor", EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": victim}))


def test_a_delegated_auditor_gets_nobodys_key_either(home: Home) -> None:
    home.allow("delegated-auditor", EVERYTHING)
    home.attach(AUDITOR, "delegated-auditor")
    home.installation.change(set_delegated_admin, "delegated-auditor", delegated=True)
    home.refusal(home.ask("delegated-auditor", GET_FOR, home.clusters[0], uid=home.people["victim"].uid))
    assert home.ask("delegated-auditor", STATES, uid=home.people["victim"].uid).status == 200
