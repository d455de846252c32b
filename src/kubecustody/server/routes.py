"""Which operation a request is for, from the catalogue's methods and paths.

Paths are matched on the raw bytes of the request, segment by segment; an encoded slash stays inside its segment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.shapes import Location, members_of
from kubecustody.core.errors import ApiNotFound, Fault, MethodUnsupported, ParametersRefused
from kubecustody.signing.request import has_dot_segment

_SHOWN = 200


@dataclass(slots=True)
class _Node:
    literals: dict[bytes, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    operations: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


class Routes:
    """The operations by method and path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node, names = self._root, []
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.encode(), _Node())
        node.operations[operation.method] = operation, tuple(names)

    def find(self, method: str, raw_path: bytes) -> tuple[Operation, dict[str, bytes]]:
        """The operation, and its path parameters (decoded bytes) by wire name.

        Raises ApiNotFound, MethodUnsupported, and ParametersRefused for a dot segment or an empty one that the
        parameter does not allow.
        """
        node, values = self._walk(raw_path.split(b"/")[1:])
        if node is None or not node.operations:
            raise ApiNotFound(_shown(raw_path))
        found = node.operations.get(method)
        if found is None:
            raise MethodUnsupported(method[:_SHOWN], tuple(sorted(node.operations)))
        operation, names = found
        parameters = dict(zip(names, values, strict=True))
        if has_dot_segment(raw_path):
            raise ParametersRefused(_dot_faults(parameters))
        if not all(values):
            _check_empty(operation, parameters)
        return operation, parameters

    def _walk(self, segments: list[bytes]) -> tuple[_Node | None, list[bytes]]:
        node: _Node | None = self._root
        values: list[bytes] = []
        for segment in segments:
            if b"%" in segment:
                segment = unquote_to_bytes(segment)
            if node is None:
                break
            literal = node.literals.get(segment)
            if literal is None:
                values.append(segment)
                node = node.parameter
            else:
                node = literal
        return node, values


def _shown(raw_path: bytes) -> str:
    text = raw_path.decode("ascii", "backslashreplace")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _dot_faults(parameters: dict[str, bytes]) -> tuple[Fault, ...]:
    text = "must not be a dot segment (. or ..), encoded or not."
    named = [Fault(name, text) for name, value in parameters.items() if value in (b".", b"..")]
    return tuple(named) or (Fault("path", text),)


def _check_empty(operation: Operation, parameters: dict[str, bytes]) -> None:
    allowed = {
        member.wire_name
        for member in members_of(operation.input)
        if member.about.location is Location.PATH and member.about.may_be_empty
    }
    faults = [
        Fault(name, "is mandatory: the path has nothing in its place.")
        for name, value in parameters.items()
        if not value and name not in allowed
    ]
    if faults:
        raise ParametersRefused(tuple(faults))
