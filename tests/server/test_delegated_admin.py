"""What only the account may do, in the hands of a delegated administrator: how far it reaches, and how it ends."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from homes import EXPIRE, FULL, GET_FOR, Home, Who, document, served_home
from wire import Answer

from custody.books import ask as rows_of
from custody.books import contents, plain
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.principals import delete_principal, set_delegated_admin

GET_EXACTLY = "cs:DescribeSubaccountK8sClusterUserConfig"
EXPIRE_EXACTLY = "cs:UpdateK8sClusterUserConfigExpire"
DISCLOSE = "kubecustody:DisclosePrivateKeyOfOthers"
EVERYTHING = {"Action": [GET_EXACTLY, EXPIRE_EXACTLY, DISCLOSE]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("delegated")) as home:
        home.add("victim", FULL)
        yield home


def delegate(home: Home, name: str, *, delegated: bool = True) -> None:
    home.installation.change(set_delegated_admin, name, delegated=delegated)


def expire(home: Home, who: Who, uid: str, cluster: str = "") -> Answer:
    return home.ask(who, EXPIRE, cluster or home.clusters[0], body={"expire_hour": 24, "user": uid})


def get_for(home: Home, who: Who, uid: str, cluster: str = "", **more: Any) -> Answer:
    return home.ask(who, GET_FOR, cluster or home.clusters[0], uid=uid, **more)


def both_refused(home: Home, who: Who, uid: str, *, told: str = "") -> None:
    before = contents(home.path)
    for answer in (expire(home, who, uid), get_for(home, who, uid)):
        assert told in home.refusal(answer)
    assert contents(home.path) == before


def test_full_access_is_no_delegation(home: Home) -> None:
    home.add("full", FULL)
    both_refused(home, "full", home.people["victim"].uid, told="only the account itself")


def test_the_exact_action_is_no_delegation_either(home: Home) -> None:
    home.allow("exact", EVERYTHING)
    both_refused(home, "exact", home.people["victim"].uid, told="only the account itself")


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "*"},
        {"Action": "cs:*"},
        {
            "Action": [
                "cs:UpdateK8sClusterUserConfigExpir?",
                "cs:DescribeSubaccountK8sClusterUserConfi?",
                "kubecustody:*",
            ]
        },
        {"Action": ["cs:UpdateK8sClusterUserConfigExpire*", "cs:DescribeSubaccountK8sClusterUserConfig*"]},
        {"NotAction": "cs:GetClusters"},
        {"Action": ["cs:GetClusters", DISCLOSE]},
    ],
    ids=["star", "cs", "question", "trailing-star", "not-action", "another"],
)
def test_a_delegate_needs_an_allow_that_names_the_very_action(
    home: Home, statement: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    name = f"wide-{request.node.callspec.id}"
    home.allow(name, statement)
    delegate(home, name)
    both_refused(home, name, home.people["victim"].uid)


def test_a_delegate_with_the_exact_actions_does_both(home: Home) -> None:
    home.allow("admin", EVERYTHING)
    delegate(home, "admin")
    uid = home.add("subject").uid
    assert expire(home, "admin", uid).json == {}
    given = get_for(home, "admin", uid)
    assert given.status == 200 and f"{uid}" in given.json["config"]
    assert given.json == get_for(home, "account", uid).json
    sql = "SELECT DISTINCT actor FROM events WHERE uid = ? AND kind = 'private_key_disclosed' ORDER BY actor"
    account = home.installation.account_id
    admin = f"acs:ram::{account}:user/{home.people['admin'].uid}"
    assert rows_of(home.path, sql, uid) == [(f"acs:ram::{account}:root",), (admin,)]


def test_case_of_the_exact_action_does_not_matter(home: Home) -> None:
    home.allow("spelt", {"Action": [EXPIRE_EXACTLY.upper(), GET_EXACTLY.lower(), DISCLOSE.lower()]})
    delegate(home, "spelt")
    uid = home.add("spelt-subject").uid
    assert (expire(home, "spelt", uid).status, get_for(home, "spelt", uid).status) == (200, 200)


@pytest.mark.parametrize(
    "disclosing",
    [[], ["kubecustody:*"], ["kubecustody:DisclosePrivateKeyOfOther?"], ["*"]],
    ids=["none", "star", "question", "everything"],
)
def test_anothers_private_key_needs_a_second_grant_named_outright(
    home: Home, disclosing: list[str], request: pytest.FixtureRequest
) -> None:
    name = f"half-{request.node.callspec.id}"
    home.allow(name, {"Action": [GET_EXACTLY, EXPIRE_EXACTLY, *disclosing]})
    delegate(home, name)
    uid = home.people["victim"].uid
    assert expire(home, name, uid).status == 200
    home.refusal(get_for(home, name, uid))


def test_the_second_grant_counts_on_the_cluster_that_it_names(home: Home) -> None:
    home.allow("by-cluster", {"Action": GET_EXACTLY}, {"Action": DISCLOSE, "Resource": home.arn(home.clusters[0])})
    delegate(home, "by-cluster")
    uid = home.people["victim"].uid
    assert get_for(home, "by-cluster", uid).status == 200
    home.refusal(get_for(home, "by-cluster", uid, home.clusters[1]))


@pytest.mark.parametrize("denied", [[GET_EXACTLY, EXPIRE_EXACTLY], ["*"], ["cs:*"]], ids=["exact", "star", "cs"])
def test_a_deny_stands_above_a_delegation(home: Home, denied: list[str], request: pytest.FixtureRequest) -> None:
    name = f"denied-{request.node.callspec.id}"
    home.allow(name, EVERYTHING, {"Effect": "Deny", "Action": denied})
    delegate(home, name)
    both_refused(home, name, home.people["victim"].uid, told=f"the policy of-{name} denies it")


def test_a_deny_of_the_second_grant_keeps_the_key_back(home: Home) -> None:
    home.allow("keyless", EVERYTHING, {"Effect": "Deny", "Action": "kubecustody:*"})
    delegate(home, "keyless")
    uid = home.people["victim"].uid
    assert expire(home, "keyless", uid).status == 200
    home.refusal(get_for(home, "keyless", uid))


def test_a_delegate_never_reaches_the_account_themselves_or_another_delegate(home: Home) -> None:
    home.allow("reaching", EVERYTHING)
    other = home.allow("other-delegate", EVERYTHING).uid
    for name in ("reaching", "other-delegate"):
        delegate(home, name)
    before = contents(home.path)
    for uid in (home.installation.account_id, home.people["reaching"].uid, other):
        for answer in (expire(home, "reaching", uid), get_for(home, "reaching", uid)):
            assert home.refusal(answer, "ForbiddenDelegatedAdmin")
    assert contents(home.path) == before
    # The account itself does.
    assert (expire(home, "account", other).status, get_for(home, "account", other).status) == (200, 200)
    # Who is no delegate any more is reached again.
    delegate(home, "other-delegate", delegated=False)
    assert expire(home, "reaching", other).status == 200


def test_taking_the_delegation_back_works_at_the_next_request(home: Home) -> None:
    home.allow("for-a-while", EVERYTHING)
    uid = home.people["victim"].uid
    for _ in range(2):
        home.refusal(expire(home, "for-a-while", uid))
        delegate(home, "for-a-while")
        assert (expire(home, "for-a-while", uid).status, get_for(home, "for-a-while", uid).status) == (200, 200)
        delegate(home, "for-a-while", delegated=False)
        home.refusal(get_for(home, "for-a-while", uid))
    delegate(home, "for-a-while")
    home.attach("of-for-a-while", "for-a-while", attached=False)
    both_refused(home, "for-a-while", uid)


def test_who_may_not_is_told_the_same_whether_user_and_cluster_exist_or_not(home: Home) -> None:
    home.allow("elsewhere", {**EVERYTHING, "Resource": home.arn("c-elsewhere")})
    delegate(home, "elsewhere")
    home.add("nobody")
    home.add("another-full", FULL)
    gone = home.add("gone").uid
    home.installation.change(delete_principal, "gone")
    users = [home.people["victim"].uid, "299", gone, home.installation.account_id, home.people["elsewhere"].uid]
    for who in ("nobody", "another-full", "elsewhere"):
        for call in (expire, get_for):
            told = set()
            for uid in users:
                for cluster in (home.clusters[0], "c-none"):
                    answer = call(home, who, uid, cluster)
                    text = home.refusal(answer) + json.dumps(answer.json["AccessDeniedDetail"], sort_keys=True)
                    told.add(text.replace(cluster, "").replace(answer.header("x-acs-request-id"), ""))
            assert len(told) == 1, (who, call)


def test_a_delegate_is_told_what_does_not_exist(home: Home) -> None:
    home.allow("told", EVERYTHING)
    delegate(home, "told")
    uid = home.people["victim"].uid
    home.refusal(expire(home, "told", "299"), "EntityNotExist.User")
    home.refusal(get_for(home, "told", "299"), "EntityNotExist.User")
    home.refusal(expire(home, "told", uid, "c-none"), "ErrorClusterNotFound")
    home.refusal(get_for(home, "told", uid, "c-none"), "ErrorClusterNotFound")


def test_a_session_of_a_delegated_role_is_narrowed_by_its_policy(home: Home) -> None:
    home.add("steward", home.put("of-steward", EVERYTHING), kind=PrincipalKind.ROLE)
    delegate(home, "steward")
    uid = home.people["victim"].uid
    whole = home.begin("steward")
    wide = home.begin("steward", policy=document({"Action": "*"}))
    keyless = home.begin("steward", policy=document({"Action": "cs:*"}))
    nothing = home.begin("steward", policy=document({"Action": "cs:GetClusters"}))
    for _ in range(2):
        assert [get_for(home, who, uid).status for who in (whole, wide, keyless, nothing)] == [200, 200, 403, 403]
        assert [expire(home, who, uid).status for who in (whole, wide, keyless, nothing)] == [200, 200, 200, 403]
    delegate(home, "steward", delegated=False)
    assert [get_for(home, who, uid).status for who in (whole, wide)] == [403, 403]


@pytest.mark.parametrize(
    "goes",
    ["UPDATE principals SET delegated_admin = 0 WHERE uid = ?", "DELETE FROM policy_attachments WHERE target = ?"],
    ids=["delegation", "policy"],
)
def test_what_is_taken_back_while_a_call_waits_for_its_transaction_is_gone_for_it(home: Home, goes: str) -> None:
    name = f"waiting-{len(home.people)}"
    admin, uid = home.allow(name, EVERYTHING).uid, home.people["victim"].uid
    delegate(home, name)
    with plain(home.path) as other, ThreadPoolExecutor(2) as pool:
        other.execute("BEGIN IMMEDIATE")
        try:
            answers = [pool.submit(call, home, name, uid) for call in (expire, get_for)]
            time.sleep(0.4)  # both are authorised by now and wait for the lock
            assert not any(answer.done() for answer in answers)
            assert other.execute(goes, (admin,)).rowcount == 1
            other.execute("UPDATE accounts SET iam_version = iam_version + 1")
        finally:
            other.execute("COMMIT")
        for answer in answers:
            home.refusal(answer.result())


def test_who_becomes_a_delegate_while_a_call_waits_is_out_of_reach(home: Home) -> None:
    home.allow("late", EVERYTHING)
    delegate(home, "late")
    uid = home.add("promoted").uid
    with plain(home.path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer = pool.submit(get_for, home, "late", uid)
            time.sleep(0.4)
            assert not answer.done()
            other.execute("UPDATE principals SET delegated_admin = 1 WHERE uid = ?", (uid,))
        finally:
            other.execute("COMMIT")
        home.refusal(answer.result(), "ForbiddenDelegatedAdmin")


def test_a_condition_of_the_exact_grant_is_asked_again_in_the_transaction(home: Home) -> None:
    """Also where a wider Allow before it has none: the validity may be set anew while the call waits."""
    short = {"Condition": {"NumericLessThanEquals": {"cs:KubeConfigDurationMinutes": "60"}}}
    home.allow("bounded", {"Action": "*"}, {**EVERYTHING, **short})
    delegate(home, "bounded")
    uid = home.add("bounded-subject").uid
    assert home.ask("account", EXPIRE, home.clusters[0], body={"expire_hour": 1, "user": uid}).status == 200
    with plain(home.path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer = pool.submit(get_for, home, "bounded", uid)
            time.sleep(0.4)
            assert not answer.done()
            assert other.execute("UPDATE custom_validities SET hours = 48 WHERE uid = ?", (uid,)).rowcount == 1
        finally:
            other.execute("COMMIT")
        home.refusal(answer.result())
    assert rows_of(home.path, "SELECT COUNT(*) FROM credentials WHERE uid = ?", uid) == [(0,)]
