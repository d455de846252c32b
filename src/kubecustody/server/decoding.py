"""From path, query and body to the input of an operation: every fault is named at once, unknown ones passed over."""

from collections.abc import Callable
from functools import cache
from typing import Any

from kubecustody.catalogue.forms import checker_of, one_of
from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, find_whole, members_of
from kubecustody.core.errors import Fault, ParametersRefused
from kubecustody.server.json_bodies import read_array, read_object, takes_body
from kubecustody.signing.request import decode_query

_SHOWN = 40
_MOST_DIGITS = 18
_MOST_VALUES_NAMED = 12
_TRUE_AND_FALSE = {"true": True, "false": False}


class _Refusal(Exception):
    """One parameter is wrong; the text says what it must be."""


def decode_input(operation: Operation, path_values: dict[str, bytes], query_string: bytes, body: bytes = b"") -> Shape:
    """The operation's input. Raises BodyMalformed, and ParametersRefused with every fault: in the operation's order,
    and then those of two that do not go together.
    """
    readers, exclusions = _plan(operation)
    query = _read_query(query_string) if query_string else {}
    whole = find_whole(operation.input)
    document = read_object(body) if takes_body(operation) and whole is None else {}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for member, read in readers:
        try:
            if member.about.location is Location.PATH:
                values[member.name] = read(_text(path_values[member.wire_name]))
                continue
            if member is whole:
                values[member.name] = _items(member, read_array(body), faults, "")
                continue
            if member.about.location is Location.BODY:
                if member.wire_name in document:
                    given = document[member.wire_name]
                    of_objects = member.shape is not None and isinstance(given, list)
                    values[member.name] = (
                        _items(member, given, faults, member.wire_name) if of_objects else _from_body(member, given)
                    )
                elif member.required:
                    raise _Refusal(f"is mandatory: put it into the body{_wanted(member)}.")
                continue
            if member.kind is Kind.ARRAY:
                if (texts := _list_in_query(member, query)) is not None:
                    values[member.name] = texts
                continue
            given = query.get(member.wire_name)
            if given is None:
                if member.required:
                    raise _Refusal(f"is mandatory: put it into the query{_wanted(member)}.")
                continue
            if len(given) > 1:
                raise _Refusal(f"is given {len(given)} times; give it once.")
            values[member.name] = read(_text(given[0]))
        except _Refusal as refusal:
            faults.append(Fault(member.wire_name, str(refusal)))
    for name, other in exclusions:
        if (name in query or name in document) and (other in query or other in document):
            faults.append(Fault(name, f"does not go with {other}; leave one of them out."))
    if faults:
        raise ParametersRefused(tuple(faults))
    return operation.input(**values)


def _read_query(query_string: bytes) -> dict[str, list[bytes]]:
    """Every parameter with its values, decoded as the signature covers them."""
    query: dict[str, list[bytes]] = {}
    for name, value in decode_query(query_string):
        query.setdefault(name.decode("latin-1"), []).append(value)
    return query


def _list_in_query(member: MemberInfo, query: dict[str, list[bytes]]) -> list[str] | None:
    """A list of texts: one comma-separated value, as the SDKs send it, or NAME.1, NAME.2 and so on, as the CLI does."""
    whole, prefix = query.get(member.wire_name, []), member.wire_name + "."
    numbered = {name.removeprefix(prefix): values for name, values in query.items() if name.startswith(prefix)}
    if not whole and not numbered:
        return None
    if len(whole) + bool(numbered) > 1 or any(len(values) > 1 for values in numbered.values()):
        raise _Refusal(f"is given several times; give one comma-separated value, or {prefix}1, {prefix}2 and so on.")
    if set(numbered) != {str(number) for number in range(1, len(numbered) + 1)}:
        raise _Refusal(f"is numbered with gaps; begin with {prefix}1 and go on without one.")
    values = whole[0].split(b",") if whole else [numbered[str(number)][0] for number in range(1, len(numbered) + 1)]
    texts = [_text(value).strip() for value in values]
    if not all(texts):
        raise _Refusal("has an empty entry; leave the parameter out where all are meant.")
    _check_count(member, texts)
    return texts


def _check_count(member: MemberInfo, entries: list[Any]) -> None:
    if member.about.fewest is not None and len(entries) < member.about.fewest:
        raise _Refusal(f"has {len(entries)} entries; at least {member.about.fewest} is wanted.")
    if member.about.most is not None and len(entries) > member.about.most:
        raise _Refusal(f"has {len(entries)} entries; at most {member.about.most} are taken.")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise _Refusal("is not UTF-8.") from None


_Readers = tuple[tuple[MemberInfo, Callable[[str], Any]], ...]


@cache
def _plan(operation: Operation) -> tuple[_Readers, tuple[tuple[str, str], ...]]:
    """What reads each member, and which two do not go together, by wire name."""
    members = members_of(operation.input)
    return (
        tuple((member, _reader(member)) for member in members),
        tuple((member.wire_name, other) for member in members for other in member.about.excludes),
    )


def _reader(member: MemberInfo) -> Callable[[str], Any]:
    if member.kind is Kind.INTEGER:
        return lambda text: _integer(member, text)
    if member.kind is Kind.BOOLEAN:
        return _boolean
    if member.about.values:
        return _one_of(member)
    if member.form is not None:
        return _formed(member)
    if member.about.most is not None:
        return lambda text: _short(text, member.about.most or 0)
    return str


def _one_of(member: MemberInfo) -> Callable[[str], str]:
    values = {str(value) for value in member.about.values or ()}

    def read(text: str) -> str:
        if text not in values:
            raise _Refusal(f"is {_shown(text)}{_wanted(member)}.")
        return text

    return read


def _formed(member: MemberInfo) -> Callable[[str], str]:
    assert member.form is not None
    form, most = member.form, member.about.most
    has_form = checker_of(form)
    shown = _shown if form.repeated and not member.about.secret else lambda _: "not what is wanted"

    def read(text: str) -> str:
        if most is not None:
            _short(text, most)
        if not has_form(text):
            raise _Refusal(f"is {shown(text)}{_wanted(member)}.")
        return text

    if not member.about.may_be_empty:
        return read
    return lambda text: read(text) if text else ""


def _wanted(member: MemberInfo) -> str:
    """What it must be, as the end of a sentence; nothing where the type says it all."""
    values = member.about.values or {}
    if len(values) > _MOST_VALUES_NAMED:
        return f"; it must be one of the {len(values)} values that the operation's page explains"
    if values:
        return f"; it must be {one_of(map(str, values))}"
    return "" if member.form is None else f"; it must be {member.form.must}"


def _from_body(member: MemberInfo, value: Any) -> Any:
    """A member of the body, in its JSON type. Integers may come as text too, since some clients quote long ones, and
    720.0 is one to JSON Schema; null is what a member is that may be left out.
    """
    if value is None and member.nullable:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if member.kind is Kind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
        return _integer(member, str(value))
    if member.kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if member.kind in (Kind.STRING, Kind.INTEGER) and isinstance(value, str):
        return _reader(member)(value)
    raise _Refusal(f"must be JSON of type {member.kind}.")


def _items(member: MemberInfo, entries: list[Any], faults: list[Fault], within: str) -> list[Shape]:
    """The objects of an array; each fault has its place: [0].role_name where the body is the array itself."""
    _check_count(member, entries)
    assert member.shape is not None
    found = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            faults.append(Fault(f"{within}[{place}]", "must be a JSON object."))
            continue
        values, refused = _members(member.shape, entry)
        faults += [Fault(f"{within}[{place}].{name}", text) for name, text in refused]
        if not refused:
            found.append(member.shape(**values))
    return found


def _members(shape: type[Shape], entry: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The members of an object by the names of the fields, and what is wrong; those that it does not know are
    passed over.
    """
    values: dict[str, Any] = {}
    faults = []
    for member in members_of(shape):
        try:
            if member.wire_name in entry:
                values[member.name] = _from_body(member, entry[member.wire_name])
            elif member.required:
                raise _Refusal(f"is mandatory{_wanted(member)}.")
        except _Refusal as refusal:
            faults.append(Fault(member.wire_name, str(refusal)))
    return values, faults


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


def _short(text: str, most: int) -> str:
    if len(text) > most:
        raise _Refusal(f"has {len(text)} characters; at most {most} are taken.")
    return text


def _shown(text: str) -> str:
    """The value for a message: quoted, short, and without anything that a terminal or page would act on."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
