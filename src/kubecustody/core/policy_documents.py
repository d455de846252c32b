"""Policy documents: the JSON text of a policy, read into what it says.

A document with an element, an operator or a key that would be ignored is refused, since an ignored one turns a
narrow grant into a wide one, or a Deny into nothing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from kubecustody.core.errors import Fault, OperatorError
from kubecustody.core.json_depth import json_depth
from kubecustody.core.policy import Effect, Policy, Statement
from kubecustody.core.policy_conditions import (
    KEYS,
    OPERATORS,
    Condition,
    Wanted,
    find_key,
    kind_of,
    operators_for,
    read_value,
    write_value,
)

MAX_CHARACTERS: Final = 6144
# A document needs six levels; the spare ones let a deeper element be refused by its name.
MAX_DEPTH: Final = 16

_Groups: TypeAlias = tuple[tuple[str, ...], ...]
_DOCUMENT: Final[_Groups] = (("Version",), ("Statement",))
_STATEMENT: Final[_Groups] = (("Effect",), ("Action", "NotAction"), ("Resource", "NotResource"))

_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?_.-]+")
_NOT_UNDERSTOOD = "is not understood by this version and would be ignored; take it out"
_UNKNOWN_KEY = f"is no key that a request has here; the keys are {', '.join(KEYS)}"
_UNKNOWN_OPERATOR = "is no operator; there are such as StringEquals, NumericLessThan, DateGreaterThan, Bool, IpAddress"
_OPERATOR_SPELLINGS: Final = {name.lower(): name for name in OPERATORS}


class PolicyRefused(OperatorError):
    """A policy document is wrong; every fault is named at once, with its place (`Statement[1].Action`)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        lines = (f"  {fault.parameter}: {fault.text}" for fault in self.faults)
        super().__init__("\n".join(("The policy is refused:", *lines)))


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written, doubled members included."""


@lru_cache(maxsize=256)
def parse_policy(text: str) -> Policy:
    """The policy that a JSON document describes. One read not long ago is remembered by its text.

    Raises PolicyRefused with every fault when it is not exactly Version "1" and a list of statements, each with
    Effect, one of Action and NotAction, one of Resource and NotResource, and at most Condition besides.
    """
    faults: list[Fault] = []
    policy = Policy(tuple(_read_document(_load(text), faults)))
    if faults:
        raise PolicyRefused(faults)
    return policy


# ---- JSON


def _load(text: str) -> object:
    if len(text) > MAX_CHARACTERS:
        raise PolicyRefused([Fault("document", f"has {len(text)} characters; at most {MAX_CHARACTERS} are taken")])
    if json_depth(text) > MAX_DEPTH:
        raise PolicyRefused([Fault("document", f"is nested deeper than {MAX_DEPTH} levels")])
    try:
        return json.loads(text, object_pairs_hook=_Members)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise PolicyRefused([Fault("document", f"is not JSON: {error.msg} ({place})")]) from error
    except ValueError as error:  # a number of more digits than Python turns into an int
        raise PolicyRefused([Fault("document", "holds a number that is too long")]) from error


def _read_members(
    value: object, place: str, one_of: _Groups, faults: list[Fault], optional: str | None = None
) -> dict[str, object]:
    """The members that are there: exactly one of each group, and perhaps the optional one.

    Unknown, doubled, missing and contradicting ones become faults.
    """
    if not isinstance(value, _Members):
        faults.append(Fault(place or "document", "must be a JSON object"))
        return {}
    faults.extend(_faults_of_names([name for name, _ in value], f"{place}." if place else "", one_of, optional))
    return dict(value)


def _faults_of_names(names: list[str], dot: str, one_of: _Groups, optional: str | None) -> Iterator[Fault]:
    known = {optional, *(name for group in one_of for name in group)}
    for name in dict.fromkeys(names):
        if name not in known:
            yield Fault(dot + _shown(name), _NOT_UNDERSTOOD)
        elif names.count(name) > 1:
            yield Fault(dot + name, "is given more than once")
    for group in one_of:
        there = [name for name in group if name in names]
        if not there:
            yield Fault(dot + group[0], "is missing" + "".join(f", and so is {name}" for name in group[1:]))
        for name in there[1:]:
            yield Fault(dot + name, f"contradicts {there[0]}; take one of the two out")


def _read_entries(value: object, place: str, what: str, faults: list[Fault]) -> Iterator[tuple[str, object, str]]:
    """Name, value and place of each member of an object whose names are free, without regard to case."""
    if not isinstance(value, _Members) or not value:
        faults.append(Fault(place, f"must be a JSON object with at least one {what}"))
        return
    seen: set[str] = set()
    for name, member in value:
        inner = f"{place}.{_shown(name)}"
        if name.lower() in seen:
            faults.append(Fault(inner, "is given more than once"))
        else:
            seen.add(name.lower())
            yield name, member, inner


def _read_items(value: object, place: str, what: str, faults: list[Fault]) -> Iterator[tuple[object, str]]:
    """Each item of a list with its place, or the one value that stands without a list."""
    if isinstance(value, _Members) or value == []:
        faults.append(Fault(place, f"must be a {what} or a list of at least one {what}"))
    elif isinstance(value, list):
        yield from ((item, f"{place}[{index}]") for index, item in enumerate(value))
    else:
        yield value, place


def _shown(name: str) -> str:
    """A member's name, fit for a message of one line on any terminal."""
    return name[:64] if name and name.isascii() and name.isprintable() else ascii(name[:64])


# ---- statements


def _read_document(document: object, faults: list[Fault]) -> Iterator[Statement]:
    members = _read_members(document, "", _DOCUMENT, faults)
    if members.get("Version", "1") != "1":
        faults.append(Fault("Version", 'must be the string "1"'))
    if "Statement" not in members:
        return
    statements = members["Statement"]
    if not isinstance(statements, list) or isinstance(statements, _Members) or not statements:
        faults.append(Fault("Statement", "must be a list of at least one statement"))
        return
    for index, statement in enumerate(statements):
        yield _read_statement(statement, f"Statement[{index}]", faults)


def _read_statement(statement: object, place: str, faults: list[Fault]) -> Statement:
    members = _read_members(statement, place, _STATEMENT, faults, optional="Condition")
    effect = members.get("Effect", "Deny")
    if effect not in ("Allow", "Deny"):
        faults.append(Fault(f"{place}.Effect", 'must be "Allow" or "Deny"'))
    actions, not_action = _read_either("Action", members, place, faults)
    resources, not_resource = _read_either("Resource", members, place, faults)
    conditions: tuple[Condition, ...] = ()
    if "Condition" in members:
        conditions = tuple(_read_conditions(members["Condition"], f"{place}.Condition", faults))
    allows: Effect = "Allow" if effect == "Allow" else "Deny"
    return Statement(allows, actions, resources, not_action, not_resource, conditions)


def _read_either(
    name: str, members: dict[str, object], place: str, faults: list[Fault]
) -> tuple[tuple[str, ...], bool]:
    """The patterns of Action or NotAction (or of Resource or NotResource), and whether they are those of Not."""
    patterns: tuple[str, ...] = ()
    for written in (name, f"Not{name}"):
        if written in members:
            patterns = tuple(_read_patterns(members[written], name, f"{place}.{written}", faults))
    return patterns, f"Not{name}" in members


def _read_patterns(value: object, name: str, place: str, faults: list[Fault]) -> Iterator[str]:
    for item, inner in _read_items(value, place, "string", faults):
        if not isinstance(item, str):
            faults.append(Fault(inner, "must be a string"))
        elif name == "Action" and not _ACTION.fullmatch(item):
            faults.append(Fault(inner, "must be * or of the form service:name, in which * and ? may stand"))
        elif name == "Resource" and not _is_resource(item):
            form = "acs:service:region:account:relative"
            faults.append(Fault(inner, f"must be * or of the form {form}, in which * and ? may stand"))
        else:
            yield item


def _is_resource(value: str) -> bool:
    parts = value.split(":", 4)
    five = len(parts) == 5 and parts[0] == "acs" and all(parts)
    return value == "*" or (five and value.isprintable() and " " not in value)


# ---- conditions


def _read_conditions(value: object, place: str, faults: list[Fault]) -> Iterator[Condition]:
    for operator, keys, at_operator in _read_entries(value, place, "operator", faults):
        if operator not in OPERATORS:
            faults.append(Fault(at_operator, _unknown_operator(operator)))
            continue
        for name, values, at_key in _read_entries(keys, at_operator, "key", faults):
            key = find_key(name)
            if key is None:
                faults.append(Fault(at_key, _UNKNOWN_KEY))
            elif OPERATORS[operator].kind is not (kind := kind_of(key)):
                faults.append(Fault(at_key, f"is {kind}, which goes with {', '.join(operators_for(kind))}"))
            else:
                yield _read_condition(operator, key, values, at_key, faults)


def _unknown_operator(written: str) -> str:
    spelled = _OPERATOR_SPELLINGS.get(written.lower())
    return f"is written {spelled}" if spelled else _UNKNOWN_OPERATOR


def _read_condition(operator: str, key: str, value: object, place: str, faults: list[Fault]) -> Condition:
    written: list[str] = []
    values: list[Wanted] = []
    for item, inner in _read_items(value, place, "value", faults):
        try:
            values.append(read_value(kind_of(key), item))
        except ValueError as error:
            faults.append(Fault(inner, str(error)))
        else:
            written.append(write_value(item))
    return Condition(operator, key, tuple(written), tuple(values))
