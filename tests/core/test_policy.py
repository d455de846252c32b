import json
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.policy import (
    MAX_CHARACTERS,
    Decision,
    Effect,
    NamedPolicy,
    Policy,
    PolicyRefused,
    Statement,
    evaluate,
    matches,
    parse_policy,
)

LIST_STATES = frozenset({"cs:ListUserKubeConfigStates"})
LIST_CLUSTERS = frozenset({"cs:GetClusters", "cs:DescribeClustersV1", "cs:ListClusters"})
CLUSTER = "acs:cs:cn-hangzhou:1000000000000001:cluster/c1"


def document(*statements: object, **members: object) -> str:
    return json.dumps({"Version": "1", "Statement": list(statements), **members})


def statement(effect: object = "Allow", action: object = "cs:*", resource: object = "*", **more: object) -> object:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def named(name: str, *statements: object) -> NamedPolicy:
    return NamedPolicy(name, parse_policy(document(*statements)))


def faults(text: str) -> dict[str, str]:
    with pytest.raises(PolicyRefused) as refused:
        parse_policy(text)
    for fault in refused.value.faults:
        assert f"{fault.parameter}: {fault.text}" in str(refused.value)
    return {fault.parameter: fault.text for fault in refused.value.faults}


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


ACTIONS = ("cs:GetClusters", "cs:DescribeClustersV1", "cs:ListUserKubeConfigStates", "kubecustody:Attest")
RESOURCES = ("*", CLUSTER, "acs:cs:cn-beijing:1000000000000001:cluster/c2")
PATTERNS = (*ACTIONS, "*", "cs:*", "cs:Get*", "CS:DESCRIBE*", "cs:?ist*", "kubecustody:*")

effects: st.SearchStrategy[Effect] = st.sampled_from(("Allow", "Deny"))
statements = st.builds(
    Statement,
    effects,
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple),
    st.lists(
        st.sampled_from((*RESOURCES, "acs:cs:*:*:cluster/*", "acs:cs:cn-?angzhou:*:*")),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
Drawn: TypeAlias = list[list[Statement]]
Asked: TypeAlias = tuple[frozenset[str], str]
drawn_policies = st.lists(st.lists(statements, min_size=1, max_size=4), max_size=4)
requests = st.tuples(st.frozensets(st.sampled_from(ACTIONS), min_size=1), st.sampled_from(RESOURCES))


def decide(policies: Sequence[Sequence[Statement]], request: Asked) -> Decision:
    given_policies = [NamedPolicy(str(i), Policy(tuple(each))) for i, each in enumerate(policies)]
    return evaluate(given_policies, actions=request[0], resource=request[1])


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
        assert decide([[only]], asked).allowed is decision.allowed
    else:
        assert decision == Decision(False, False)


@given(drawn_policies, statements, st.data(), requests)
def test_adding_a_deny_never_turns_a_refusal_into_an_allowance(
    policies: Drawn, added: Statement, data: st.DataObject, asked: Asked
) -> None:
    place = data.draw(st.integers(0, len(policies)))
    more = [*policies[:place], [added._replace(effect="Deny")], *policies[place:]]
    assert decide(policies, asked).allowed or not decide(more, asked).allowed


@given(drawn_policies, requests, st.sampled_from(ACTIONS))
def test_one_more_alias_never_lifts_a_deny(policies: Drawn, asked: Asked, alias: str) -> None:
    before = decide(policies, asked)
    after = decide(policies, (asked[0] | {alias}, asked[1]))
    if before.explicit and not before.allowed:
        assert after.explicit and not after.allowed


# ---- the glob


def slow_matches(pattern: str, text: str) -> bool:
    @cache
    def fits(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return fits(p + 1, t) or (t < len(text) and fits(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and fits(p + 1, t + 1)

    return fits(0, 0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("ab*b", "ab"), ("*ab*ba*", "aba"), ("*ab*b", "ab"), ("a?*?", "ab"), ("a*?", "a"), ("?", ""), ("", "a")],
)
def test_no_character_is_matched_twice(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=16))
def test_glob_agrees_with_a_slow_reference(pattern: str, text: str) -> None:
    assert matches(pattern, text) is slow_matches(pattern, text)


@given(st.text("a*?:", max_size=8), st.text("a*?:", max_size=8))
def test_glob_takes_a_text_with_wildcards_in_it_as_text(pattern: str, text: str) -> None:
    assert matches(pattern, text) is slow_matches(pattern, text)


@pytest.mark.parametrize("piece", ["a*", "a?*", "?*", "*?a"])
def test_many_stars_do_not_blow_up(piece: str) -> None:
    assert not matches(piece * 2000 + "b", "a" * 6000)


# ---- reading documents


def test_policy_is_read_as_written() -> None:
    policy = parse_policy(document(statement(action="cs:Get*"), statement("Deny", ["*", "cs:X"], [CLUSTER, "*"])))
    assert policy.statements == (
        Statement("Allow", ("cs:Get*",), ("*",)),
        Statement("Deny", ("*", "cs:X"), (CLUSTER, "*")),
    )


@pytest.mark.parametrize("member", ["NotAction", "NotResource", "Condition", "Principal", "Sid", "action_"])
def test_element_that_would_be_ignored_is_refused_by_its_name(member: str) -> None:
    value = {"NumericEquals": {"cs:KubeConfigDurationMinutes": ["15"]}}
    found = faults(document(statement(), statement(**{member: value})))
    text = "is not understood by this version and would be ignored; take it out"
    assert found == {f"Statement[1].{member}": text}


def test_every_fault_is_named_at_once_with_its_place() -> None:
    text = document(
        statement("allow", action=[], resource=7),
        "cs:*",
        statement(action=["cs:*", "cs", None], resource=["*", "cluster/c1"]),
        {"Effect": "Deny"},
        Version=1,
        Id="x",
    )
    assert list(faults(text)) == [
        "Id",
        "Version",
        "Statement[0].Effect",
        "Statement[0].Action",
        "Statement[0].Resource",
        "Statement[1]",
        "Statement[2].Action[1]",
        "Statement[2].Action[2]",
        "Statement[2].Resource[1]",
        "Statement[3].Action",
        "Statement[3].Resource",
    ]


def test_object_in_place_of_a_list_is_one_fault() -> None:
    assert faults('{"Version":"1","Statement":{"Effect":"Allow"}}').keys() == {"Statement"}
    found = faults(document(statement(action={"a": "cs:*"}, resource={"r": "*"})))
    assert found.keys() == {"Statement[0].Action", "Statement[0].Resource"}


def test_doubled_members_are_refused_wherever_they_stand() -> None:
    assert faults('{"Version":"1","Version":"1","Statement":[]}').keys() == {"Version", "Statement"}
    text = '{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Effect":"Allow"}]}'
    assert faults(text) == {"Statement[0].Effect": "is given more than once"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"1"',
        "{}",
        "NaN",
        '{"Version":"1"}',
        '{"Version":"1","Statement":{}}',
        "\ufeff{}",
        "9" * 5000,
        "\x00",
        '{"Version":"1","Statement":[[]]}',
        '{"Version":["1"],"Statement":null}',
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "action", ["", "cs", ":", "cs:", ":Get", "cs:Get Clusters", "cs:a:b", "cs:é", "cs:\ud800", "cs:Get\n"]
)
def test_action_of_another_form_is_refused(action: str) -> None:
    assert faults(document(statement(action=action))).keys() == {"Statement[0].Action"}


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "**x",
        "cluster/c1",
        "acs:cs:*:*",
        "acs:cs::1:cluster/c1",
        "arn:cs:*:*:x",
        "acs:cs:*:*:a b",
        "acs:cs:*:*:\n",
    ],
)
def test_resource_of_another_form_is_refused(resource: str) -> None:
    assert faults(document(statement(resource=resource))).keys() == {"Statement[0].Resource"}


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"Statement":[', '"]]]]]]",' + "["])
def test_deep_nesting_is_refused_without_exhausting_the_stack(opening: str) -> None:
    text = "[" + opening * (6000 // len(opening))
    assert faults(text) == {"document": "is nested deeper than 16 levels"}


def test_closing_brackets_in_a_string_do_not_hide_the_depth() -> None:
    text = '["' + "]" * 2500 + '\\"]",' + "[" * 2500
    assert faults(text) == {"document": "is nested deeper than 16 levels"}


def test_document_may_have_6144_characters_and_no_more() -> None:
    text = document(statement())
    assert parse_policy(text + " " * (MAX_CHARACTERS - len(text)))
    assert faults(text + " " * (MAX_CHARACTERS + 1 - len(text))).keys() == {"document"}


def test_name_of_a_strange_member_is_told_on_one_line() -> None:
    for fault in faults(document(statement(**{"\x1b[31m\n": 1, "\ud800": 2, "": 3, "x" * 500: 4}))):
        assert fault.isascii() and fault.isprintable() and len(fault) < 100


@given(st.text())
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        assert parse_policy(text).statements
    except PolicyRefused as refused:
        assert refused.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(("1", "Allow", "cs:*", "*")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("Version", "Statement", "Effect", "Action", "Resource", "Sid")),
            inner,
            max_size=4,
        )
    ),
)


@given(json_values)
def test_any_json_is_a_policy_or_refused(value: object) -> None:
    try:
        policy = parse_policy(json.dumps(value))
    except PolicyRefused as refused:
        assert refused.faults
    else:
        assert all(each.actions and each.resources for each in policy.statements)
