"""What is sealed of an event is the JSON that the documentation says, to the byte."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.events import Event, canonical_form

TEXT, NUMBER = st.text(st.characters()), st.integers()  # surrogates too: nothing may break a seal
KINDS = {"event_no": NUMBER, "recorded_at_ms": NUMBER, "occurred_at": NUMBER, "cluster_seq": NUMBER}


@given(st.builds(Event, **{name: KINDS.get(name, TEXT) for name in Event._fields}))
def test_the_sealed_form_is_compact_ascii_json(event: Event) -> None:
    expected = json.dumps(event, separators=(",", ":"), ensure_ascii=True)
    assert canonical_form(event) == expected
