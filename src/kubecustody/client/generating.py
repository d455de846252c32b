"""Writes `client/calling.py`: one typed method for each operation of the catalogue, blocking and asynchronous.

    python -m kubecustody.client.generating [--check]

It needs ruff, which lays the module out.
"""

import re
import subprocess
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import Shape, find_whole

TARGET = Path(__file__).with_name("calling.py")

_HEAD = '''"""A typed method for each operation, made from the catalogue by `kubecustody.client.generating`."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

{imports}


'''


def method_name(operation: Operation) -> str:
    """The SDK's way: ListUserKubeConfigStates becomes list_user_kube_config_states."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operation.name).lower()


def generate() -> str:
    """The text of the module."""
    shapes = {operation.input for operation in OPERATIONS}
    shapes |= {one.output for one in OPERATIONS if one.output and not find_whole(one.output)}
    for operation in OPERATIONS:
        shapes |= {shape for hint in _hints(operation).values() for shape in _shapes_in(hint)}
    by_module: dict[str, list[str]] = {}
    for shape in shapes:
        by_module.setdefault(shape.__module__, []).append(shape.__name__)
    imports = "\n".join(
        f"from {module} import {', '.join(sorted(names, key=str.lower))}" for module, names in sorted(by_module.items())
    )
    text = _HEAD.format(imports=imports) + _class(asynchronous=False) + "\n\n" + _class(asynchronous=True)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603


def _class(*, asynchronous: bool) -> str:
    name = "AsyncCalls" if asynchronous else "Calls"
    how = "awaited" if asynchronous else "at once"
    result = "Callable[[str, Any], Awaitable[Any]]" if asynchronous else "Callable[[str, Any], Any]"
    methods = "\n".join(_method(operation, asynchronous=asynchronous) for operation in OPERATIONS)
    return (
        f'class {name}:\n    """Every operation as a method, its answer {how}."""\n\n    _call: {result}\n\n{methods}'
    )


def _method(operation: Operation, *, asynchronous: bool) -> str:
    hints = _hints(operation)
    fields = msgspec.structs.fields(operation.input)
    required = [f"{one.name}: {_text(hints[one.name])}" for one in fields if one.required]
    optional = [f"{one.name}: {_text(hints[one.name])} = {one.default!r}" for one in fields if not one.required]
    signature = ", ".join(["self", *required, *(["*", *optional] if optional else [])])
    output = _answer(operation)
    arguments = ", ".join(f"{one.name}={one.name}" for one in fields)
    prefix, wait = ("async ", "await ") if asynchronous else ("", "")
    call = f'{wait}self._call("{operation.name}", {operation.input.__name__}({arguments}))'
    answer = call if output == "None" else f'return cast("{output}", {call})'
    return (
        f"    {prefix}def {method_name(operation)}({signature}) -> {output}:\n"
        f'        """{operation.summary}"""\n'
        f"        {answer}\n"
    )


def _answer(operation: Operation) -> str:
    """The type of the answer, as it is written."""
    if operation.output is None:
        return "None"
    if whole := find_whole(operation.output):
        return _text(get_type_hints(operation.output)[whole.name])
    return f"list[{operation.output.__name__}]" if operation.returns_list else operation.output.__name__


def _hints(operation: Operation) -> dict[str, Any]:
    return get_type_hints(operation.input)


def _shapes_in(hint: Any) -> list[type[Shape]]:
    found = [shape for argument in get_args(hint) for shape in _shapes_in(argument)]
    return [*found, hint] if isinstance(hint, type) and issubclass(hint, Shape) else found


def _text(hint: Any) -> str:
    """The annotation as it is written."""
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(_text(option) for option in get_args(hint))
    if get_origin(hint) is list:
        return f"list[{_text(get_args(hint)[0])}]"
    return "None" if hint is NoneType else hint.__name__


def main() -> None:
    """Write the module, or with --check exit with 1 where it differs."""
    text = generate()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, "utf-8")
    elif TARGET.read_text("utf-8") != text:
        sys.exit(f"{TARGET.name} is not what the catalogue says: run `python -m kubecustody.client.generating`.")


if __name__ == "__main__":
    main()
