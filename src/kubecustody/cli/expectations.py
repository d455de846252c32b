"""The file of expectations that `kubecustody policy test` runs: a YAML or JSON list, read with the line of each fault.

Every scalar is read as the text that stands there, so that YAML makes no time of one, and no number of a uid.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.policies import builtin_policies
from kubecustody.cli.files import read_text
from kubecustody.core.errors import OperatorError
from kubecustody.core.policy_documents import PolicyRefused, parse_policy
from kubecustody.core.times import parse_time
from kubecustody.custody.policy_questions import Call, GivenPolicy, Somebody, check_call

LARGEST_FILE_BYTES = 1024 * 1024
_LARGEST_POLICY_BYTES = 64 * 1024

_MOST_DIGITS = 9
_NOBODY = Somebody("1000000000000001", "local", "200000000000000001")
_REQUIRED = ("name", "operation", "expect")
_OF_CALL = ("cluster", "source_ip", "secure", "at", "minutes", "session_policy", "delegated_admin")
_OF_SOMEBODY = ("account", "region", "uid")
_MEMBERS = (*_REQUIRED, "who", "policies", *_OF_CALL, *_OF_SOMEBODY, "by")

T = TypeVar("T")


class Expectation(NamedTuple):
    """What is expected of one call: `who` of the store, or somebody to whom these policies are attached."""

    name: str
    line: int
    call: Call
    allowed: bool
    by: str | None
    who: str | None
    somebody: Somebody
    policies: tuple[GivenPolicy, ...]

    @property
    def place(self) -> str:
        """Where it stands and what it is called."""
        return f"line {self.line} ({self.name})"


class _Wrong(Exception):
    """What is wrong with a member, as a text that goes on after its name."""


def read_expectations(file: Path, now: float) -> list[Expectation]:
    """The expectations of a file; calls without a time are made `now`. Raises OperatorError with every fault."""
    root = compose(file, read_text(file, LARGEST_FILE_BYTES))
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise OperatorError(f"{file} must be a list of at least one expectation.")
    faults: list[str] = []
    found = [_Reader(node, file.parent, faults).read(now) for node in root.value]
    if faults:
        raise OperatorError("\n".join((f"{file} is wrong:", *(f"  {fault}" for fault in faults))))
    return [one for one in found if one is not None]


def read_policy_file(file: Path) -> str:
    """The text of a policy document. Raises OperatorError, and PolicyRefused where it is none."""
    text = read_text(file, _LARGEST_POLICY_BYTES)
    parse_policy(text)
    return text


# --- YAML


class _Loader(yaml.BaseLoader):
    """Nodes without aliases, so that a document is no larger than its text."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            text = "an alias (*name) is not followed; put what is used twice into a file of its own"
            raise yaml.composer.ComposerError(None, None, text, mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def compose(file: Path, text: str) -> yaml.Node | None:
    """The nodes of a YAML or JSON text, with their places and without aliases. Raises OperatorError."""
    try:
        json.loads(text)
        text = text.replace("\t", " ")  # in JSON a tab stands between values alone; YAML takes none there
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise OperatorError(f"{file} is nested too deeply.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise OperatorError(f"{file} is neither YAML nor JSON: {place}{error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        raise OperatorError(f"{file} is neither YAML nor JSON: line {line}: a character that YAML forbids.") from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _to_json(node: yaml.Node) -> str:
    """The node as JSON; a member that stands twice stays so, for whoever reads the document to refuse."""
    if isinstance(node, yaml.MappingNode):
        members = (f"{json.dumps(_key(key))}:{_to_json(value)}" for key, value in node.value)
        return "{" + ",".join(members) + "}"
    if isinstance(node, yaml.SequenceNode):
        return "[" + ",".join(map(_to_json, node.value)) + "]"
    return json.dumps(node.value)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _Wrong(f"has a member in line {_line(node)} whose name is no plain text")
    return str(node.value)


# --- one expectation


class _Reader:
    """Reads one expectation. What is wrong with it is added to `faults`."""

    def __init__(self, node: yaml.Node, folder: Path, faults: list[str]) -> None:
        self._node = node
        self._folder = folder
        self._faults = faults
        self._before = len(faults)
        self._members: dict[str, yaml.Node] = {}

    def read(self, now: float) -> Expectation | None:
        """The expectation; None where it is wrong."""
        self._take_members()
        name = self._find("name", _text, "")
        operation = self._find("operation", _operation, None)
        allowed = self._find("expect", _verdict, False)
        options: dict[str, Any] = {
            "at": self._find("at", _time, now),
            "cluster": self._find("cluster", _text, None),
            "source_ip": self._find("source_ip", _text, ""),
            "secure": self._find("secure", _bool, True),
            "minutes": self._find("minutes", _minutes, None),
            "session_policy": self._find("session_policy", self._document, ""),
            "delegated_admin": self._find("delegated_admin", _bool, None),
        }
        somebody = Somebody(*(self._find(of, _text, usual) for of, usual in zip(_OF_SOMEBODY, _NOBODY, strict=True)))
        who, by = self._find("who", _text, None), self._find("by", _text, None)
        nothing: tuple[GivenPolicy, ...] = ()
        policies = self._find("policies", self._policies, nothing)
        if operation is None or len(self._faults) > self._before:
            return None
        call = Call(operation, **options)
        self._check(call)
        return Expectation(name, _line(self._node), call, allowed, by, who, somebody, policies)

    def _check(self, call: Call) -> None:
        if ("who" in self._members) == ("policies" in self._members):
            self._fault(self._node, "say either who, or policies")
        for name in _OF_SOMEBODY:
            if "who" in self._members and name in self._members:
                self._fault(self._members[name], f"{name} goes with policies alone; the store knows that of who")
        try:
            check_call(call)
        except OperatorError as error:
            self._fault(self._node, str(error))

    def _take_members(self) -> None:
        if not isinstance(self._node, yaml.MappingNode):
            self._fault(self._node, f"an expectation must be a mapping with {', '.join(_REQUIRED)}")
            return
        for key, value in self._node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name not in _MEMBERS:
                self._fault(key, f"{name!r} is no member; there are {', '.join(_MEMBERS)}")
            elif name in self._members:
                self._fault(key, f"{name} is given more than once")
            else:
                self._members[name] = value
        for name in _REQUIRED:
            if name not in self._members:
                self._fault(self._node, f"{name} is missing")

    def _fault(self, node: yaml.Node, text: str) -> None:
        self._faults.append(f"line {_line(node)}: {text}")

    def _find(self, name: str, read: Callable[[yaml.Node], T], usual: T) -> T:
        """The member's value; the usual one where it is absent, and where it is wrong, which becomes a fault."""
        node = self._members.get(name)
        if node is None:
            return usual
        try:
            return read(node)
        except _Wrong as wrong:
            self._fault(node, f"{name} {wrong}")
        except OperatorError as error:
            self._fault(node, f"{name}: {error}")
        return usual

    def _policies(self, node: yaml.Node) -> tuple[GivenPolicy, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise _Wrong("must be a list of documents, files and names of built-in policies")
        return tuple(self._policy(item, f"policies[{index}]") for index, item in enumerate(node.value))

    def _policy(self, node: yaml.Node, place: str) -> GivenPolicy:
        if isinstance(node, yaml.ScalarNode) and node.value.lower() in builtin_policies():
            return GivenPolicy(builtin_policies()[node.value.lower()].name, None)
        name = Path(node.value).stem if isinstance(node, yaml.ScalarNode) else place
        return GivenPolicy(name, self._document(node))

    def _document(self, node: yaml.Node) -> str:
        """The text of a policy that stands here, or in the file that is named here."""
        if isinstance(node, yaml.ScalarNode):
            return read_policy_file(self._folder / _text(node))
        document = _to_json(node)
        try:
            parse_policy(document)
        except PolicyRefused as refused:
            raise OperatorError(f"in line {_line(node)}: {refused}") from None
        return document


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _Wrong("must be a text that is not empty")
    return str(node.value)


def _operation(node: yaml.Node) -> Operation:
    try:
        return get_operation(_text(node))
    except KeyError:
        raise _Wrong(f"{node.value!r} is none that there is") from None


def _verdict(node: yaml.Node) -> bool:
    if _text(node) not in ("allow", "deny"):
        raise _Wrong("must be allow or deny")
    return bool(node.value == "allow")


def _bool(node: yaml.Node) -> bool:
    if _text(node).lower() not in ("true", "false"):
        raise _Wrong("must be true or false")
    return bool(node.value.lower() == "true")


def _minutes(node: yaml.Node) -> int:
    text = _text(node)
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text)):
        raise _Wrong("must be a whole number of minutes, at least 1")
    return int(text)


def _time(node: yaml.Node) -> float:
    try:
        return float(parse_time(_text(node)))
    except ValueError as error:
        raise _Wrong(f"is wrong: {error}") from None
