"""From path, query and body to the input of an operation: every fault is named at once, unknown ones passed over."""

from collections.abc import Callable
from functools import cache
from typing import Any

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, members_of
from kubecustody.core.errors import Fault, ParametersRefused
from kubecustody.core.names import is_uid
from kubecustody.server.json_bodies import read_object, takes_body
from kubecustody.signing.request import decode_query

_SHOWN = 40
_MOST_DIGITS = 18
_TRUE_AND_FALSE = {"true": True, "false": False}


class _Refusal(Exception):
    """One parameter is wrong; the text says what it must be."""


def decode_input(operation: Operation, path_values: dict[str, bytes], query_string: bytes, body: bytes = b"") -> Shape:
    """The operation's input. Raises ParametersRefused with every fault, in the operation's order, and BodyMalformed."""
    query = _read_query(query_string) if query_string else {}
    document = read_object(body) if takes_body(operation) else {}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for member, read in _readers(operation):
        try:
            if member.about.location is Location.PATH:
                values[member.name] = read(_text(path_values[member.wire_name]))
                continue
            if member.about.location is Location.BODY:
                if member.wire_name in document:
                    values[member.name] = _from_body(member, document[member.wire_name])
                elif member.required:
                    raise _Refusal("is mandatory: put it into the body.")
                continue
            given = query.get(member.wire_name)
            if given is None:
                continue
            if len(given) > 1:
                raise _Refusal(f"is given {len(given)} times; give it once.")
            values[member.name] = read(_text(given[0]))
        except _Refusal as refusal:
            faults.append(Fault(member.wire_name, str(refusal)))
    if faults:
        raise ParametersRefused(tuple(faults))
    return operation.input(**values)


def _read_query(query_string: bytes) -> dict[str, list[bytes]]:
    """Every parameter with its values, decoded as the signature covers them."""
    query: dict[str, list[bytes]] = {}
    for name, value in decode_query(query_string):
        query.setdefault(name.decode("latin-1"), []).append(value)
    return query


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise _Refusal("is not UTF-8.") from None


@cache
def _readers(operation: Operation) -> tuple[tuple[MemberInfo, Callable[[str], Any]], ...]:
    return tuple((member, _reader(member)) for member in members_of(operation.input))


def _reader(member: MemberInfo) -> Callable[[str], Any]:
    if member.kind is Kind.INTEGER:
        return lambda text: _integer(member, text)
    if member.kind is Kind.BOOLEAN:
        return _boolean
    if member.wire_name.lower() in ("uid", "user"):
        return _uid_or_empty if member.about.may_be_empty else _uid
    return str


def _from_body(member: MemberInfo, value: Any) -> Any:
    """A member of the body, in its JSON type. Integers may come as text too, since some clients quote long ones."""
    if member.kind is Kind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
        return _integer(member, str(value))
    if member.kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if member.kind in (Kind.STRING, Kind.INTEGER) and isinstance(value, str):
        return _reader(member)(value)
    raise _Refusal(f"must be JSON of type {member.kind}.")


def _integer(member: MemberInfo, text: str) -> int:
    low, high = member.about.minimum, member.about.maximum
    digits = text.removeprefix("-")
    if not (digits.isdecimal() and digits.isascii()):
        raise _Refusal(f"is {_shown(text)}; it must be an integer{_bounds(low, high)}.")
    if len(digits.lstrip("0")) > _MOST_DIGITS:
        raise _Refusal(f"is out of bounds; it must be an integer{_bounds(low, high)}.")
    value = int(text)
    if (low is not None and value < low) or (high is not None and value > high):
        raise _Refusal(f"is {value}; it must be an integer{_bounds(low, high)}.")
    return value


def _bounds(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return "" if low is None else f", at least {low}"


def _boolean(text: str) -> bool:
    """true or false in any case: SDKs differ in how they spell them."""
    value = _TRUE_AND_FALSE.get(text.lower())
    if value is None:
        raise _Refusal(f"is {_shown(text)}; it must be true or false.")
    return value


def _uid_or_empty(text: str) -> str:
    return _uid(text) if text else ""


def _uid(text: str) -> str:
    if not is_uid(text):
        raise _Refusal(f"is {_shown(text)}; a Uid is 1 to 32 digits.")
    return text


def _shown(text: str) -> str:
    """The value for a message: quoted, short, and without anything that a terminal or page would act on."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
