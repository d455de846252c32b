import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.policy_conditions import OPERATORS, Condition, holds
from kubecustody.core.policy_documents import parse_policy

EIGHT = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ARN = "acs:ram::1000000000000001:user/Anna"


def condition(operator: str, key: str, *values: object) -> Condition:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {operator: {key: values}}}
    (only,) = parse_policy(json.dumps({"Version": "1", "Statement": [statement]})).statements
    return only.conditions[0]


def held(operator: str, key: str, given_value: object, *values: object) -> bool:
    """Whether it holds for this value; that the value is there is proved by asking with both readings of absence."""
    context = {key.lower(): given_value}
    asked = condition(operator, key, *values)
    answers = {holds(asked, context, if_absent=reading) for reading in (False, True)}
    assert len(answers) == 1
    return answers.pop()


NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("StringEquals", ARN, True),
        ("StringEquals", ARN.lower(), False),
        ("StringEquals", ARN + "x", False),
        ("StringEquals", "*", False),
        ("StringEqualsIgnoreCase", ARN.upper(), True),
        ("StringEqualsIgnoreCase", "acs:ram::1000000000000001:user/Annä", False),
        ("StringLike", "acs:ram::*:user/Ann?", True),
        ("StringLike", ARN, True),
        ("StringLike", "acs:ram::*:user/ann?", False),
        ("StringLike", "user/*", False),
    ],
)
def test_texts(operator: str, value: str, expected: bool) -> None:
    assert held(operator, "acs:PrincipalARN", ARN, value) is expected
    opposite = operator.replace("String", "StringNot")
    assert held(opposite, "acs:PrincipalARN", ARN, value) is not expected


RELATIONS = {
    "Equals": (False, True, False),
    "NotEquals": (True, False, True),
    "LessThan": (True, False, False),
    "LessThanEquals": (True, True, False),
    "GreaterThan": (False, False, True),
    "GreaterThanEquals": (False, True, True),
}


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("written", [60, "60", 60.0, "060.000"])
def test_numbers_are_compared_as_numbers(relation: str, written: object) -> None:
    answers = [held(f"Numeric{relation}", "cs:KubeConfigDurationMinutes", minutes, written) for minutes in (9, 60, 61)]
    assert tuple(answers) == RELATIONS[relation]


def test_number_between_two_whole_ones_separates_them() -> None:
    assert held("NumericLessThan", "cs:KubeConfigDurationMinutes", 15, 15.5)
    assert held("NumericGreaterThan", "cs:KubeConfigDurationMinutes", 16, "15.999999")
    assert held("NumericGreaterThan", "cs:KubeConfigDurationMinutes", 10**12, 999999999)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("written", ["2026-11-24T08:00:00Z", "2026-11-24T16:00:00+08:00", "2026-11-23T23:30:00-08:30"])
def test_times_are_compared_as_moments_in_any_zone(relation: str, written: str) -> None:
    answers = [
        held(f"Date{relation}", "acs:CurrentTime", moment, written)
        for moment in (EIGHT - SECOND, EIGHT, EIGHT + SECOND)
    ]
    assert tuple(answers) == RELATIONS[relation]


def test_time_is_compared_by_the_whole_second() -> None:
    within = EIGHT + timedelta(microseconds=999_999)
    before = EIGHT - timedelta(microseconds=1)
    for moment, expected in ((within, True), (before, False)):
        assert held("DateEquals", "acs:CurrentTime", moment, "2026-11-24T08:00:00Z") is expected
    assert held("DateEquals", "acs:CurrentTime", EIGHT.astimezone(timezone(9 * 3600 * SECOND)), "2026-11-24T08:00:00Z")


def test_bool() -> None:
    for secure in (True, False):
        assert held("Bool", "acs:SecureTransport", secure, str(secure).lower())
        assert not held("Bool", "acs:SecureTransport", secure, not secure)
        assert held("Bool", "acs:SecureTransport", secure, True, False)


@pytest.mark.parametrize(
    ("given_address", "written", "expected"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.255", "192.0.2.0/24", True),
        ("192.0.3.0", "192.0.2.0/24", False),
        ("192.0.2.7", "0.0.0.0/0", True),
        ("192.0.2.7", "::/0", False),
        ("2001:db8::7", "2001:db8::/32", True),
        ("2001:DB8:0:0::7", "2001:db8::7", True),
        ("2001:db9::7", "2001:db8::/32", False),
        ("2001:db8::7", "0.0.0.0/0", False),
        ("::ffff:192.0.2.7", "192.0.2.0/24", True),
        ("::ffff:c000:207", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "::/0", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("::", "0.0.0.0/0", False),
    ],
)
def test_addresses(given_address: str, written: str, expected: bool) -> None:
    for value in (given_address, ip_address(given_address)):
        assert held("IpAddress", "acs:SourceIp", value, written) is expected
        assert held("NotIpAddress", "acs:SourceIp", value, written) is not expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("acs:CurrentTime", EIGHT.replace(tzinfo=None)),
        ("acs:CurrentTime", "2026-11-24T08:00:00Z"),
        ("acs:CurrentTime", 1795507200),
        ("acs:SecureTransport", "true"),
        ("acs:SecureTransport", 1),
        ("acs:SourceIp", "localhost"),
        ("acs:SourceIp", ""),
        ("acs:SourceIp", 3221225991),
        ("acs:PrincipalARN", b"acs:ram::1:user/a"),
        ("cs:KubeConfigDurationMinutes", "15"),
        ("cs:KubeConfigDurationMinutes", True),
        ("cs:KubeConfigDurationMinutes", float("nan")),
        ("cs:KubeConfigDurationMinutes", None),
    ],
)
def test_value_that_is_not_of_its_kind_counts_as_absent(key: str, value: object) -> None:
    written = {
        "acs:CurrentTime": ("DateNotEquals", "2026-11-24T08:00:00Z"),
        "acs:SecureTransport": ("Bool", True),
        "acs:SourceIp": ("NotIpAddress", "192.0.2.7"),
        "acs:PrincipalARN": ("StringNotEquals", "x"),
        "cs:KubeConfigDurationMinutes": ("NumericEquals", 15),
    }
    operator, wanted = written[key]
    for reading in (True, False):
        for context in ({key.lower(): value}, {}):
            assert holds(condition(operator, key, wanted), context, if_absent=reading) is reading


VALUES: Mapping[str, tuple[str, st.SearchStrategy[Any], tuple[object, ...]]] = {
    "Date": (
        "acs:CurrentTime",
        st.integers(-2, 2).map(lambda seconds: EIGHT + seconds * SECOND),
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:01Z", "2026-11-24T09:59:59+02:00"),
    ),
    "Bool": ("acs:SecureTransport", st.booleans(), (True, "false")),
    "Ip": (
        "acs:SourceIp",
        st.sampled_from(("192.0.2.7", "192.0.2.8", "::1", "::ffff:192.0.2.7")),
        ("192.0.2.7", "192.0.2.0/24", "::/0", "0.0.0.0/0"),
    ),
    "String": ("acs:PrincipalARN", st.sampled_from(("a", "A", "b", "ab")), ("a", "B", "a*", "?")),
    "Numeric": ("cs:KubeConfigDurationMinutes", st.integers(14, 17), (15, "16", 15.5)),
}


def kind_of_operator(operator: str) -> str:
    return next(kind for kind in VALUES if operator.removeprefix("Not").startswith(kind))


@pytest.mark.parametrize("operator", OPERATORS)
@given(st.data())
def test_several_values_are_any_of_them_and_for_not_none_of_them(operator: str, data: st.DataObject) -> None:
    key, drawn, samples = VALUES[kind_of_operator(operator)]
    value = data.draw(drawn)
    written = data.draw(st.lists(st.sampled_from(samples), min_size=1, max_size=3))
    each = [held(operator, key, value, one) for one in written]
    assert held(operator, key, value, *written) is (all(each) if operator in NEGATED else any(each))


@pytest.mark.parametrize("operator", NEGATED)
@given(st.data())
def test_operator_that_says_not_holds_exactly_where_the_other_does_not(operator: str, data: st.DataObject) -> None:
    key, drawn, samples = VALUES[kind_of_operator(operator)]
    value = data.draw(drawn)
    written = data.draw(st.lists(st.sampled_from(samples), min_size=1, max_size=3))
    assert held(operator, key, value, *written) is not held(NEGATED[operator], key, value, *written)
