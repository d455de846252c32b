"""From path and query to the input of an operation: every fault is named at once, unknown parameters passed over."""

from collections.abc import Callable
from functools import cache
from typing import Any

from kubecustody.catalogue.operations import Operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, members_of
from kubecustody.core.errors import Fault, ParametersRefused
from kubecustody.core.names import is_uid
from kubecustody.signing.request import decode_query

_SHOWN = 40
_MOST_DIGITS = 18
_TRUE_AND_FALSE = {"true": True, "false": False}


class _Refusal(Exception):
    """One parameter is wrong; the text says what it must be."""


def decode_input(operation: Operation, path_values: dict[str, bytes], query_string: bytes) -> Shape:
    """The operation's input. Raises ParametersRefused with every fault, in the operation's order."""
    query = _read_query(query_string) if query_string else {}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for member, read in _readers(operation):
        try:
            if member.about.location is Location.PATH:
                values[member.name] = read(_text(path_values[member.wire_name]))
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
    if member.wire_name.lower() == "uid":
        return _uid
    return str


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


def _uid(text: str) -> str:
    if text and not is_uid(text):
        raise _Refusal(f"is {_shown(text)}; a Uid is 1 to 32 digits.")
    return text


def _shown(text: str) -> str:
    """The value for a message: quoted, short, and without anything that a terminal or page would act on."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
