"""RAM policies: what a document says, and what a set of them decides about one request.

The language is the provider's (RAM, "Policy structure and syntax", read in November 2026), less what is not
evaluated here. A document with an element that would be ignored is refused, since an ignored NotAction or
Condition turns a narrow grant into a wide one, or a Deny into nothing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from kubecustody.core.errors import Fault, OperatorError

MAX_CHARACTERS: Final = 6144
# A document without Condition needs four levels; the spare ones let a deeper element be refused by its name.
MAX_DEPTH: Final = 16

Effect: TypeAlias = Literal["Allow", "Deny"]

_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?_.-]+")
_NOT_UNDERSTOOD = "is not understood by this version and would be ignored; take it out"


class PolicyRefused(OperatorError):
    """A policy document is wrong; every fault is named at once, with its place (`Statement[1].Action`)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        lines = (f"  {fault.parameter}: {fault.text}" for fault in self.faults)
        super().__init__("\n".join(("The policy is refused:", *lines)))


class Statement(NamedTuple):
    """What is allowed or denied: any of the action patterns on any of the resource patterns."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]


class Policy(NamedTuple):
    """One policy document."""

    statements: tuple[Statement, ...]


class NamedPolicy(NamedTuple):
    """A policy under the name by which a decision refers to it."""

    name: str
    policy: Policy


class Decision(NamedTuple):
    """Whether a request may go on, and why.

    `explicit` says that a statement decided: `policy` and `statement_index` (from 0) name it. Where none
    did, the request is refused by silence, and both are None.
    """

    allowed: bool
    explicit: bool
    policy: str | None = None
    statement_index: int | None = None


_SILENCE = Decision(allowed=False, explicit=False)


# ---- deciding


def evaluate(policies: Sequence[NamedPolicy], *, actions: frozenset[str], resource: str) -> Decision:
    """The decision about one request: a Deny over an Allow over silence.

    `actions` are all names of the one operation: a statement speaks about the request if it matches any of
    them, so that neither a Deny nor an Allow is passed by by an alias. Actions are compared without regard to
    case, resources with it. The named statement is the first in the order given that decides as it does.
    """
    names = [action.lower() for action in actions]
    decision = _SILENCE
    for name, policy in policies:
        for index, statement in enumerate(policy.statements):
            denies = statement.effect == "Deny"
            if (denies or not decision.allowed) and _speaks_about(statement, names, resource):
                decision = Decision(not denies, True, name, index)
                if denies:
                    return decision
    return decision


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` fits all of `text`: `*` any run of characters, also none, and `?` one character.

    Each piece between two stars is looked for once, from left to right, and is never tried again further
    right: at most len(pattern) * len(text) steps, however many stars there are.
    """
    head, *rest = pattern.split("*")
    if not rest:
        return _fits(pattern, text)
    start = len(head)
    if not _fits(head, text[:start]):
        return False
    tail = rest.pop()
    end = len(text) - len(tail)
    if start > end or not _fits(tail, text[end:]):
        return False
    for piece in rest:
        found = _find(piece, text, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


def _speaks_about(statement: Statement, names: Sequence[str], resource: str) -> bool:
    for written in statement.actions:
        pattern = written.lower()
        for name in names:
            if matches(pattern, name):
                return any(_resource_matches(each, resource) for each in statement.resources)
    return False


def _resource_matches(pattern: str, resource: str) -> bool:
    """Part by part, so that a `*` for the region cannot swallow the account as well."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 4), resource.split(":", 4)
    return len(wanted) == len(given) and all(map(matches, wanted, given))


def _fits(piece: str, text: str) -> bool:
    if "?" not in piece:
        return piece == text
    return len(piece) == len(text) and all(p in ("?", t) for p, t in zip(piece, text, strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Where `piece` first fits in text[start:end], or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    places = range(start, end - len(piece) + 1)
    return next((at for at in places if _fits(piece, text[at : at + len(piece)])), -1)


# ---- reading a document


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written, doubled members included."""


def parse_policy(text: str) -> Policy:
    """The policy that a JSON document describes.

    Raises PolicyRefused with every fault when it is not exactly Version "1" and a list of statements, each
    with exactly Effect, Action and Resource.
    """
    faults: list[Fault] = []
    policy = Policy(tuple(_read_document(_load(text), faults)))
    if faults:
        raise PolicyRefused(faults)
    return policy


def _load(text: str) -> object:
    if len(text) > MAX_CHARACTERS:
        raise PolicyRefused([Fault("document", f"has {len(text)} characters; at most {MAX_CHARACTERS} are taken")])
    if _depth(text) > MAX_DEPTH:
        raise PolicyRefused([Fault("document", f"is nested deeper than {MAX_DEPTH} levels")])
    try:
        return json.loads(text, object_pairs_hook=_Members)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise PolicyRefused([Fault("document", f"is not JSON: {error.msg} ({place})")]) from error
    except ValueError as error:  # a number of more digits than Python turns into an int
        raise PolicyRefused([Fault("document", "holds a number that is too long")]) from error


def _depth(text: str) -> int:
    """How deep brackets nest outside strings. Counted before json.loads, which recurses."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _read_document(document: object, faults: list[Fault]) -> Iterator[Statement]:
    members = _read_members(document, "", ("Version", "Statement"), faults)
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
    members = _read_members(statement, place, ("Effect", "Action", "Resource"), faults)
    effect = members.get("Effect", "Deny")
    if effect not in ("Allow", "Deny"):
        faults.append(Fault(f"{place}.Effect", 'must be "Allow" or "Deny"'))
    actions = _read_patterns(members, "Action", place, faults)
    resources = _read_patterns(members, "Resource", place, faults)
    return Statement("Allow" if effect == "Allow" else "Deny", actions, resources)


def _read_members(value: object, place: str, wanted: tuple[str, ...], faults: list[Fault]) -> dict[str, object]:
    """The wanted members that are there; unknown, doubled and missing ones become faults."""
    if not isinstance(value, _Members):
        faults.append(Fault(place or "document", "must be a JSON object"))
        return {}
    dot = f"{place}." if place else ""
    names = [name for name, _ in value]
    for name in dict.fromkeys(names):
        if name not in wanted:
            faults.append(Fault(dot + _shown(name), _NOT_UNDERSTOOD))
        elif names.count(name) > 1:
            faults.append(Fault(dot + name, "is given more than once"))
    faults.extend(Fault(dot + name, "is missing") for name in wanted if name not in names)
    return {name: member for name, member in value if name in wanted}


def _read_patterns(members: dict[str, object], name: str, place: str, faults: list[Fault]) -> tuple[str, ...]:
    if name not in members:
        return ()
    value, place = members[name], f"{place}.{name}"
    if isinstance(value, str):
        return _read_pattern(value, name, place, faults)
    if not isinstance(value, list) or isinstance(value, _Members) or not value:
        faults.append(Fault(place, "must be a string or a list of at least one string"))
        return ()
    each = (_read_pattern(item, name, f"{place}[{index}]", faults) for index, item in enumerate(value))
    return tuple(pattern for patterns in each for pattern in patterns)


def _read_pattern(value: object, name: str, place: str, faults: list[Fault]) -> tuple[str, ...]:
    if not isinstance(value, str):
        fault = "must be a string"
    elif name == "Action" and not _ACTION.fullmatch(value):
        fault = "must be * or of the form service:name, in which * and ? may stand"
    elif name == "Resource" and not _is_resource(value):
        fault = "must be * or of the form acs:service:region:account:relative, in which * and ? may stand"
    else:
        return (value,)
    faults.append(Fault(place, fault))
    return ()


def _is_resource(value: str) -> bool:
    parts = value.split(":", 4)
    five = len(parts) == 5 and parts[0] == "acs" and all(parts)
    return value == "*" or (five and value.isprintable() and " " not in value)


def _shown(name: str) -> str:
    """A member's name, fit for a message of one line on any terminal."""
    return name[:64] if name and name.isascii() and name.isprintable() else ascii(name[:64])
