"""What the explorer says of a value is what the server says: both read the catalogue's forms."""

import pytest

from catalogue.test_forms import PROBES
from explorer.modules import OPERATIONS as EXPLORED
from explorer.modules import Modules
from kubecustody.catalogue.forms import checker_of
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import MemberInfo, members_of

pytestmark = pytest.mark.sdk

FORMED = [
    (name, member) for name in EXPLORED for member in members_of(get_operation(name).input) if member.form is not None
]


@pytest.mark.parametrize(("name", "member"), FORMED, ids=lambda one: getattr(one, "wire_name", one))
def test_only_a_text_without_the_form_is_a_fault(modules: Modules, name: str, member: MemberInfo) -> None:
    form, most = member.form, member.about.most or 10_000
    assert form is not None
    for text in filter(None, PROBES):
        faults = modules.ask("faults", operation=EXPLORED[name], values={member.wire_name: text})
        told = [fault.partition(" ")[2] for fault in faults if fault.startswith(f"{member.wire_name} ")]
        if checker_of(form)(text) and len(text) <= most:
            assert told == [], text
        elif form.more is None:  # else the server alone knows more
            assert told == ([f"must be {form.must}"] if len(text) <= most else [f"has more than {most} characters"])


def test_two_that_do_not_go_together_and_a_value_that_there_is_not_are_faults(modules: Modules) -> None:
    values = {"Fingerprint": "ab" * 32, "Serial": "1", "At": "2026-11-30T07:41:50Z", "State": "Alive"}
    assert modules.ask("faults", operation=EXPLORED["ListCredentials"], values=values) == [
        "State is none of the values that there are",
        "Serial does not go with Fingerprint",
        "At does not go with Fingerprint",
        "At does not go with Serial",
    ]
