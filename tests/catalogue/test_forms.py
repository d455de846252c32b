"""Forms of texts: what the server takes is what the published pattern says, and no more than its own readers read."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubecustody.catalogue import forms
from kubecustody.catalogue.forms import Form, checker_of
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.catalogue.shapes import Location, MemberInfo, members_of
from kubecustody.core.errors import ParametersRefused
from kubecustody.core.names import NameRefused, check_cluster_name, is_uid
from kubecustody.core.times import parse_time
from kubecustody.custody.credentials import parse_fingerprint
from kubecustody.server.decoding import decode_input

FORMED = [(one.name, member) for one in OPERATIONS for member in members_of(one.input) if member.form]
ALL = sorted({form for _, member in FORMED if (form := member.form)}, key=lambda form: form.must)
PROBES = [
    *("", " ", "\n", "\u0085", "\ufeff", "\u200b", "a", "a\n", "a\u0085", "a/b", "a" * 64),
    *("1", "1\n", "\u0661", "-1", "1.2.3", "1.2.3.4"),
    *("c" * 33, "c" + "0" * 32, "c" + "0" * 32 + "\n", "prod-eu", "_a", "-a", "\u00fcber", "\U0001f600"),
    *("AB:" * 31 + "AB", "ab::cd", ":ab", "0" * 65),
    *("https://a", "http://a", "https://", "https://a/b", "https://u@a"),
    *("2026-11-30T07:41:50Z", "2026-11-30t07:41:50.5z", "2026-11-30T07:41:60Z", "2026-11-30T24:00:00Z"),
    *("0000-11-30T07:41:50Z", "2026-13-30T07:41:50Z", "2026-11-30T07:41:50+24:00", "2026-11-30 07:41:50Z"),
    "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n",
    "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
]


@pytest.mark.parametrize(("operation", "member"), FORMED, ids=lambda one: getattr(one, "name", one))
def test_examples_and_defaults_have_the_form(operation: str, member: MemberInfo) -> None:
    assert member.form is not None
    has_form = checker_of(member.form)
    assert member.default in (None, "") or has_form(member.default)
    assert not member.about.example or member.about.example.endswith("...") or has_form(member.about.example)


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.must)
def test_patterns_are_in_words_that_every_language_reads_alike(form: Form) -> None:
    assert not re.search(r"\\[dDwWbBAZpPN]|\(\?P|\(\?[aiLmsux]", form.pattern)
    assert bool(form.format) == (form.more is not None) or form is forms.CLUSTER_NAME


def accepted(parse: Any, text: str) -> bool:
    try:
        return parse(text) not in (None, False)
    except (ValueError, NameRefused):
        return False


READ_BY = [
    (forms.UID, is_uid),
    (forms.TIME, parse_time),
    (forms.FINGERPRINT, parse_fingerprint),
    (forms.CLUSTER_NAME, check_cluster_name),
    (forms.NOT_BLANK, str.strip),
]


@pytest.mark.parametrize(("form", "parse"), READ_BY, ids=lambda one: getattr(one, "must", ""))
@given(data=st.data())
def test_what_has_a_form_is_read(form: Form, parse: Any, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(form.pattern, fullmatch=True) | st.sampled_from(PROBES) | st.text(max_size=70))
    assert not checker_of(form)(text) or accepted(parse, text)


@given(text=st.text(max_size=70) | st.from_regex(r"[^\W_][\w-]{0,62}", fullmatch=True) | st.sampled_from(PROBES))
@example("\u0661a")
def test_every_name_that_a_cluster_may_have_fits_the_published_pattern(text: str) -> None:
    assert checker_of(forms.CLUSTER_NAME)(text) == accepted(check_cluster_name, text)


@pytest.mark.parametrize("form", [forms.HTTPS_URL, forms.CERTIFICATE_REQUEST], ids=lambda form: form.must)
def test_what_may_be_a_secret_in_the_wrong_place_is_not_repeated(form: Form) -> None:
    (name, member), *_ = [one for one in FORMED if one[1].form is form]
    text = "https://admin:hunter2@example.com"
    path = {
        one.wire_name: b"c1" for one in members_of(get_operation(name).input) if one.about.location is Location.PATH
    }
    with pytest.raises(ParametersRefused) as refused:
        decode_input(get_operation(name), path, b"", json.dumps({member.wire_name: text}).encode())
    told = {fault.parameter: fault.text for fault in refused.value.faults}
    assert told[member.wire_name] == f"is not what is wanted; it must be {form.must}."
    assert "hunter2" not in str(told)


@given(st.datetimes().map(lambda at: at.isoformat() + "Z"))
def test_every_time_that_is_written_is_taken(text: str) -> None:
    assert checker_of(forms.TIME)(text)


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-11-31T00:00:00Z"])
def test_a_day_that_there_is_not_is_no_time(text: str) -> None:
    assert re.fullmatch(forms.TIME.pattern, text) and not checker_of(forms.TIME)(text)
