"""What holds of any policies, requests and contexts; the judge at the end reads the documents on its own."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from random import Random
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.policy import Decision, NamedPolicy, evaluate, explain, has_exact_allow, keys_used
from kubecustody.core.policy_documents import parse_policy

Written: TypeAlias = dict[str, Any]
Drawn: TypeAlias = list[list[Written]]
Context: TypeAlias = Mapping[str, object]

CLUSTER = "acs:cs:cn-hangzhou:1000000000000001:cluster/c1"
ACTIONS = ("cs:GetClusters", "cs:DescribeClustersV1", "cs:ListUserKubeConfigStates", "kubecustody:Attest")
RESOURCES = (CLUSTER, "acs:cs:cn-beijing:1000000000000001:cluster/c2", "acs:cs:local:1000000000000001:*")
ACTION_PATTERNS = (*ACTIONS, "*", "cs:*", "cs:Get*", "CS:DESCRIBE*", "cs:?ist*", "kubecustody:*")
RESOURCE_PATTERNS = (*RESOURCES, "*", "acs:cs:*:*:cluster/*", "acs:cs:cn-?angzhou:*:*")
EIGHT = datetime(2026, 11, 24, 8, tzinfo=UTC)

WRITTEN_VALUES: Mapping[str, tuple[object, ...]] = {
    "acs:CurrentTime": ("2026-11-24T08:00:00Z", "2026-11-24T16:00:01+08:00"),
    "acs:SecureTransport": (True, "False"),
    "acs:SourceIp": ("192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::/0"),
    "acs:PrincipalARN": ("acs:ram::1:user/a", "ACS:*:user/?", "acs:*"),
    "cs:KubeConfigDurationMinutes": (15, "60", 60.5),
}
ORDERED = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
OPERATORS: Mapping[str, tuple[str, ...]] = {
    "acs:CurrentTime": tuple(f"Date{name}" for name in ORDERED),
    "acs:SecureTransport": ("Bool",),
    "acs:SourceIp": ("IpAddress", "NotIpAddress"),
    "acs:PrincipalARN": (
        *("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
        *("StringLike", "StringNotLike"),
    ),
    "cs:KubeConfigDurationMinutes": tuple(f"Numeric{name}" for name in ORDERED),
}
contexts = st.fixed_dictionaries(
    {},
    optional={
        "acs:currenttime": st.integers(-2, 2).map(lambda seconds: EIGHT + timedelta(seconds=seconds)),
        "acs:securetransport": st.booleans(),
        "acs:sourceip": st.sampled_from(("192.0.2.7", "192.0.3.7", "2001:db8::1", "::ffff:192.0.2.7")),
        "acs:principalarn": st.sampled_from(("acs:ram::1:user/a", "acs:ram::1:user/A", "acs:ram::1:role/b")),
        "cs:kubeconfigdurationminutes": st.sampled_from((15, 60, 61)),
    },
)


def some(values: Sequence[object], most: int = 3) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=most)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, dict[str, object]]:
    condition: dict[str, dict[str, object]] = {}
    for key in draw(st.lists(st.sampled_from(tuple(WRITTEN_VALUES)), min_size=1, max_size=3, unique=True)):
        for operator in draw(st.lists(st.sampled_from(OPERATORS[key]), min_size=1, max_size=2, unique=True)):
            condition.setdefault(operator, {})[key] = draw(some(WRITTEN_VALUES[key]))
    return condition


@st.composite
def statements(draw: st.DrawFn) -> Written:
    written: Written = {
        "Effect": draw(st.sampled_from(("Allow", "Deny"))),
        draw(st.sampled_from(("Action", "Action", "NotAction"))): draw(some(ACTION_PATTERNS)),
        draw(st.sampled_from(("Resource", "Resource", "NotResource"))): draw(some(RESOURCE_PATTERNS, 2)),
    }
    if draw(st.booleans()):
        written["Condition"] = draw(conditions())
    return written


drawn_policies = st.lists(st.lists(statements(), min_size=1, max_size=4), max_size=3)
action_names = st.frozensets(st.sampled_from(ACTIONS), min_size=1, max_size=3)
resources = st.sampled_from(RESOURCES)
Asked: TypeAlias = tuple[frozenset[str], str, Context]
requests: st.SearchStrategy[Asked] = st.tuples(action_names, resources, contexts)


def read(policies: Drawn) -> list[NamedPolicy]:
    documents = [json.dumps({"Version": "1", "Statement": each}) for each in policies]
    return [NamedPolicy(str(number), parse_policy(document)) for number, document in enumerate(documents)]


def decide(policies: Drawn, asked: Asked) -> Decision:
    actions, resource, context = asked
    return evaluate(read(policies), actions=actions, resource=resource, context=context)


@given(drawn_policies, requests, st.randoms(use_true_random=False))
def test_order_of_statements_and_policies_never_changes_the_decision(
    policies: Drawn, asked: Asked, random: Random
) -> None:
    shuffled = [random.sample(each, len(each)) for each in random.sample(policies, len(policies))]
    before, after = decide(policies, asked), decide(shuffled, asked)
    assert (before.allowed, before.explicit) == (after.allowed, after.explicit)


@given(drawn_policies, requests)
def test_the_named_statement_alone_decides_the_same(policies: Drawn, asked: Asked) -> None:
    decision = decide(policies, asked)
    if decision.policy is not None and decision.statement_index is not None:
        only = policies[int(decision.policy)][decision.statement_index]
        assert decide([[only]], asked)[:2] == decision[:2]
    else:
        assert decision[:4] == (False, False, None, None)


@given(drawn_policies, statements(), st.data(), requests)
def test_adding_a_deny_never_allows_and_adding_an_allow_never_denies(
    policies: Drawn, added: Written, data: st.DataObject, asked: Asked
) -> None:
    place = data.draw(st.integers(0, len(policies)))
    before = decide(policies, asked)
    after = decide([*policies[:place], [added], *policies[place:]], asked)
    if added["Effect"] == "Deny":
        assert before.allowed or not after.allowed
    else:
        assert after.allowed or not before.allowed


@given(drawn_policies, requests, st.sampled_from(ACTIONS))
def test_one_more_alias_never_lifts_a_deny_on_actions(policies: Drawn, asked: Asked, alias: str) -> None:
    without_not = [[each for each in policy if "NotAction" not in each] for policy in policies]
    policies = [policy for policy in without_not if policy]
    before = decide(policies, asked)
    after = decide(policies, (asked[0] | {alias}, *asked[1:]))
    if before.explicit and not before.allowed:
        assert after.explicit and not after.allowed


@given(drawn_policies, requests, contexts)
def test_decision_that_is_not_conditional_is_the_same_in_every_context(
    policies: Drawn, asked: Asked, other: Context
) -> None:
    decision = decide(policies, asked)
    if not decision.conditional:
        assert decide(policies, (*asked[:2], other)) == decision


@given(drawn_policies, requests)
def test_only_the_keys_used_count(policies: Drawn, asked: Asked) -> None:
    actions, resource, context = asked
    keys = frozenset[str]().union(*(keys_used(policy) for _, policy in read(policies)))
    needed = {key: value for key, value in context.items() if key in keys}
    assert decide(policies, (actions, resource, needed)) == decide(policies, asked)


@given(drawn_policies, requests, st.sampled_from(sorted(WRITTEN_VALUES)))
def test_losing_a_value_never_allows_more(policies: Drawn, asked: Asked, lost: str) -> None:
    actions, resource, context = asked
    fewer = {key: value for key, value in context.items() if key != lost.lower()}
    assert decide(policies, asked).allowed or not decide(policies, (actions, resource, fewer)).allowed


# ---- the judge


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def glob(pattern: str, text: str) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def judge_resource(pattern: str, resource: str) -> bool:
    return pattern == "*" or all(map(glob, pattern.split(":", 4), resource.split(":", 4)))


def positive(operator: str) -> tuple[str, bool]:
    """The operator without its Not, and whether it had one."""
    return operator.replace("Not", "", 1), "Not" in operator


def judge_value(operator: str, value: Any, wanted: Any) -> bool:
    if operator == "IpAddress":
        address = ip_address(value)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        network, single = ip_network(wanted), ip_network(f"{address}")
        return network.version == single.version and network.supernet_of(single)  # type: ignore[arg-type]
    if operator == "Bool":
        return str(value).lower() == str(wanted).lower()
    if operator == "StringLike":
        return glob(wanted, value)
    if operator.startswith("String"):
        folded = operator.endswith("IgnoreCase")
        return bool(value.upper() == wanted.upper() if folded else value == wanted)
    number = float(wanted) if operator.startswith("Numeric") else datetime.fromisoformat(wanted).timestamp()
    given_number = value.timestamp() if isinstance(value, datetime) else value
    sign = (given_number > number) - (given_number < number)
    relation = operator.removeprefix("Numeric").removeprefix("Date")
    return sign in {
        "Equals": (0,), "LessThan": (-1,), "LessThanEquals": (-1, 0),
        "GreaterThan": (1,), "GreaterThanEquals": (0, 1),
    }[relation]  # fmt: skip


def judge_condition(operator: str, key: str, wanted: object, effect: str, context: Context) -> bool:
    if key.lower() not in context:
        return effect == "Deny"
    plain, negated = positive(operator)
    found = [judge_value(plain, context[key.lower()], each) for each in listed(wanted)]
    return (True not in found) if negated else (True in found)


def judge_action(written: Written, actions: frozenset[str]) -> bool:
    patterns = listed(written.get("Action", written.get("NotAction")))
    fitting = {(pattern, name) for pattern in patterns for name in actions if glob(pattern.upper(), name.upper())}
    return bool(fitting) if "Action" in written else not fitting


def judge_statement(written: Written, asked: Asked) -> bool:
    actions, resource, context = asked
    inside = any(judge_resource(each, resource) for each in listed(written.get("Resource", [])))
    outside = "NotResource" in written and not any(judge_resource(e, resource) for e in listed(written["NotResource"]))
    return (
        judge_action(written, actions)
        and (inside or outside)
        and all(
            judge_condition(operator, key, wanted, written["Effect"], context)
            for operator, keys in written.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


@given(drawn_policies, requests)
def test_decision_is_that_of_a_judge_who_reads_the_documents_on_his_own(policies: Drawn, asked: Asked) -> None:
    speaking = {each["Effect"] for policy in policies for each in policy if judge_statement(each, asked)}
    decision = decide(policies, asked)
    assert decision.explicit is bool(speaking)
    assert decision.allowed is (speaking == {"Allow"})


@given(drawn_policies, requests)
def test_explanation_has_the_same_decision_and_says_of_each_statement_what_the_judge_says(
    policies: Drawn, asked: Asked
) -> None:
    actions, resource, context = asked
    explanation = explain(read(policies), actions=actions, resource=resource, context=context)
    assert explanation.decision == decide(policies, asked)
    told = [(each.policy, each.statement_index, each.applies) for each in explanation.statements]
    assert told == [
        (str(number), index, judge_statement(written, asked))
        for number, policy in enumerate(policies)
        for index, written in enumerate(policy)
    ]
    deciding = (explanation.decision.policy, explanation.decision.statement_index)
    applying = [each for each in explanation.statements if each.applies]
    decisive = [each for each in applying if each.effect == "Deny"] or applying
    assert deciding == ((decisive[0].policy, decisive[0].statement_index) if decisive else (None, None))


@given(drawn_policies, requests)
def test_exact_allow_is_one_that_applies_and_names_an_action_outright(policies: Drawn, asked: Asked) -> None:
    actions, resource, context = asked
    expected = any(
        each["Effect"] == "Allow"
        and judge_statement(each, asked)
        and {pattern.upper() for pattern in listed(each.get("Action", []))} & {name.upper() for name in actions}
        for policy in policies
        for each in policy
    )
    assert has_exact_allow(read(policies), actions=actions, resource=resource, context=context) is expected
