"""Sessions of roles: what their key, secret and token are good for, and everything that ends or narrows them."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from homes import CLEAN_ONE, FULL, GET, LIST, READ_ONLY, REVOKE, Home, document, served_home
from wire import STATES, Answer, Place, call, exchange, replaced, sign, write_request

from custody.books import ask as rows_of
from custody.books import plain
from installations import AUTHOR, Installation, make_installation, serving
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, add_account, rotate_master_key
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import (
    NewAccessKey,
    add_principal,
    delete_principal,
    set_principal_disabled,
)
from kubecustody.custody.session_tokens import seal_token
from kubecustody.custody.sessions import NewSession, begin_session, end_sessions
from kubecustody.server.protocol import LARGEST_HEAD_BYTES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("sessions"), trusted_proxies="127.0.0.1") as home:
        home.add("deployer", FULL, kind=PrincipalKind.ROLE)
        home.add("reader", READ_ONLY, kind=PrincipalKind.ROLE)
        home.add("victim", FULL)
        yield home


def key_of(begun: NewSession) -> NewAccessKey:
    return NewAccessKey(begun.session.access_key_id, begun.session.secret, begun.session.uid)


def with_token(home: Home, begun: NewSession, token: str | None) -> Answer:
    """A request of the session's key, signed with another token."""
    return call(home.server, key_of(begun), security_token=token)


def sealed_by_hand(installation: Installation, begun: NewSession, **changes: Any) -> NewSession:
    """The session with other facts, as the installation itself would have sealed it."""
    session = begun.session._replace(**changes)

    async def work(custody: Custody) -> NewSession:
        return NewSession(session, seal_token(custody.sealer, session))

    again = installation.run(work)
    assert isinstance(again, NewSession)
    return again


# --- what a session is good for


def test_key_secret_and_token_sign_calls_that_read_and_that_change(home: Home) -> None:
    begun = home.begin("deployer")
    listed = home.ask(begun, LIST)
    assert [one["cluster_id"] for one in listed.json["clusters"]] == home.clusters
    given = home.ask(begun, GET, home.clusters[0])
    assert given.status == 200 and begun.session.uid in given.json["config"]
    assert home.ask(begun, REVOKE, home.clusters[0]).json == {}


def test_the_command_prints_what_signs(home: Home) -> None:
    done = home.installation.command(
        *("admin", "roles", "session", "deployer", "--duration", "15m", "--name", "ci", "--reason", "test"),
        *("--out", str(home.path.parent.parent / "session.env")),
    )
    text = (home.path.parent.parent / "session.env").read_text()
    told = dict(line.split("=", 1) for line in text.splitlines() if line)
    assert (home.path.parent.parent / "session.env").stat().st_mode & 0o777 == 0o600
    key = NewAccessKey(told["ALIBABA_CLOUD_ACCESS_KEY_ID"], told["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], "")
    token = told["ALIBABA_CLOUD_SECURITY_TOKEN"]
    assert call(home.server, key, security_token=token).status == 200
    assert key.secret not in done.stdout + done.stderr and token not in done.stdout + done.stderr


def ask_as_an_old_client(home: Home, begun: NewSession, token: str | None) -> Any:
    """Status and body of a read as old SDKs sign it: ROA HMAC-SHA1, the token among the signed headers."""
    headers = {
        "accept": "application/json",
        "date": formatdate(usegmt=True),
        "x-acs-signature-method": "HMAC-SHA1",
        "x-acs-signature-nonce": os.urandom(8).hex(),
        "x-acs-signature-version": "1.0",
        "x-acs-version": "2015-12-15",
        **({} if token is None else {"x-acs-security-token": token}),
    }
    lines = ["GET", headers["accept"], "", "", headers["date"]]
    lines += [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-acs-")]
    digest = hmac.new(begun.session.secret.encode(), "\n".join([*lines, STATES]).encode(), hashlib.sha1).digest()
    headers["authorization"] = f"acs {begun.session.access_key_id}:{base64.b64encode(digest).decode()}"
    connection = http.client.HTTPConnection(home.server.url.partition("://")[2], timeout=10)
    try:
        connection.request("GET", STATES, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_an_old_client_reads_with_a_session_and_its_token_alone(home: Home) -> None:
    begun, other = home.begin("deployer"), home.begin("deployer")
    assert ask_as_an_old_client(home, begun, begun.token)[0] == 200
    assert ask_as_an_old_client(home, begun, None)[1]["Code"] == "MissingSecurityToken"
    assert ask_as_an_old_client(home, begun, other.token)[1]["Code"] == "InvalidSecurityToken.MismatchWithAccessKey"


@pytest.mark.sdk
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_providers_sdk_calls_with_a_session(home: Home) -> None:
    from alibabacloud_cs20151215 import models
    from alibabacloud_cs20151215.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    begun = home.begin("deployer")
    config = Config(
        access_key_id=begun.session.access_key_id,
        access_key_secret=begun.session.secret,
        security_token=begun.token,
        endpoint=home.server.url.partition("://")[2],
        protocol="http",
        region_id="local",
    )
    answer = Client(config).list_user_kube_config_states(
        begun.session.uid, models.ListUserKubeConfigStatesRequest(page_size=10)
    )
    assert [row.cluster_id for row in answer.body.states] == home.clusters


def test_the_largest_policy_of_a_session_fits_into_its_token_and_the_token_into_a_request(home: Home) -> None:
    def narrowed(letters: str) -> str:
        return document({"Action": "cs:*"}, {"Effect": "Deny", "Action": "cs:*", "Resource": f"acs:cs:*:*:{letters}"})

    for letter in ("a", "集", "\U0001f512"):
        policy = json.dumps(json.loads(narrowed("")), ensure_ascii=False)
        policy = policy.replace("*:*:", "*:*:" + letter * (2048 - len(policy)))
        begun = home.begin("deployer", policy=policy)
        assert len(policy) == 2048 and len(begun.token) < LARGEST_HEAD_BYTES // 2
        assert home.ask(begun, LIST).status == 200, f"with {letter!r}"


# --- the token


def test_a_temporary_key_without_its_token_is_told_so(home: Home) -> None:
    message = home.refusal(with_token(home, home.begin("deployer"), None), "MissingSecurityToken")
    assert "x-acs-security-token" in message


def test_a_changed_token_is_malformed_whichever_letter_was_changed(home: Home) -> None:
    begun = home.begin("deployer")
    token = begun.token
    places = sorted({0, 1, 5, 7, 20, len(token) // 2, len(token) - 2, len(token) - 1})
    for place in places:
        for letter in "AQgw_":
            if token[place] != letter:
                changed = token[:place] + letter + token[place + 1 :]
                answer = with_token(home, begun, changed)
                assert answer.code == "InvalidSecurityToken.Malformed", f"letter {place} of {len(token)}: {letter}"
    for changed in (token[:-1], token[:-4], token + "A", token + "=", token + "==", f"{token[:9]} {token[9:]}", "A"):
        assert with_token(home, begun, changed).code == "InvalidSecurityToken.Malformed", changed[-12:]
    home.refusal(with_token(home, begun, token[:-1]), "InvalidSecurityToken.Malformed")
    assert with_token(home, begun, token).status == 200


def test_another_spelling_of_the_same_bytes_is_not_the_token(home: Home) -> None:
    begun = home.begin("deployer")
    while "-" not in begun.token and "_" not in begun.token:
        begun = home.begin("deployer")
    spelt = begun.token.replace("-", "+").replace("_", "/")
    assert with_token(home, begun, spelt).code == "InvalidSecurityToken.Malformed"


@pytest.mark.parametrize("token", ["", "x", "é".encode().decode("latin-1"), "QUJD" * 40, "A" * 16_385, "%00", "{}"])
def test_what_never_was_a_token_is_malformed(home: Home, token: str) -> None:
    if not token.isascii():  # not what our signer writes; the header is put in afterwards
        signed = replaced(
            sign(home.server, key_of(home.begin("deployer")), security_token="put"), "x-acs-security-token", token
        )
        answer = exchange(home.server, write_request(signed))
    else:
        answer = with_token(home, home.begin("deployer"), token)
    home.refusal(answer, "InvalidSecurityToken.Malformed")


def test_a_random_token_is_malformed(home: Home) -> None:
    begun = home.begin("deployer")
    for size in (16, 64, 200, 400):
        token = base64.urlsafe_b64encode(os.urandom(size)).decode().rstrip("=")
        home.refusal(with_token(home, begun, token), "InvalidSecurityToken.Malformed")
    # As if sealed by a master key that nobody has.
    head = base64.urlsafe_b64decode(begun.token + "=" * (-len(begun.token) % 4))
    unknown = base64.urlsafe_b64encode(head[:1] + b"\x00\x00\x00\x63" + head[5:]).decode().rstrip("=")
    home.refusal(with_token(home, begun, unknown), "InvalidSecurityToken.Malformed")


def test_another_installations_token_is_malformed(home: Home, tmp_path: Path) -> None:
    other = make_installation(tmp_path)
    other.change(add_principal, kind=PrincipalKind.ROLE, name="deployer")
    foreign = other.change(begin_session, "deployer", name="cli", seconds=900)
    home.refusal(with_token(home, foreign, foreign.token), "InvalidSecurityToken.Malformed")
    home.refusal(with_token(home, home.begin("deployer"), foreign.token), "InvalidSecurityToken.Malformed")


def test_another_sessions_token_does_not_belong_to_the_key(home: Home) -> None:
    one, other = home.begin("deployer"), home.begin("deployer")
    for _ in range(2):  # also once the token is remembered
        home.refusal(with_token(home, one, other.token), "InvalidSecurityToken.MismatchWithAccessKey")
        assert with_token(home, other, other.token).status == 200


def test_a_permanent_key_comes_without_a_token(home: Home) -> None:
    for token in (home.begin("deployer").token, "anything", ""):
        answer = call(home.server, home.people["victim"], security_token=token)
        home.refusal(answer, "InvalidSecurityToken.MismatchWithAccessKey")
    assert call(home.server, home.people["victim"]).status == 200


def test_a_token_alone_without_the_secret_is_good_for_nothing(home: Home) -> None:
    begun = home.begin("deployer")
    answer = call(home.server, key_of(begun), security_token=begun.token, secret=b"guessed")
    message = home.refusal(answer, "SignatureDoesNotMatch")
    assert begun.token not in message and "x-acs-security-token:" in message


# --- the end of it


def test_an_expired_session_is_over(home: Home) -> None:
    begun, now = home.begin("deployer"), int(time.time())
    over = sealed_by_hand(home.installation, begun, begins_at=now - 1000, ends_at=now - 1)
    message = home.refusal(home.ask(over, LIST), "InvalidSecurityToken.Expired")
    assert "it ended at " in message
    assert home.ask(sealed_by_hand(home.installation, begun, ends_at=now + 5), LIST).status == 200


def test_a_session_ends_while_it_is_remembered(home: Home) -> None:
    brief = sealed_by_hand(home.installation, home.begin("deployer"), ends_at=int(time.time()) + 1)
    assert home.ask(brief, LIST).status == 200
    time.sleep(2.1)
    home.refusal(home.ask(brief, LIST), "InvalidSecurityToken.Expired")


ENDS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "disabled": (set_principal_disabled, {"disabled": True}, "InvalidAccessKeyId.Inactive"),
    "deleted": (delete_principal, {}, "InvalidAccessKeyId.NotFound"),
    "ended": (end_sessions, {}, "InvalidSecurityToken.Expired"),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_next_request_after_the_role_is_gone_or_its_sessions_ended_is_refused(home: Home, how: str) -> None:
    use_case, named, code = ENDS[how]
    home.add(f"role-{how}", FULL, kind=PrincipalKind.ROLE)
    begun, other = home.begin(f"role-{how}"), home.begin("deployer")
    assert home.ask(begun, LIST).status == 200
    home.installation.change(use_case, f"role-{how}", **named)
    home.refusal(home.ask(begun, LIST), code)
    home.refusal(home.ask(begun, GET, home.clusters[0]), code)
    assert home.ask(other, LIST).status == 200


def test_a_role_has_new_sessions_after_the_old_ones_were_ended(home: Home) -> None:
    home.add("again", FULL, kind=PrincipalKind.ROLE)
    old, at = home.begin("again"), int(time.time())
    home.installation.change(end_sessions, "again", now=at)
    time.sleep(max(0.0, at + 1.05 - time.time()))
    new = home.begin("again")
    assert (home.ask(old, LIST).code, home.ask(new, LIST).status) == ("InvalidSecurityToken.Expired", 200)


def test_the_roles_own_permanent_key_outlives_the_end_of_its_sessions(home: Home) -> None:
    key = home.add("both", FULL, kind=PrincipalKind.ROLE)
    home.installation.change(end_sessions, "both")
    assert home.ask(key, LIST).status == 200


def test_a_session_of_another_account_is_of_that_account_alone(home: Home) -> None:
    async def work(custody: Custody) -> NewSession:
        account = await add_account(custody, AUTHOR, time.time(), name="other", region_id="local")
        await add_principal(custody, account, AUTHOR, time.time(), kind=PrincipalKind.ROLE, name="deployer")
        await set_attachment(custody, account, AUTHOR, time.time(), FULL, attached=True, user="deployer")
        return await begin_session(custody, account, AUTHOR, time.time(), "deployer", name="cli", seconds=900)

    foreign = home.installation.run(work)
    assert home.ask(foreign, LIST).json["clusters"] == []
    home.refusal(home.ask(foreign, GET, home.clusters[0]), "ErrorClusterNotFound")
    victim = home.people["victim"].uid
    answer = home.ask(foreign, CLEAN_ONE, home.clusters[0], uid=victim, query=(("Force", "true"),))
    home.refusal(answer, "EntityNotExist.User")


# --- the session's policy


def test_a_sessions_policy_cannot_allow_what_the_role_may_not(home: Home) -> None:
    begun = home.begin("reader", policy=document({"Action": ["cs:*", "kubecustody:*"]}))
    assert home.ask(begun, LIST).status == 200
    answer = home.ask(begun, GET, home.clusters[0])
    assert "no policy of " in home.refusal(answer)
    assert answer.json["AccessDeniedDetail"]["PolicyType"] == "AccountLevelIdentityBasedPolicy"


def test_a_sessions_policy_narrows_what_the_role_may(home: Home) -> None:
    only = document({"Action": "cs:DescribeClusterUserKubeconfig", "Resource": home.arn(home.clusters[0])})
    begun = home.begin("deployer", policy=only)
    for _ in range(2):
        assert home.ask(begun, GET, home.clusters[0]).status == 200
        home.refusal(home.ask(begun, GET, home.clusters[1]))
        home.refusal(home.ask(begun, LIST))
    assert home.ask(home.begin("deployer"), GET, home.clusters[1]).status == 200


def test_a_denial_by_the_sessions_policy_says_so(home: Home) -> None:
    begun = home.begin("deployer", name="nightly", policy=document({"Action": "cs:GetClusters"}))
    answer = home.ask(begun, GET, home.clusters[0])
    assert "STSToken policy Forbidden" in home.refusal(answer) and "policy of the session" in answer.json["Message"]
    assert answer.json["AccessDeniedDetail"] == {
        "AuthAction": "cs:DescribeClusterUserKubeconfig",
        "AuthPrincipalDisplayName": f"{begun.session.uid}:nightly",
        "AuthPrincipalOwnerId": home.installation.account_id,
        "AuthPrincipalType": "AssumedRoleUser",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "SessionPolicy",
    }
    denied = home.begin("deployer", policy=document({"Action": "*"}, {"Effect": "Deny", "Action": "cs:GetClusters"}))
    detail = home.ask(denied, LIST).json["AccessDeniedDetail"]
    assert (detail["NoPermissionType"], detail["PolicyType"]) == ("ExplicitDeny", "SessionPolicy")


def test_a_condition_of_the_sessions_policy_is_looked_at_at_every_request(home: Home) -> None:
    inside = {"IpAddress": {"acs:SourceIp": "192.0.2.0/24"}}
    begun = home.begin("deployer", policy=document({"Action": "cs:*", "Condition": inside}))
    outside = home.begin(
        "deployer", policy=document({"Action": "cs:*"}, {"Effect": "Deny", "Action": "cs:*", "Condition": inside})
    )
    for _ in range(2):
        for operation in (LIST, GET):
            near = home.ask(begun, operation, home.clusters[0], added=(("x-forwarded-for", "192.0.2.9"),))
            far = home.ask(begun, operation, home.clusters[0], added=(("x-forwarded-for", "198.51.100.9"),))
            assert (near.status, far.code) == (200, "StatusForbidden")
            near = home.ask(outside, operation, home.clusters[0], added=(("x-forwarded-for", "192.0.2.9"),))
            far = home.ask(outside, operation, home.clusters[0], added=(("x-forwarded-for", "198.51.100.9"),))
            assert (near.code, far.status) == ("StatusForbidden", 200)


def test_two_sessions_of_one_role_are_judged_by_their_own_policies(home: Home) -> None:
    wide, narrow = home.begin("deployer"), home.begin("deployer", policy=document({"Action": "cs:ListClusters"}))
    for _ in range(2):
        assert home.ask(wide, GET, home.clusters[0]).status == 200
        home.refusal(home.ask(narrow, GET, home.clusters[0]))
        assert home.ask(narrow, LIST).status == 200


# --- what is written down


def test_events_name_the_session(home: Home) -> None:
    begun = home.begin("deployer", name="nightly")
    answer = home.ask(begun, REVOKE, home.clusters[0])
    sql = "SELECT DISTINCT actor FROM events WHERE request_id = ?"
    account = home.installation.account_id
    actor = f"acs:ram::{account}:assumed-role/{begun.session.uid}/nightly"
    assert rows_of(home.path, sql, answer.header("x-acs-request-id")) == [(actor,)]
    sql = "SELECT uid, actor, details FROM events WHERE kind = 'session_begun' AND subject = ?"
    ((uid, by, details),) = rows_of(home.path, sql, f"access-key/{begun.session.access_key_id}")
    assert (uid, by) == (begun.session.uid, AUTHOR.actor)
    assert json.loads(details) == {"name": "nightly", "ends_at": begun.session.ends_at, "policy": ""}


def test_secret_and_token_are_in_no_log_no_error_no_file_and_no_text_of_theirs(home: Home) -> None:
    begun = home.begin("deployer")
    bodies = [
        home.ask(begun, LIST).body,
        home.ask(begun, GET, "c-none").body,
        with_token(home, begun, begun.token[:-2]).body,
        call(home.server, key_of(begun), security_token=begun.token, secret=b"guessed").body,
        call(home.server, home.people["victim"], security_token=begun.token).body,
        with_token(home, home.begin("deployer"), begun.token).body,
    ]
    bodies += [home.server.log.read_bytes(), repr(begun).encode(), str(begun.session).encode()]
    bodies += [file.read_bytes() for file in home.path.parent.rglob("*") if file.is_file()]
    for secret in (begun.session.secret, begun.token, begun.token[20:60]):
        assert not any(secret.encode() in body for body in bodies)


def test_a_running_session_outlives_a_new_master_key(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="deployer")
    with serving(installation) as server:
        place = Place(installation, server)
        before = installation.change(begin_session, "deployer", name="cli", seconds=900)
        assert call(place.server, key_of(before), security_token=before.token).code == "StatusForbidden"
        author = Author("test", reason="test")
        unseen = installation.change(begin_session, "deployer", name="cli", seconds=900)
        installation.run(lambda custody: rotate_master_key(installation.settings, custody, author, time.time()))
        after = installation.change(begin_session, "deployer", name="cli", seconds=900)
        for begun in (before, unseen, after):
            assert call(place.server, key_of(begun), security_token=begun.token).code == "StatusForbidden"


# --- beginning one


@pytest.mark.parametrize("seconds", [899, 43_201, 0, -1])
def test_a_session_lasts_a_quarter_of_an_hour_to_twelve(installation: Installation, seconds: int) -> None:
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="deployer")
    with pytest.raises(OperatorError, match="15m to 12h"):
        installation.change(begin_session, "deployer", name="cli", seconds=seconds)


def test_only_a_living_role_has_sessions(installation: Installation) -> None:
    installation.change(add_principal, kind=PrincipalKind.USER, name="anna")
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="off")
    installation.change(set_principal_disabled, "off", disabled=True)
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="gone")
    installation.change(delete_principal, "gone")
    for who in ("anna", "off", "gone", "nobody", installation.account_id):
        with pytest.raises(OperatorError):
            installation.change(begin_session, who, name="cli", seconds=900)
    assert rows_of(installation.settings.store_file, "SELECT COUNT(*) FROM events WHERE kind = 'session_begun'") == [
        (0,)
    ]


def test_the_event_of_its_beginning_holds_nothing_that_signs(home: Home) -> None:
    begun = home.begin("deployer")
    (details,) = rows_of(
        home.path, "SELECT details FROM events WHERE subject = ?", f"access-key/{begun.session.access_key_id}"
    )
    assert set(json.loads(details[0])) == {"name", "ends_at", "policy"}


# --- between authentication and the transaction

GOES: dict[str, tuple[str, str]] = {
    "role disabled": ("UPDATE principals SET disabled_at = 1 WHERE uid = ?", "InvalidAccessKeyId.Inactive"),
    "role deleted": ("UPDATE principals SET deleted_at = 1 WHERE uid = ?", "InvalidAccessKeyId.NotFound"),
    "sessions ended": (
        "UPDATE principals SET sessions_from = unixepoch() + 1 WHERE uid = ?",
        "InvalidSecurityToken.Expired",
    ),
    "policy detached": ("DELETE FROM policy_attachments WHERE target = ?", "StatusForbidden"),
}


@pytest.mark.parametrize("what", GOES)
def test_what_goes_while_a_call_of_a_session_waits_for_its_transaction_is_gone_for_it(home: Home, what: str) -> None:
    sql, code = GOES[what]
    name = f"waits-{list(GOES).index(what)}"
    home.add(name, FULL, kind=PrincipalKind.ROLE)
    begun = home.begin(name)
    with plain(home.path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer = pool.submit(home.ask, begun, REVOKE, home.clusters[0])
            time.sleep(0.4)  # it is authenticated by now and waits for the lock
            assert not answer.done()
            assert other.execute(sql, (begun.session.uid,)).rowcount == 1
            other.execute("UPDATE accounts SET iam_version = iam_version + 1")
        finally:
            other.execute("COMMIT")
        home.refusal(answer.result(), code)
    assert rows_of(home.path, "SELECT COUNT(*) FROM credentials WHERE uid = ?", begun.session.uid) == [(0,)]


def test_a_session_that_ends_while_its_call_waits_is_let_finish(home: Home) -> None:
    brief = sealed_by_hand(home.installation, home.begin("deployer"), ends_at=int(time.time()) + 1)
    with plain(home.path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer = pool.submit(home.ask, brief, REVOKE, home.clusters[0])
            time.sleep(2.1)
        finally:
            other.execute("COMMIT")
        assert answer.result().status == 200
    home.refusal(home.ask(brief, LIST), "InvalidSecurityToken.Expired")
