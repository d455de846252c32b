"""JSON bodies: read whole, in UTF-8, each member once, of bounded depth."""

import json
from functools import cache
from typing import Any

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.shapes import Location, members_of
from kubecustody.core.errors import BodyMalformed
from kubecustody.core.json_depth import json_depth

_DEEPEST = 32


@cache
def takes_body(operation: Operation) -> bool:
    """Whether the operation has a member in the body."""
    return any(member.about.location is Location.BODY for member in members_of(operation.input))


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty one for none. Raises BodyMalformed."""
    if not body:
        return {}
    value = _load(body)
    if not isinstance(value, dict):
        raise BodyMalformed("it must be a JSON object.")
    return value


def read_array(body: bytes) -> list[Any]:
    """The JSON array that a body is: an empty one is written out. Raises BodyMalformed."""
    value = _load(body) if body else None
    if not isinstance(value, list):
        raise BodyMalformed("it must be a JSON array; [] is an empty one.")
    return value


def _load(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyMalformed(f"it is not UTF-8 at byte {error.start}.") from None
    if json_depth(text) > _DEEPEST:
        raise BodyMalformed(f"it is nested deeper than {_DEEPEST} levels.")
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():  # an escaped half of a pair is no text, and no encoder takes it
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise BodyMalformed("a text in it has half of a surrogate pair.") from None
    except json.JSONDecodeError as error:
        raise BodyMalformed(f"it is not JSON at line {error.lineno}, column {error.colno}.") from None
    except ValueError:  # an integer of more digits than Python reads
        raise BodyMalformed("a number in it has too many digits.") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BodyMalformed("a member of it is given twice.")
    return members


def _refuse_constant(name: str) -> Any:
    raise BodyMalformed(f"{name} is no JSON.")
