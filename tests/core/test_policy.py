import json
from collections.abc import Mapping

import pytest

from kubecustody.core.policy import (
    Decision,
    NamedPolicy,
    Policy,
    Statement,
    evaluate,
    has_exact_allow,
    keys_used,
)
from kubecustody.core.policy_conditions import EMPTY_CONTEXT
from kubecustody.core.policy_documents import parse_policy

LIST_STATES = frozenset({"cs:ListUserKubeConfigStates"})
LIST_CLUSTERS = frozenset({"cs:GetClusters", "cs:DescribeClustersV1", "cs:ListClusters"})
CLUSTER = "acs:cs:cn-hangzhou:1000000000000001:cluster/c1"


def document(*statements: object, **members: object) -> str:
    return json.dumps({"Version": "1", "Statement": list(statements), **members})


def statement(effect: object = "Allow", action: object = "cs:*", resource: object = "*", **more: object) -> object:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def named(name: str, *statements: object) -> NamedPolicy:
    return NamedPolicy(name, parse_policy(document(*statements)))


# ---- evaluating


def test_silence_refuses_and_names_nobody() -> None:
    policies = [named("other", statement(action="ecs:*"))]
    assert evaluate(policies, actions=LIST_STATES, resource="*") == Decision(False, False, None, None)
    assert evaluate([], actions=LIST_STATES, resource="*") == Decision(False, False)


def test_allow_names_its_policy_and_statement() -> None:
    policies = [
        named("first", statement(action="ecs:*")),
        named("second", statement(action="ram:*"), statement(action=["rds:*", "cs:List*"])),
    ]
    assert evaluate(policies, actions=LIST_STATES, resource="*") == Decision(True, True, "second", 1)


def test_first_of_several_that_allow_is_named() -> None:
    policies = [named("p", statement(action="ecs:*"), statement()), named("q", statement())]
    assert evaluate(policies, actions=LIST_STATES, resource="*") == Decision(True, True, "p", 1)


def test_deny_anywhere_wins_over_allow() -> None:
    policies = [named("all", statement(action="*")), named("not", statement("Deny", "cs:List*"))]
    assert evaluate(policies, actions=LIST_STATES, resource="*") == Decision(False, True, "not", 0)


def test_deny_is_not_passed_by_an_alias() -> None:
    policies = [named("p", statement(), statement("Deny", "cs:GetClusters"))]
    assert evaluate(policies, actions=LIST_CLUSTERS, resource="*") == Decision(False, True, "p", 1)
    policies = [named("p", statement(), statement("Deny", "cs:describeclustersv1"))]
    assert not evaluate(policies, actions=LIST_CLUSTERS, resource="*").allowed


def test_allow_of_any_alias_allows() -> None:
    policies = [named("p", statement(action="cs:ListClusters"))]
    assert evaluate(policies, actions=LIST_CLUSTERS, resource="*").allowed


def test_actions_are_compared_without_regard_to_case_and_resources_with_it() -> None:
    for action in ("CS:LISTUSERKUBECONFIGSTATES", "cs:listuser*"):
        assert evaluate([named("p", statement(action=action))], actions=LIST_STATES, resource="*").allowed
    policies = [named("p", statement(resource="acs:cs:*:*:cluster/C1"))]
    assert not evaluate(policies, actions=frozenset({"cs:X"}), resource=CLUSTER).allowed


def test_case_of_a_statement_built_in_code_does_not_matter_either() -> None:
    deny = NamedPolicy("d", Policy((Statement("Deny", ("CS:GetClusters",), ("*",)),)))
    assert evaluate([deny], actions=LIST_CLUSTERS, resource="*").explicit


@pytest.mark.parametrize("action", ["cs:*", "c*:*", "cs*:Get*", "??:*"])
def test_own_actions_are_not_granted_by_patterns_of_the_provider(action: str) -> None:
    policies = [named("p", statement(action=action))]
    own = frozenset({"kubecustody:AttestRemoval"})
    assert not evaluate(policies, actions=own, resource="*").allowed
    assert evaluate([named("p", statement(action="*"))], actions=own, resource="*").allowed


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("*", True),
        (CLUSTER, True),
        ("acs:cs:*:*:*", True),
        ("acs:cs:*:*:cluster/c?", True),
        ("acs:cs:cn-*:1000*:cluster/*", True),
        ("acs:cs:*:*:cluster/c2", False),
        ("acs:cs:*:2*:cluster/c1", False),
        ("acs:ecs:*:*:cluster/c1", False),
    ],
)
def test_resource_patterns(pattern: str, allowed: bool) -> None:
    decision = evaluate([named("p", statement(resource=pattern))], actions=LIST_STATES, resource=CLUSTER)
    assert decision.allowed is allowed


def test_star_of_one_part_does_not_swallow_the_next() -> None:
    policies = [named("p", statement(resource="acs:cs:*:1:cluster/*"))]
    foreign = "acs:cs:cn-hangzhou:2:x:1:cluster/c1"
    assert not evaluate(policies, actions=LIST_STATES, resource=foreign).allowed


# ---- NotAction and NotResource


def test_not_action_speaks_about_every_other_operation() -> None:
    policies = [named("p", {"Effect": "Allow", "NotAction": ["ram:*", "cs:Revoke*"], "Resource": "*"})]
    assert evaluate(policies, actions=LIST_STATES, resource="*") == Decision(True, True, "p", 0)
    revoke = frozenset({"cs:RevokeK8sClusterKubeConfig"})
    assert evaluate(policies, actions=revoke, resource="*") == Decision(False, False)


@pytest.mark.parametrize("named_action", ["cs:ListClusters", "CS:GETCLUSTERS", "cs:describe*v?"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_not_action_that_names_one_alias_leaves_out_the_whole_operation(effect: str, named_action: str) -> None:
    policies = [named("p", {"Effect": effect, "NotAction": named_action, "Resource": "*"})]
    assert not evaluate(policies, actions=LIST_CLUSTERS, resource="*").explicit
    assert evaluate(policies, actions=LIST_STATES, resource="*").explicit


def test_not_resource_speaks_about_every_other_resource() -> None:
    policies = [
        named("all", statement()),
        named("but", {"Effect": "Deny", "Action": "cs:*", "NotResource": [CLUSTER, "acs:cs:*:*:cluster/d*"]}),
    ]
    for inside in (CLUSTER, "acs:cs:cn-beijing:1:cluster/d7"):
        assert evaluate(policies, actions=LIST_STATES, resource=inside).allowed
    for outside in ("acs:cs:cn-hangzhou:1000000000000001:cluster/c2", "acs:cs:local:1:*", "*"):
        assert evaluate(policies, actions=LIST_STATES, resource=outside) == Decision(False, True, "but", 0)


def test_not_action_and_not_resource_must_both_leave_the_request_over() -> None:
    policies = [named("p", {"Effect": "Deny", "NotAction": "cs:Get*", "NotResource": CLUSTER})]
    denied = {
        (action, resource)
        for action in ("cs:GetClusters", "cs:X")
        for resource in (CLUSTER, "*")
        if evaluate(policies, actions=frozenset({action}), resource=resource).explicit
    }
    assert denied == {("cs:X", "*")}


# ---- conditions

AT_MOST_AN_HOUR = {"NumericLessThanEquals": {"cs:KubeConfigDurationMinutes": "60"}}
MINUTES = "cs:kubeconfigdurationminutes"


def test_allow_and_deny_speak_only_while_their_conditions_hold() -> None:
    over = {"NumericGreaterThan": {"cs:KubeConfigDurationMinutes": 60}}
    for policies in (
        [named("p", statement(Condition=AT_MOST_AN_HOUR))],
        [named("p", statement(), statement("Deny", Condition=over))],
    ):
        for minutes, allowed in ((60, True), (61, False)):
            decision = evaluate(policies, actions=LIST_STATES, resource="*", context={MINUTES: minutes})
            assert decision.allowed is allowed and decision.conditional


@pytest.mark.parametrize("operator", ["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThan"])
@pytest.mark.parametrize("context", [EMPTY_CONTEXT, {MINUTES: None}, {MINUTES: "15"}, {"acs:sourceip": "::1"}])
def test_absent_key_never_satisfies_an_allow_and_always_a_deny(operator: str, context: Mapping[str, object]) -> None:
    condition = {operator: {"cs:KubeConfigDurationMinutes": 15}}
    allow = [named("p", statement(Condition=condition))]
    deny = [named("p", statement(), statement("Deny", Condition=condition))]
    silent = Decision(False, False, conditional=True)
    assert evaluate(allow, actions=LIST_STATES, resource="*", context=context) == silent
    denied = Decision(False, True, "p", 1, conditional=True)
    assert evaluate(deny, actions=LIST_STATES, resource="*", context=context) == denied


def test_absence_counts_for_its_own_condition_alone() -> None:
    both = {"Bool": {"acs:SecureTransport": False}, **AT_MOST_AN_HOUR}
    policies = [named("p", statement(), statement("Deny", Condition=both))]
    for secure in (True, False):
        decision = evaluate(policies, actions=LIST_STATES, resource="*", context={"acs:securetransport": secure})
        assert decision.allowed is secure


def test_all_keys_of_all_operators_must_hold_and_any_value_of_a_key() -> None:
    condition = {
        "IpAddress": {"acs:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]},
        "NumericGreaterThanEquals": {"cs:KubeConfigDurationMinutes": 15},
        "NumericLessThan": {"cs:KubeConfigDurationMinutes": 60},
    }
    policies = [named("p", statement(Condition=condition))]

    def allowed(source: str, minutes: int) -> bool:
        context = {"acs:sourceip": source, MINUTES: minutes}
        return evaluate(policies, actions=LIST_STATES, resource="*", context=context).allowed

    assert allowed("192.0.2.7", 15) and allowed("2001:db8::1", 59)
    assert not allowed("192.0.3.7", 15) and not allowed("192.0.2.7", 14) and not allowed("192.0.2.7", 60)


def test_decision_is_conditional_where_a_condition_was_looked_at() -> None:
    conditioned = statement(Condition=AT_MOST_AN_HOUR)
    elsewhere = statement("Deny", "ecs:*", Condition=AT_MOST_AN_HOUR)
    deny = statement("Deny", Condition=AT_MOST_AN_HOUR)
    context = {MINUTES: 61}
    for statements, conditional in (
        ([statement()], False),
        ([statement(), conditioned], False),
        ([elsewhere], False),
        ([statement("Deny"), deny], False),
        ([conditioned], True),
        ([conditioned, statement()], True),
        ([statement(), deny], True),
    ):
        decision = evaluate([named("p", *statements)], actions=LIST_STATES, resource="*", context=context)
        assert decision.conditional is conditional


def test_keys_used_are_those_of_every_statement_in_lower_case() -> None:
    condition = {"IpAddress": {"ACS:SourceIP": "::1"}, **AT_MOST_AN_HOUR}
    policy = named("p", statement(), statement("Deny", "ecs:*", Condition=condition), statement(Condition=condition))
    assert keys_used(policy.policy) == {"acs:sourceip", MINUTES}
    assert keys_used(named("p", statement()).policy) == frozenset()


# ---- Allow that names the action


def exact(*statements: object, resource: str = CLUSTER, **context: object) -> bool:
    policies = [named("none", statement(action="ecs:*")), named("p", *statements)]
    given_context = {name.replace("_", ":"): value for name, value in context.items()}
    return has_exact_allow(policies, actions=LIST_CLUSTERS, resource=resource, context=given_context)


def test_allow_that_names_an_alias_is_exact_in_any_case() -> None:
    assert exact(statement(action=["ecs:*", "cs:describeCLUSTERSv1"]))
    assert exact(statement(action=["cs:*", "cs:GetClusters"]))


@pytest.mark.parametrize("action", ["*", "cs:*", "cs:GetClusters*", "cs:GetCluster?", "cs:GetCluster", "ecs:X"])
def test_allow_with_a_wildcard_or_of_another_action_is_not_exact(action: str) -> None:
    assert not exact(statement(action=action))


def test_neither_a_deny_nor_not_action_is_an_exact_allow() -> None:
    assert not exact(statement("Deny", "cs:GetClusters"))
    assert not exact({"Effect": "Allow", "NotAction": "cs:Other", "Resource": "*"})
    assert not exact({"Effect": "Allow", "NotAction": "cs:GetClusters", "Resource": "*"})


def test_exact_allow_counts_only_where_it_applies() -> None:
    assert not exact(statement(action="cs:GetClusters", resource="acs:cs:*:*:cluster/c2"))
    assert not exact({"Effect": "Allow", "Action": "cs:GetClusters", "NotResource": CLUSTER})
    conditioned = statement(action="cs:GetClusters", Condition={"Bool": {"acs:SecureTransport": True}})
    assert exact(conditioned, acs_securetransport=True)
    assert not exact(conditioned, acs_securetransport=False)
    assert not exact(conditioned)


def test_a_deny_does_not_make_an_exact_allow_less_exact() -> None:
    assert exact(statement(action="cs:GetClusters"), statement("Deny"))
