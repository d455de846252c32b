import json
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.policy import Statement
from kubecustody.core.policy_conditions import KEYS, OPERATORS, Condition
from kubecustody.core.policy_documents import MAX_CHARACTERS, PolicyRefused, parse_policy

CLUSTER = "acs:cs:cn-hangzhou:1000000000000001:cluster/c1"
NEVER_SUPPLIED = (
    "acs:MFAPresent",
    "acs:PrincipalRDId",
    "acs:PrincipalRDPath",
    "acs:RequestTag/team",
    "acs:ResourceTag/team",
    "acs:Service",
    "cs:Other",
    "aws:SourceIp",
    "SourceIp",
)


def document(*statements: object, **members: object) -> str:
    return json.dumps({"Version": "1", "Statement": list(statements), **members})


def statement(effect: object = "Allow", action: object = "cs:*", resource: object = "*", **more: object) -> object:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def faults(text: str) -> dict[str, str]:
    with pytest.raises(PolicyRefused) as refused:
        parse_policy(text)
    for fault in refused.value.faults:
        assert f"{fault.parameter}: {fault.text}" in str(refused.value)
    return {fault.parameter: fault.text for fault in refused.value.faults}


def condition_faults(condition: object) -> dict[str, str]:
    """The faults of one statement's Condition, by their place within it."""
    before = "Statement[0].Condition"
    found = faults(document(statement(Condition=condition)))
    assert all(place.startswith(before) for place in found)
    return {place.removeprefix(before).removeprefix("."): text for place, text in found.items()}


def conditions(condition: object) -> tuple[Condition, ...]:
    return parse_policy(document(statement(Condition=condition))).statements[0].conditions


# ---- elements


def test_policy_is_read_as_written() -> None:
    policy = parse_policy(document(statement(action="cs:Get*"), statement("Deny", ["*", "cs:X"], [CLUSTER, "*"])))
    assert policy.statements == (
        Statement("Allow", ("cs:Get*",), ("*",)),
        Statement("Deny", ("*", "cs:X"), (CLUSTER, "*")),
    )


def test_not_action_and_not_resource_stand_in_place_of_action_and_resource() -> None:
    policy = parse_policy(
        document(
            {"Effect": "Deny", "NotAction": ["cs:Get*", "ram:*"], "Resource": CLUSTER},
            {"Effect": "Allow", "Action": "*", "NotResource": [CLUSTER]},
        )
    )
    assert policy.statements == (
        Statement("Deny", ("cs:Get*", "ram:*"), (CLUSTER,), not_action=True),
        Statement("Allow", ("*",), (CLUSTER,), not_resource=True),
    )


def test_element_and_its_opposite_are_refused_together_and_so_is_neither() -> None:
    found = faults(document(statement(NotAction="ram:*", NotResource="*"), {"Effect": "Deny"}))
    assert found == {
        "Statement[0].NotAction": "contradicts Action; take one of the two out",
        "Statement[0].NotResource": "contradicts Resource; take one of the two out",
        "Statement[1].Action": "is missing, and so is NotAction",
        "Statement[1].Resource": "is missing, and so is NotResource",
    }


def test_patterns_of_not_action_and_not_resource_have_the_same_form() -> None:
    found = faults(document({"Effect": "Deny", "NotAction": ["cs", "*"], "NotResource": ["*", "cluster/c1", 5]}))
    assert found.keys() == {
        "Statement[0].NotAction[0]",
        "Statement[0].NotResource[1]",
        "Statement[0].NotResource[2]",
    }


@pytest.mark.parametrize("member", ["Principal", "Sid", "action_", "notaction", "CONDITION"])
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
            st.sampled_from(
                (
                    "Version",
                    "Statement",
                    "Effect",
                    "Action",
                    "NotAction",
                    "Resource",
                    "NotResource",
                    "Condition",
                    "Bool",
                )
            ),
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


# ---- conditions


def test_conditions_are_read_with_what_was_written_and_what_is_compared() -> None:
    written = {
        "IpAddress": {"acs:SourceIp": ["192.0.2.0/24", "2001:db8::1"]},
        "NumericLessThan": {"CS:kubeconfigDURATIONminutes": 60.5},
        "Bool": {"acs:SecureTransport": "True"},
        "DateLessThan": {"acs:CurrentTime": "2026-11-24T16:00:00+08:00"},
        "StringNotLike": {"acs:PrincipalARN": "acs:ram::*:role/*"},
    }
    assert conditions(written) == (
        Condition(
            "IpAddress",
            "acs:sourceip",
            ("192.0.2.0/24", "2001:db8::1"),
            (ip_network("192.0.2.0/24"), ip_network("2001:db8::1/128")),
        ),
        Condition("NumericLessThan", "cs:kubeconfigdurationminutes", ("60.5",), (Decimal("60.5"),)),
        Condition("Bool", "acs:securetransport", ("True",), (True,)),
        Condition("DateLessThan", "acs:currenttime", ("2026-11-24T16:00:00+08:00",), (1795507200,)),
        Condition("StringNotLike", "acs:principalarn", ("acs:ram::*:role/*",), ("acs:ram::*:role/*",)),
    )


def test_several_keys_of_one_operator_are_several_conditions() -> None:
    both = conditions({"StringEquals": {"acs:PrincipalARN": "x"}, "Bool": {"acs:SecureTransport": [True, "false"]}})
    assert [(each.key, each.written) for each in both] == [
        ("acs:principalarn", ("x",)),
        ("acs:securetransport", ("true", "false")),
    ]


SAMPLES: Mapping[str, object] = {
    "acs:CurrentTime": "2026-11-24T08:00:00Z",
    "acs:SecureTransport": True,
    "acs:SourceIp": "192.0.2.7",
    "acs:PrincipalARN": "acs:ram::1:user/a",
    "cs:KubeConfigDurationMinutes": "15",
}
FITTING: Mapping[str, frozenset[str]] = {
    "acs:CurrentTime": frozenset(name for name in OPERATORS if name.startswith("Date")),
    "acs:SecureTransport": frozenset({"Bool"}),
    "acs:SourceIp": frozenset({"IpAddress", "NotIpAddress"}),
    "acs:PrincipalARN": frozenset(name for name in OPERATORS if name.startswith("String")),
    "cs:KubeConfigDurationMinutes": frozenset(name for name in OPERATORS if name.startswith("Numeric")),
}


def test_the_operators_are_those_of_the_provider() -> None:
    ordered = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    strings = ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")
    expected = {f"{kind}{name}" for kind in ("Numeric", "Date") for name in ordered}
    expected |= {f"String{name}" for name in strings} | {"Bool", "IpAddress", "NotIpAddress"}
    assert set(OPERATORS) == expected
    assert set(KEYS) == set(SAMPLES)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("key", KEYS)
def test_operator_of_another_kind_than_the_key_is_refused_with_those_that_fit(operator: str, key: str) -> None:
    condition = {operator: {key: SAMPLES[key]}}
    if operator in FITTING[key]:
        assert conditions(condition)[0].operator == operator
    else:
        text = condition_faults(condition)[f"{operator}.{key}"]
        assert set(text.split(", which goes with ")[1].split(", ")) == FITTING[key]


@pytest.mark.parametrize("key", NEVER_SUPPLIED)
def test_key_that_no_request_has_is_refused_with_those_that_it_has(key: str) -> None:
    text = condition_faults({"StringEquals": {key: "x"}})[f"StringEquals.{key}"]
    assert all(name in text for name in KEYS)


@pytest.mark.parametrize("operator", ["StringEqualsIfExists", "Null", "ForAnyValue:StringLike", "NotBool", "Equals"])
def test_unknown_operator_is_refused(operator: str) -> None:
    assert condition_faults({operator: {"acs:PrincipalARN": "x"}})[operator].startswith("is no operator")


@pytest.mark.parametrize("operator", ["stringequals", "BOOL", "IPAddress"])
def test_operator_is_taken_only_as_it_is_written(operator: str) -> None:
    found = condition_faults({operator: {"acs:PrincipalARN": "x"}})
    spelled = {name.lower(): name for name in OPERATORS}[operator.lower()]
    assert found == {operator: f"is written {spelled}"}


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({}, ""),
        ([], ""),
        (None, ""),
        ("Bool", ""),
        ([{"Bool": {"acs:SecureTransport": True}}], ""),
        ({"Bool": {}}, "Bool"),
        ({"Bool": []}, "Bool"),
        ({"Bool": True}, "Bool"),
        ({"Bool": {"acs:SecureTransport": []}}, "Bool.acs:SecureTransport"),
        ({"Bool": {"acs:SecureTransport": {}}}, "Bool.acs:SecureTransport"),
        ({"Bool": {"acs:SecureTransport": {"true": True}}}, "Bool.acs:SecureTransport"),
        ({"Bool": {"acs:SecureTransport": None}}, "Bool.acs:SecureTransport"),
        ({"Bool": {"acs:SecureTransport": [True, [True]]}}, "Bool.acs:SecureTransport[1]"),
        ({"StringLike": {"": "x"}}, "StringLike.''"),
        ({"": {"acs:PrincipalARN": "x"}}, "''"),
    ],
)
def test_condition_without_content_or_of_another_form_is_refused(condition: object, place: str) -> None:
    assert condition_faults(condition).keys() == {place}


GOOD_VALUES: Mapping[str, tuple[object, ...]] = {
    "NumericEquals.cs:KubeConfigDurationMinutes": (0, 15, -1, 15.5, "15", "15.500000", "999999999", 999999999),
    "Bool.acs:SecureTransport": (True, False, "true", "FALSE", "False"),
    "DateEquals.acs:CurrentTime": (
        "2026-11-24T08:00:00Z",
        "2026-11-24T08:00:00.5Z",
        "2026-11-24T08:00:00-07:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ),
    "IpAddress.acs:SourceIp": (
        "192.0.2.7",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "::/0",
        "::1",
        "2001:DB8::/32",
        "192.0.2.7/32",
        "::fffe:0:0/95",
    ),
    "StringEquals.acs:PrincipalARN": ("x", "acs:ram::1:user/a", "*", "ä b"),
}
BAD_VALUES: Mapping[str, tuple[object, ...]] = {
    "NumericEquals.cs:KubeConfigDurationMinutes": (
        "",
        " 15",
        "15\n",
        "+15",
        "1e3",
        "0x10",
        "٣",
        "15.",
        ".5",
        "NaN",
        "Infinity",
        1e300,
        float("nan"),
        float("inf"),
        10**9,
        10**4000,
        "0.0000001",
        1e-07,
        True,
        None,
    ),
    "Bool.acs:SecureTransport": ("", "yes", "1", 1, 0, None, "true "),
    "DateEquals.acs:CurrentTime": (
        "",
        "2026-11-24",
        "2026-11-24T08:00:00",
        "2026-11-24 08:00:00Z",
        "2026-13-24T08:00:00Z",
        "2026-11-24T24:01:00Z",
        "2026-W48-2T08:00:00Z",
        "20261124T080000Z",
        1795507200,
        True,
    ),
    "IpAddress.acs:SourceIp": (
        "",
        "localhost",
        "192.0.2",
        "192.0.2.*",
        "192.0.2.07",
        "192.0.2.0/33",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/",
        "/24",
        "fe80::1%eth0",
        "2001:db8::/129",
        ":",
        3232235777,
        True,
    ),
    "StringEquals.acs:PrincipalARN": ("", 15, True, None, "a\nb", "\x1b[31m", "\ud800"),
}


def cases(values: Mapping[str, tuple[object, ...]]) -> list[tuple[str, str, object]]:
    split = [(place.split(".", 1), each) for place, all_of in values.items() for each in all_of]
    return [(operator, key, value) for (operator, key), value in split]


@pytest.mark.parametrize(("operator", "key", "value"), cases(GOOD_VALUES))
def test_value_of_its_kind_is_taken_alone_and_in_a_list(operator: str, key: str, value: object) -> None:
    (alone,) = conditions({operator: {key: value}})
    (in_list,) = conditions({operator: {key: [value]}})
    assert alone == in_list and len(alone.values) == 1


@pytest.mark.parametrize(("operator", "key", "value"), cases(BAD_VALUES))
def test_value_of_another_kind_is_refused_with_its_place(operator: str, key: str, value: object) -> None:
    assert condition_faults({operator: {key: value}}).keys() == {f"{operator}.{key}"}
    good = SAMPLES[key]
    assert condition_faults({operator: {key: [good, value, good]}}).keys() == {f"{operator}.{key}[1]"}


@pytest.mark.parametrize(
    ("value", "cures"),
    [
        ("10.1.2.3/8", ("10.0.0.0/8", "10.1.2.3")),
        ("2001:db8::7/32", ("2001:db8::/32", "2001:db8::7")),
        ("::ffff:10.0.0.0/104", ("10.0.0.0/8",)),
        ("::ffff:10.1.2.3/104", ("10.0.0.0/8",)),
        ("::ffff:10.0.0.7", ("10.0.0.7/32",)),
    ],
)
def test_network_that_cannot_be_meant_is_refused_with_the_cure(value: str, cures: tuple[str, ...]) -> None:
    text = condition_faults({"NotIpAddress": {"acs:SourceIp": ["::1", value]}})["NotIpAddress.acs:SourceIp[1]"]
    for cure in cures:
        assert cure in text.replace(",", "").split()
        assert conditions({"NotIpAddress": {"acs:SourceIp": cure}})


def test_every_fault_of_conditions_is_named_at_once() -> None:
    found = condition_faults(
        {
            "StringEquals": {"acs:SourceIp": "192.0.2.7", "acs:MFAPresent": "true", "acs:PrincipalARN": ["a", 5]},
            "DateBefore": {"acs:CurrentTime": "2026-11-24T08:00:00Z"},
            "IpAddress": {"ACS:sourceip": ["192.0.2.7", "192.0.2.7/24"]},
            "Bool": {},
        }
    )
    assert list(found) == [
        "StringEquals.acs:SourceIp",
        "StringEquals.acs:MFAPresent",
        "StringEquals.acs:PrincipalARN[1]",
        "DateBefore",
        "IpAddress.ACS:sourceip[1]",
        "Bool",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"Bool":{"acs:SecureTransport":true},"Bool":{"acs:SecureTransport":true}}', "Condition.Bool"),
        ('{"Bool":{"acs:SecureTransport":true,"acs:SecureTransport":true}}', "Condition.Bool.acs:SecureTransport"),
        ('{"Bool":{"acs:SecureTransport":true,"ACS:securetransport":true}}', "Condition.Bool.ACS:securetransport"),
        ('{"Bool":{"acs:SecureTransport":true}},"Condition":{"Bool":{"acs:SecureTransport":true}}', "Condition"),
    ],
)
def test_doubled_condition_operator_and_key_are_refused(text: str, place: str) -> None:
    whole = '{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":' + text + "}]}"
    assert faults(whole) == {f"Statement[0].{place}": "is given more than once"}


condition_values = st.sampled_from((True, 15, "15", "true", "::1", "10.0.0.0/8", "2026-11-24T08:00:00Z", None, 1e300))


@given(
    st.dictionaries(
        st.sampled_from((*OPERATORS, "bool")),
        st.dictionaries(
            st.sampled_from((*KEYS, "acs:sourceip", "acs:Service")),
            condition_values | st.lists(condition_values, max_size=3),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_any_condition_is_read_whole_or_refused(condition: dict[str, dict[str, object]]) -> None:
    try:
        read = conditions(condition)
    except PolicyRefused as refused:
        assert refused.faults
        return
    assert [each.operator for each in read] == [name for name, keys in condition.items() for _ in keys]
    counts = [len(value) if isinstance(value, list) else 1 for keys in condition.values() for value in keys.values()]
    assert [len(each.values) for each in read] == [len(each.written) for each in read] == counts
    assert condition and all(counts)
