"""`kubecustody policy`: what policies decide is told as the server decides it, and expectations are tests of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from commands import ESCAPES, Done, refused, run

from installations import Installation, RunningServer, make_installation, serving
from kubecustody.catalogue.operations import get_operation
from kubecustody.client import Endpoint
from kubecustody.client.calls import Reply, call_operation
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import (
    add_access_key,
    add_principal,
    delete_principal,
    set_delegated_admin,
    set_principal_disabled,
)
from kubecustody.custody.sessions import begin_session
from kubecustody.custody.signers import make_signer

GET = "DescribeClusterUserKubeconfig"
GET_FOR = "DescribeSubaccountK8sClusterUserConfig"
EXPIRE = "UpdateK8sClusterUserConfigExpire"
REVOKE = "RevokeK8sClusterKubeConfig"
CLEAN_ONE = "CleanClusterUserPermissions"
CLEAN = "CleanUserPermissions"
STATES = "ListUserKubeConfigStates"
LIST = "DescribeClustersV1"
DETAIL = "DescribeClusterDetail"
ISSUE = "IssueCredential"
# What looks like one is judged by policies first; what does not is refused before.
NO_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"
NINETY_DAYS = 129_600


def document(*statements: Mapping[str, Any]) -> str:
    """A policy document; what a statement does not say is an Allow on every resource."""
    whole = []
    for statement in statements:
        usual = {"Effect": "Allow"} | ({} if "NotResource" in statement else {"Resource": "*"})
        whole.append({**usual, **statement})
    return json.dumps({"Version": "1", "Statement": whole})


class Home:
    """A served installation with a cluster that issues, `prod`, and one that does not, `test`."""

    def __init__(self, installation: Installation, server: RunningServer) -> None:
        self.installation = installation
        self.server = server
        fields = ClusterFields(name="prod", public_endpoint="https://203.0.113.7:6443")
        self.prod = installation.change(add_cluster, fields)
        installation.change(make_signer, self.prod)
        self.test = installation.change(add_cluster, ClusterFields(name="test"))
        self.target = self.add("target")

    def add(self, name: str, *documents: str, kind: PrincipalKind = PrincipalKind.USER, delegated: bool = False) -> str:
        """A new user or role with policies of their own, called name-0 and so on; the uid."""
        uid = self.installation.change(add_principal, kind=kind, name=name)
        for number, text in enumerate(documents):
            self.installation.change(put_policy, f"{name}-{number}", text)
            self.installation.change(set_attachment, f"{name}-{number}", attached=True, user=name)
        if delegated:
            self.installation.change(set_delegated_admin, name, delegated=True)
        return str(uid)

    def endpoint(self, who: str) -> Endpoint:
        key = self.installation.change(add_access_key, who)
        return Endpoint(self.server.url, key.access_key_id, key.secret)

    def session(self, role: str, policy: str) -> Endpoint:
        begun = self.installation.change(begin_session, role, name="cli", seconds=900, policy=policy)
        session = begun.session
        return Endpoint(self.server.url, session.access_key_id, session.secret, security_token=begun.token)

    def explain(self, *words: str | Path) -> Done:
        done = run(self.installation, "policy", "explain", *words)
        assert done.code in (0, 1), done.err
        assert not ESCAPES.search(done.out + done.err)
        return done

    def told(self, *words: str | Path) -> dict[str, Any]:
        """The explanation as JSON."""
        done = self.explain(*words, "-o", "json")
        answer: dict[str, Any] = done.json
        assert done.code == (0 if answer["allowed"] else 1)
        return answer

    def refused(self, *words: str | Path) -> str:
        return refused(self.installation, "policy", "explain", *words)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    installation = make_installation(tmp_path_factory.mktemp("policy"))
    with serving(installation, account_rate_per_second="0", key_rate_per_second="0") as server:
        yield Home(installation, server)


def call(endpoint: Endpoint, operation: str, **parameters: str) -> Reply:
    return call_operation(endpoint, get_operation(operation), parameters)


def is_forbidden(reply: Reply) -> bool:
    return reply.status == 403 and reply.body["Code"] == "StatusForbidden"


# --- explain and the server

ACTIONS = (
    *("*", "cs:*", "cs:Describe*", "CS:*CONFIG*", "cs:?lean*", "cs:GetUserConfig", "kubecustody:*", "cs:ListClusters"),
    *(f"cs:{name}" for name in (GET, GET_FOR, EXPIRE, REVOKE, CLEAN_ONE, CLEAN, STATES, DETAIL)),
    *("kubecustody:IssueCredential", "kubecustody:DisclosePrivateKeyOfOthers"),
)
CONDITIONS: tuple[dict[str, dict[str, object]], ...] = (
    {"IpAddress": {"acs:SourceIp": "127.0.0.0/8"}},
    {"NotIpAddress": {"acs:SourceIp": ["127.0.0.1", "192.0.2.0/24"]}},
    {"Bool": {"acs:SecureTransport": False}},
    {"Bool": {"acs:SecureTransport": "true"}},
    {"StringLike": {"acs:PrincipalARN": "acs:ram::*:role/*"}},
    {"DateGreaterThan": {"acs:CurrentTime": "2020-01-01T00:00:00Z"}},
    {"NumericLessThanEquals": {"cs:KubeConfigDurationMinutes": 60}},
    {"NumericGreaterThan": {"cs:KubeConfigDurationMinutes": 60}},
    {"NumericEquals": {"cs:KubeConfigDurationMinutes": NINETY_DAYS}},
)


def draw_policy(random: Random, resources: tuple[str, ...], exact: str) -> str:
    statements = []
    for _ in range(random.randint(1, 4)):
        statement: dict[str, Any] = {"Effect": random.choice(("Allow", "Allow", "Allow", "Deny"))}
        actions = random.sample((*ACTIONS, exact), random.randint(1, 3))
        few = random.random() < 0.2
        statement["NotAction" if few else "Action"] = actions
        of = random.sample(resources, random.randint(1, 2))
        statement["NotResource" if random.random() < 0.15 else "Resource"] = of
        if random.random() < 0.4:
            statement["Condition"] = random.choice(CONDITIONS)
        statements.append(statement)
    return document(*statements)


def draw_question(random: Random, home: Home) -> tuple[str, dict[str, str], list[str]]:
    """An operation, the parameters of its call, and the words that ask about the same call."""
    cluster, name = random.choice(((home.prod, "prod"), (home.test, home.test)))
    of_cluster = ["--cluster", name]
    return random.choice(
        (
            (GET, {"ClusterId": cluster}, of_cluster),
            (GET, {"ClusterId": cluster, "TemporaryDurationMinutes": "30"}, [*of_cluster, "--minutes", "30"]),
            ("DescribeClusterV2UserKubeconfig", {"ClusterId": cluster}, of_cluster),
            (
                GET_FOR,
                {"ClusterId": cluster, "Uid": home.target, "TemporaryDurationMinutes": "90"},
                [*of_cluster, "--minutes", "90"],
            ),
            (
                EXPIRE,
                {"ClusterId": cluster, "expire_hour": "1", "user": home.target},
                [*of_cluster, "--minutes", "60"],
            ),
            (REVOKE, {"ClusterId": cluster}, of_cluster),
            (CLEAN_ONE, {"ClusterId": cluster, "Uid": home.target, "Force": "true"}, of_cluster),
            (CLEAN, {"ClusterIds": cluster, "Uid": home.target, "Force": "true"}, of_cluster),
            (ISSUE, {"ClusterId": cluster, "Csr": NO_REQUEST}, of_cluster),
            (DETAIL, {"ClusterId": cluster}, of_cluster),
            (STATES, {"Uid": home.target}, []),
            (LIST, {}, []),
        )
    )


@pytest.mark.parametrize("kind", ["user", "role", "session"])
def test_what_is_explained_is_what_the_server_decides(home: Home, kind: str, tmp_path: Path) -> None:
    random = Random(f"policies of a {kind}")
    resources = (
        *("*", "*", "acs:cs:*:*:cluster/*", "acs:*:*:*:*", f"acs:cs:*:*:cluster/{home.prod}"),
        *("acs:cs:local:*:*", f"acs:cs:*:{home.installation.account_id}:*", "acs:kubecustody:*:*:*"),
    )
    decided = {True: 0, False: 0}
    for number in range(25):
        questions = [draw_question(random, home) for _ in range(4)]
        exact = f"cs:{questions[0][0]}"
        name = f"{kind}-{number}"
        policies = [draw_policy(random, resources, exact) for _ in range(random.randint(1, 2))]
        of_kind = PrincipalKind.USER if kind == "user" else PrincipalKind.ROLE
        home.add(name, *policies, kind=of_kind, delegated=random.random() < 0.5)
        words: list[str | Path] = ["--source-ip", "127.0.0.1", "--plain"]
        if kind == "session":
            file = tmp_path / f"{name}.json"
            file.write_text(draw_policy(random, resources, exact))
            words += ["--session-policy", file]
            endpoint = home.session(name, file.read_text())
        else:
            endpoint = home.endpoint(name)
        for operation, parameters, more in questions:
            told = home.told(name, operation, *words, *more)
            reply = call(endpoint, operation, **parameters)
            assert reply.status != 429 and reply.status < 500, reply.body
            assert is_forbidden(reply) is not told["allowed"], (policies, words, operation, told, reply.body)
            decided[told["allowed"]] += 1
    assert min(decided.values()) >= 15, decided


@pytest.mark.parametrize(("hours", "minutes", "allowed"), [(None, NINETY_DAYS, False), (1, 60, True), (2, 120, False)])
def test_real_validity_is_what_the_call_would_give_or_return(
    home: Home, hours: int | None, minutes: int, allowed: bool
) -> None:
    name = f"hours-{hours}"
    hour = {"NumericLessThanEquals": {"cs:KubeConfigDurationMinutes": 60}}
    uid = home.add(name, document({"Action": f"cs:{GET}", "Condition": hour}))
    account = Endpoint(home.server.url, home.installation.key.access_key_id, home.installation.key.secret)
    if hours is not None:
        assert call(account, EXPIRE, ClusterId=home.prod, expire_hour=str(hours), user=uid).status == 200
    for _ in range(2):  # issued, and then handed out again
        told = home.told(uid, GET, "--cluster", "prod")
        (condition,) = told["decisions"][0]["statements"][0]["conditions"]
        assert (told["allowed"], condition["given"]) == (allowed, str(minutes))
        assert call(home.endpoint(name), GET, ClusterId=home.prod).status == (200 if allowed else 403)


# --- explain


def test_decision_comes_first_and_then_how_each_statement_was_read(home: Home) -> None:
    home.add(
        "reader",
        document(
            {"Action": ["ecs:*", "CS:Get*"], "Resource": "acs:cs:*:*:cluster/*"},
            {"Effect": "Deny", "NotAction": "cs:DescribeClustersV1"},
            {"Action": "cs:Revoke*", "Condition": {"IpAddress": {"acs:SourceIp": ["192.0.2.7", "192.0.2.8"]}}},
        ),
    )
    done = home.explain("READER", LIST.lower())
    lines = done.out.splitlines()
    assert (done.code, lines[0]) == (0, "Allowed by reader-0, Statement[0].")
    account = home.installation.account_id
    assert lines[2] == (
        f"cs:GetClusters or cs:DescribeClustersV1 or cs:ListClusters on acs:cs:local:{account}:cluster/*:"
    )
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[4:]]
    assert rows == [
        ["reader-0", "Statement[0]", "Allow", "CS:Get* (cs:GetClusters)", "acs:cs:*:*:cluster/*", "yes"],
        ["reader-0", "Statement[1]", "Deny", "excepted by cs:DescribeClustersV1", "*", "no"],
        [
            *("reader-0", "Statement[2]", "Allow", "no match", "*"),
            *("IpAddress acs:SourceIp 192.0.2.7 or 192.0.2.8 (absent: not held)", "no"),
        ],
    ]


def test_json_has_every_statement_with_its_conditions(home: Home) -> None:
    uid = home.add("plain", document({"Effect": "Deny", "Action": "*", "Condition": {
        "Bool": {"acs:SecureTransport": "false"}, "DateLessThan": {"acs:CurrentTime": "2026-12-01T08:00:00+08:00"},
    }}))  # fmt: skip
    told = home.told(uid, STATES, "--plain", "--at", "2026-11-30T23:59:59Z")
    resource = f"acs:cs:local:{home.installation.account_id}:*"
    assert told == {
        "allowed": False,
        "reason": "denied by plain-0, Statement[0]",
        "principal": f"acs:ram::{home.installation.account_id}:user/{uid}",
        "operation": STATES,
        "decisions": [
            {
                "actions": [f"cs:{STATES}"],
                "resource": resource,
                "allowed": False,
                "explicit": True,
                "policy": "plain-0",
                "statement_index": 0,
                "statements": [
                    {
                        "policy": "plain-0",
                        "statement_index": 0,
                        "effect": "Deny",
                        "action_matched": True,
                        "action_pattern": "*",
                        "action_name": f"cs:{STATES}",
                        "resource_matched": True,
                        "resource_pattern": "*",
                        "conditions": [
                            {
                                "operator": "Bool",
                                "key": "acs:SecureTransport",
                                "written": ["false"],
                                "given": "false",
                                "held": True,
                            },
                            {
                                "operator": "DateLessThan",
                                "key": "acs:CurrentTime",
                                "written": ["2026-12-01T08:00:00+08:00"],
                                "given": "2026-11-30T23:59:59Z",
                                "held": True,
                            },
                        ],
                        "applies": True,
                    }
                ],
            }
        ],
    }
    assert home.told(uid, STATES, "--plain", "--at", "2026-12-01T00:00:00Z")["reason"] == "no policy allows it"
    assert home.told(uid, STATES, "--secure", "--at", "2026-11-30T23:59:59Z")["reason"] == "no policy allows it"


def test_an_allow_that_lacks_a_condition_is_named_with_what_it_lacks(home: Home) -> None:
    home.add("near", document({"Action": "cs:*", "Condition": {"IpAddress": {"acs:SourceIp": "192.0.2.0/24"}}}))
    assert home.told("near", STATES)["reason"] == (
        "no policy allows it: near-0, Statement[0] would but for IpAddress acs:SourceIp 192.0.2.0/24 (absent: not held)"
    )
    assert home.told("near", STATES, "--source-ip", "::ffff:192.0.2.9")["allowed"]


def test_who_has_no_policy_is_told_so(home: Home) -> None:
    assert home.told("target", STATES)["reason"] == "no policy is attached"
    lines = home.explain("target", STATES).out.splitlines()
    assert (lines[0], lines[-1]) == ("Denied: no policy is attached.", "No policy is attached.")


def test_account_may_do_everything(home: Home) -> None:
    for who in (home.installation.account_id, "test"):
        done = home.explain(who, GET_FOR, "--cluster", "prod")
        assert (done.code, done.out) == (0, "Allowed: the account may do everything.\n")


def test_policy_of_a_session_is_told_beside_those_of_the_role(home: Home, tmp_path: Path) -> None:
    home.add("ci", document({"Action": "cs:*"}), kind=PrincipalKind.ROLE)
    file = tmp_path / "session.json"
    file.write_text(document({"Action": "cs:Describe*"}))
    told = home.told("ci", STATES, "--session-policy", file)
    assert told["reason"] == "the policy of the session does not allow it"
    policies = [statement["policy"] for statement in told["decisions"][0]["statements"]]
    assert policies == ["ci-0", "the policy of the session"]
    assert home.told("ci", LIST, "--session-policy", file)["reason"] == "allowed by ci-0, Statement[0]"
    file.write_text(document({"Action": "*"}, {"Effect": "Deny", "Action": "cs:List*"}))
    told = home.told("ci", STATES, "--session-policy", file)
    assert told["reason"] == "denied by the policy of the session, Statement[1]"


def test_delegation_is_told_with_all_that_it_needs(home: Home) -> None:
    exact = document({"Action": f"cs:{GET_FOR}"})
    home.add("helper", exact)
    words = ("helper", GET_FOR, "--cluster", "prod")
    assert home.told(*words)["reason"].startswith("only the account may call it, or an administrator whom it delegated")
    home.installation.change(set_delegated_admin, "helper", delegated=True)
    told = home.told(*words)
    need = "kubecustody:DisclosePrivateKeyOfOthers"
    assert told["reason"].endswith(f"names cs:{GET_FOR} and {need} outright")
    assert [decision["actions"] for decision in told["decisions"]] == [[f"cs:{GET_FOR}"], [need]]
    home.installation.change(put_policy, "helper-0", document({"Action": [f"cs:{GET_FOR}", need]}))
    assert home.told(*words)["reason"] == "allowed by helper-0, Statement[0], to a delegated administrator"


def test_call_over_clusters_is_explained_for_the_call_and_for_the_cluster(home: Home) -> None:
    account = home.installation.account_id
    in_test = {"Effect": "Deny", "Action": f"cs:{CLEAN_ONE}", "Resource": f"acs:cs:*:*:cluster/{home.test}"}
    home.add("cleaner", document({"Action": f"cs:{CLEAN}"}, in_test))
    assert home.told("cleaner", CLEAN)["allowed"] and home.told("cleaner", CLEAN, "--cluster", "prod")["allowed"]
    told = home.told("cleaner", CLEAN, "--cluster", "test")
    resource = f"acs:cs:local:{account}:cluster/{home.test}"
    assert told["reason"] == f"denied by cleaner-0, Statement[1] on {resource}"
    assert [decision["allowed"] for decision in told["decisions"]] == [True, False]
    assert told["decisions"][1]["actions"] == [f"cs:{CLEAN}", f"cs:{CLEAN_ONE}"]


def test_who_is_disabled_is_told_to_be_refused_all_the_same(home: Home) -> None:
    home.add("asleep", document({"Action": "*"}))
    home.installation.change(set_principal_disabled, "asleep", disabled=True)
    done = home.explain("asleep", STATES, "-o", "json")
    assert done.json["allowed"] and "every access key of theirs is refused" in done.err


def test_question_that_has_no_answer_is_told(home: Home, tmp_path: Path) -> None:
    gone = home.add("gone")
    home.installation.change(delete_principal, "gone")
    home.add("asked", document({"Action": "*", "Condition": CONDITIONS[6]}))
    long = tmp_path / "long.json"
    long.write_text(document({"Action": ["cs:" + "x" * 2000]}))
    bad = tmp_path / "bad.json"
    bad.write_text('{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Ressource": "*"}]}')
    for words, told in (
        (("nobody", STATES), "There is no user or role 'nobody'"),
        ((gone, STATES), "is deleted, and every access key of theirs with them"),
        (("target", "Steal"), "There is no operation 'Steal'. There are: "),
        (("target", GET), f"{GET} is decided for a cluster; say which."),
        (("target", GET, "--cluster", "nowhere"), "nowhere"),
        (("target", STATES, "--cluster", "prod"), "is decided for the account, not for a cluster"),
        (("target", STATES, "--minutes", "60"), "has to do with no validity"),
        (("target", STATES, "--source-ip", "192.0.2.300"), "'192.0.2.300' is no address"),
        (("target", STATES, "--at", "noon"), "'noon' is no time of RFC 3339 with a zone"),
        (("target", STATES, "--session-policy", bad), "Statement[0].Ressource"),
        (("ci", STATES, "--session-policy", long), "2048 characters at most"),
        (("target", LIST, "--session-policy", _fine(tmp_path)), "only roles have sessions"),
        (("asked", EXPIRE, "--cluster", "prod"), "it hangs on the other parameters; say the minutes"),
    ):
        assert told in home.refused(*words), words


def _fine(folder: Path) -> Path:
    file = folder / "fine.json"
    file.write_text(document({"Action": "*"}))
    return file


# --- test


class Tried:
    """Expectations tried with no installation at all."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.nowhere = {"KUBECUSTODY_DATA_DIR": str(folder / "nowhere")}
        self.installation = installation
        self.file = folder / "expectations.yaml"

    def __call__(self, text: str) -> Done:
        self.file.write_text(text, "utf-8")
        done = run(self.installation, "policy", "test", self.file, env=self.nowhere)
        assert not ESCAPES.search(done.out + done.err)
        return done

    def refused(self, text: str) -> str:
        self.file.write_text(text, "utf-8")
        return refused(self.installation, "policy", "test", self.file, env=self.nowhere)


@pytest.fixture
def tried(home: Home, tmp_path: Path) -> Tried:
    return Tried(home.installation, tmp_path)


MANY = f"""
- name: everyone may list
  policies: [AliyunCSReadOnlyAccess]
  operation: {LIST}
  expect: allow
  by: aliyuncsreadonlyaccess
- name: no auditor gets a key
  policies: [kubecustodyauditor, AliyunCSFullAccess]
  operation: {GET}
  cluster: c1
  expect: deny
  by: KubecustodyAuditor
- name: an hour is fine
  policies: [developers.json]
  operation: {GET}
  cluster: c1
  minutes: 60
  expect: allow
  by: developers
- name: a day is not
  policies: [developers.json]
  operation: {GET}
  cluster: c1
  minutes: 1440
  expect: deny
- name: an inline one, by its time, place and person
  policies:
    - Version: 1
      Statement:
        - Effect: Allow
          Action: cs:*
          Resource: acs:cs:eu-central-1:7:*
          Condition:
            DateLessThan: {{acs:CurrentTime: 2026-12-01T00:00:00Z}}
            IpAddress: {{acs:SourceIp: [192.0.2.0/24]}}
            Bool: {{acs:SecureTransport: true}}
            StringEquals: {{acs:PrincipalARN: "acs:ram::7:user/200"}}
  operation: {STATES}
  at: 2026-11-30T23:59:59Z
  source_ip: 192.0.2.7
  secure: True
  account: 7
  region: eu-central-1
  uid: 200
  expect: allow
  by: policies[0]
- name: a session only narrows
  policies: [AliyunCSFullAccess]
  session_policy: developers.json
  operation: {LIST}
  expect: deny
  by: the policy of the session
- name: what is delegated
  policies: [delegate.json]
  delegated_admin: true
  operation: {EXPIRE}
  cluster: c1
  expect: allow
- name: nobody
  policies: []
  operation: {STATES}
  expect: deny
"""


@pytest.fixture
def documents(tmp_path: Path) -> None:
    (tmp_path / "developers.json").write_text(document({"Action": f"cs:{GET}", "Condition": CONDITIONS[6]}))
    (tmp_path / "delegate.json").write_text(document({"Action": f"cs:{EXPIRE}"}))


@pytest.mark.usefixtures("documents")
def test_expectations_of_policies_need_no_store(tried: Tried) -> None:
    done = tried(MANY)
    assert (done.code, done.out, done.err) == (0, "8 of 8 expectations hold.\n", "")


@pytest.mark.usefixtures("documents")
def test_file_may_be_json_with_tabs(tried: Tried) -> None:
    text = json.dumps(
        [{"name": 'a "/\u00fc', "policies": ["AliyunCSFullAccess"], "operation": STATES, "expect": "deny"}]
    )
    done = tried(text.replace("{", "{\n\t"))
    assert done.code == 1
    assert done.out.splitlines()[0] == (
        'FAILED line 1 (a "/ü): expected deny; allowed by AliyunCSFullAccess, Statement[0].'
    )


@pytest.mark.usefixtures("documents")
def test_each_failing_expectation_is_a_line_with_its_reason(tried: Tried) -> None:
    turned = MANY.replace("expect: allow", "expect: ALLOW").replace("expect: deny", "expect: allow")
    done = tried(turned.replace("expect: ALLOW", "expect: deny").replace("  by: policies[0]\n", ""))
    assert done.code == 1
    *lines, summary = done.out.splitlines()
    assert summary == "0 of 8 expectations hold." and len(lines) == 8
    assert lines[0] == (
        "FAILED line 2 (everyone may list): expected deny by aliyuncsreadonlyaccess; "
        "allowed by AliyunCSReadOnlyAccess, Statement[0]."
    )
    assert lines[3] == (
        "FAILED line 20 (a day is not): expected allow; no policy allows it: developers, Statement[0] would but for "
        "NumericLessThanEquals cs:KubeConfigDurationMinutes 60 (1440: not held)."
    )
    assert lines[7] == "FAILED line 58 (nobody): expected allow; no policy is attached."


def test_right_decision_of_another_policy_fails(tried: Tried) -> None:
    done = tried(
        f"- {{name: n, policies: [AliyunCSFullAccess], operation: {STATES}, expect: allow, by: AliyunCSReadOnlyAccess}}"
    )
    assert (done.code, done.out.splitlines()[0]) == (
        1, "FAILED line 1 (n): expected allow by AliyunCSReadOnlyAccess; allowed by AliyunCSFullAccess, Statement[0].",
    )  # fmt: skip


def test_expectations_of_users_are_answered_from_the_store(home: Home, tmp_path: Path) -> None:
    uid = home.add("stored", document({"Action": f"cs:{GET}", "Condition": CONDITIONS[8]}))
    file = tmp_path / "expectations.yaml"
    file.write_text(
        f"- {{name: by name, who: stored, operation: {GET}, cluster: prod, expect: allow, by: stored-0}}\n"
        f"- {{name: by uid, who: {uid}, operation: {GET}, cluster: {home.prod}, minutes: 60, expect: deny}}\n"
        f"- {{name: all, who: test, operation: {EXPIRE}, cluster: prod, expect: allow}}\n"
        f"- {{name: other, who: stored, operation: {EXPIRE}, cluster: prod, minutes: 60, expect: allow}}\n"
    )
    done = run(home.installation, "policy", "test", file)
    assert (done.code, done.err) == (1, "")
    failure, summary = done.out.splitlines()
    assert failure.startswith("FAILED line 4 (other): expected allow; only the account may call it, or an ")
    assert summary == "3 of 4 expectations hold."
    file.write_text(
        f"- {{name: a, who: nobody, operation: {STATES}, expect: allow}}\n"
        f"- {{name: b, who: stored, operation: {GET}, cluster: nowhere, expect: allow}}\n"
    )
    told = refused(home.installation, "policy", "test", file)
    assert "line 1 (a): There is no user or role 'nobody'" in told and "line 2 (b): " in told and "nowhere" in told


FINE = f"name: n, policies: [AliyunCSFullAccess], operation: {STATES}, expect: allow"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a list of at least one expectation"),
        ("[]", "must be a list of at least one expectation"),
        ("{a: b}", "must be a list of at least one expectation"),
        ("- [1]", "line 1: an expectation must be a mapping with name, operation, expect"),
        ("- a: b: c", "is neither YAML nor JSON: line 1, column 7: mapping values are not allowed here."),
        ("-\n- \x01", "line 2: a character that YAML forbids"),
        ("- &a {name: *a}", "line 1, column 13: an alias (*name) is not followed"),
        ("[" * 5000, "is nested too deeply"),
        (f"- {{{FINE}, colour: red}}", "line 1: 'colour' is no member; there are name, operation, expect, who, "),
        (f"- {{{FINE}, name: m}}", "line 1: name is given more than once"),
        ("- {who: a}", "line 1: name is missing\n  line 1: operation is missing\n  line 1: expect is missing"),
        ("- {name: n, operation: Steal, expect: allow, who: a}", "line 1: operation 'Steal' is none that there is"),
        (f"- {{{FINE.replace('allow', 'yes')}}}", "line 1: expect must be allow or deny"),
        (f"- {{{FINE}, secure: yes}}", "line 1: secure must be true or false"),
        (f"- {{{FINE}, at: noon}}", "line 1: at is wrong: 'noon' is no time"),
        (f"- {{{FINE}, minutes: -1}}", "line 1: minutes must be a whole number"),
        (f"- {{{FINE}, minutes: 60}}", "has to do with no validity"),
        (f"- {{{FINE}, cluster: c}}", "is decided for the account, not for a cluster"),
        (f"- {{{FINE}, source_ip: here}}", "'here' is no address"),
        (f"- {{{FINE}, cluster: }}", "cluster must be a text that is not empty"),
        (f"- {{{FINE}, who: a}}", "say either who, or policies"),
        (f"- {{name: n, operation: {STATES}, expect: allow}}", "say either who, or policies"),
        (f"- {{name: n, operation: {STATES}, expect: allow, who: a, uid: 1}}", "uid goes with policies alone"),
        (f"- {{{FINE.replace('AliyunCSFullAccess', 'nowhere.json')}}}", "nowhere.json cannot be read"),
        (f"- {{{FINE.replace('AliyunCSFullAccess', '{Version: 1}')}}}", "in line 1: The policy is refused"),
        (f"- {{{FINE.replace('AliyunCSFullAccess', '{Version: 1, Version: 1}')}}}", "Version: is given more than once"),
        (f"- {{{FINE.replace('[AliyunCSFullAccess]', 'AliyunCSFullAccess')}}}", "policies must be a list of documents"),
        (f"- {{{FINE}, session_policy: {{? [a] : b}}}}", "has a member in line 1 whose name is no plain text"),
    ],
)
def test_file_that_is_wrong_is_told_with_place(tried: Tried, text: str, told: str) -> None:
    assert told in tried.refused(text)


@pytest.mark.usefixtures("documents")
def test_every_fault_of_a_file_is_told_at_once(tried: Tried) -> None:
    told = tried.refused(
        f"- {{{FINE}, colour: red, secure: maybe}}\n- {{name: n, policies: [], operation: {GET}, expect: deny}}\n"
    )
    assert [line.strip().split(":")[0] for line in told.splitlines()[1:]] == ["line 1", "line 1", "line 2"]


@pytest.mark.usefixtures("documents")
def test_minutes_that_a_policy_asks_for_and_nobody_says_are_told(tried: Tried) -> None:
    told = tried.refused(f"- {{name: n, policies: [developers.json], operation: {GET}, cluster: c1, expect: deny}}")
    assert "line 1 (n): A policy asks for cs:KubeConfigDurationMinutes" in told and "say the minutes" in told


def test_file_that_is_no_text_is_told(tried: Tried) -> None:
    tried.file.write_bytes(b"- \xff")
    told = refused(tried.installation, "policy", "test", tried.file, env=tried.nowhere)
    assert "is not UTF-8 at byte 2" in told
