"""Change history: an operation whose shape changes must say so in its `changes`.

`docs/reference/api/shapes.json` has, for each operation, the digest of its shape and how many entries its history had
then. A shape that differs while the history did not grow is a fault.
"""

import hashlib
import json
from pathlib import Path

from kubecustody.catalogue.describing import shape_of
from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS


class HistoryLacks(Exception):
    """An operation's shape changed and its history does not say so."""


def digest_of(operation: Operation) -> str:
    """What is equal exactly where the shapes are."""
    return hashlib.sha256(json.dumps(shape_of(operation), sort_keys=True).encode()).hexdigest()[:32]


def recorded_shapes(file: Path) -> str:
    """The content of the file for the operations as they are. Raises HistoryLacks."""
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return record(before, OPERATIONS)


def record(before: dict[str, dict[str, str | int]], operations: tuple[Operation, ...]) -> str:
    """The record of these operations after the one before. Raises HistoryLacks."""
    now = {one.name: {"shape": digest_of(one), "changes": len(one.changes)} for one in operations}
    for name, entry in now.items():
        old = before.get(name)
        if old is not None and old["shape"] != entry["shape"] and old["changes"] >= entry["changes"]:
            raise HistoryLacks(
                f"The shape of {name} changed, and its change history does not say so. Add a Change(day, summary) to "
                "`changes` of the operation in the catalogue."
            )
    return json.dumps(now, indent=1, sort_keys=True) + "\n"
