import json
from datetime import UTC, datetime
from ipaddress import ip_address

from kubecustody.core.policy import (
    Decision,
    ExplainedCondition,
    ExplainedStatement,
    Explanation,
    NamedPolicy,
    explain,
)
from kubecustody.core.policy_documents import parse_policy

LIST_CLUSTERS = frozenset({"cs:GetClusters", "cs:DescribeClustersV1", "cs:ListClusters"})
CLUSTER = "acs:cs:cn-hangzhou:1000000000000001:cluster/c1"


def explained(*statements: object, **context: object) -> Explanation:
    policy = parse_policy(json.dumps({"Version": "1", "Statement": statements}))
    given = {name.replace("_", ":"): value for name, value in context.items()}
    return explain([NamedPolicy("p", policy)], actions=LIST_CLUSTERS, resource=CLUSTER, context=given)


def only(*statements: object, **context: object) -> ExplainedStatement:
    (statement,) = explained(*statements, **context).statements
    return statement


def test_every_statement_is_told_in_order_also_after_the_one_that_decides() -> None:
    document = {"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}] * 2}
    policies = [NamedPolicy(name, parse_policy(json.dumps(document))) for name in ("a", "b")]
    explanation = explain(policies, actions=LIST_CLUSTERS, resource=CLUSTER, context={})
    places = [(each.policy, each.statement_index) for each in explanation.statements]
    assert places == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert explanation.decision == Decision(False, True, "a", 0)
    assert all(each.applies and each.effect == "Deny" for each in explanation.statements)


def test_pattern_is_told_as_written_and_the_action_as_the_operation_names_it() -> None:
    assert only({"Effect": "Allow", "Action": ["ecs:*", "CS:Describe*"], "Resource": ["acs:cs:*:*:cluster/?1"]}) == (
        "p", 0, "Allow", True, "CS:Describe*", "cs:DescribeClustersV1", True, "acs:cs:*:*:cluster/?1", (), True,
    )  # fmt: skip


def test_what_does_not_match_is_told_without_a_pattern() -> None:
    statement = only({"Effect": "Allow", "Action": "cs:Revoke*", "Resource": CLUSTER})
    assert not statement.action_matched and statement.action_pattern is None and statement.action_name is None
    assert statement.resource_pattern == CLUSTER and not statement.applies
    statement = only({"Effect": "Allow", "Action": "cs:getclusters", "Resource": CLUSTER + "x"})
    assert (statement.action_pattern, statement.action_name) == ("cs:getclusters", "cs:GetClusters")
    assert not statement.resource_matched and statement.resource_pattern is None and not statement.applies


def test_pattern_of_not_action_and_not_resource_is_the_one_that_excludes() -> None:
    statement = only({"Effect": "Deny", "NotAction": ["ram:*", "cs:List*"], "NotResource": [CLUSTER, "*"]})
    assert not statement.action_matched and statement.action_pattern == "cs:List*"
    assert statement.action_name == "cs:ListClusters"
    assert not statement.resource_matched and statement.resource_pattern == CLUSTER
    statement = only({"Effect": "Deny", "NotAction": "ram:*", "NotResource": CLUSTER + "x"})
    assert statement.action_matched and statement.action_pattern is None
    assert statement.resource_matched and statement.resource_pattern is None and statement.applies


CONDITION = {
    "IpAddress": {"acs:sourceip": ["192.0.2.0/24", "2001:db8::/32"]},
    "NumericLessThan": {"cs:KubeConfigDurationMinutes": 60},
    "DateLessThan": {"acs:CurrentTime": "2026-11-24T16:00:00+08:00"},
    "Bool": {"acs:SecureTransport": True},
    "StringNotLike": {"acs:PrincipalARN": "*/root"},
}


def test_conditions_are_told_with_what_is_written_given_and_held() -> None:
    statement = only(
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": CONDITION},
        acs_sourceip=ip_address("::ffff:192.0.2.7"),
        cs_kubeconfigdurationminutes=60,
        acs_currenttime=datetime(2026, 11, 24, 7, 59, 59, 5, tzinfo=UTC),
        acs_securetransport=True,
        acs_principalarn="acs:ram::1:user/a",
    )
    assert statement.conditions == (
        ExplainedCondition("IpAddress", "acs:SourceIp", ("192.0.2.0/24", "2001:db8::/32"), "192.0.2.7", True),
        ExplainedCondition("NumericLessThan", "cs:KubeConfigDurationMinutes", ("60",), "60", False),
        ExplainedCondition(
            "DateLessThan", "acs:CurrentTime", ("2026-11-24T16:00:00+08:00",), "2026-11-24T07:59:59Z", True
        ),
        ExplainedCondition("Bool", "acs:SecureTransport", ("true",), "true", True),
        ExplainedCondition("StringNotLike", "acs:PrincipalARN", ("*/root",), "acs:ram::1:user/a", True),
    )
    assert statement.action_matched and statement.resource_matched and not statement.applies


def test_absent_value_is_told_as_none_and_holds_for_a_deny_alone() -> None:
    for effect, held in (("Allow", False), ("Deny", True)):
        explanation = explained({"Effect": effect, "Action": "*", "Resource": "*", "Condition": CONDITION})
        (statement,) = explanation.statements
        assert [(each.given, each.held) for each in statement.conditions] == [(None, held)] * 5
        assert statement.applies is held
        assert explanation.decision.explicit is held and explanation.decision.conditional


def test_conditions_are_told_also_of_a_statement_about_something_else() -> None:
    statement = only(
        {"Effect": "Deny", "Action": "ecs:*", "Resource": "*", "Condition": {"Bool": {"acs:SecureTransport": False}}},
        acs_securetransport=False,
    )
    assert statement.conditions == (ExplainedCondition("Bool", "acs:SecureTransport", ("false",), "false", True),)
    assert not statement.applies
