"""What the writer of a SQLite store remembers of what it read, so that the same is not read for every change."""

import sqlite3
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

from kubecustody.store.statements import Statement

T = TypeVar("T")

_MOST_KEPT = 4096


class Memory:
    """What the writer found, by key, for as long as the tables that it was read from are as they were.

    Another connection's changes are told by `PRAGMA data_version` (https://www.sqlite.org/pragma.html, read
    2026-11-25), our own by the statements. What is found after a change in the same transaction is not kept: it may be
    rolled back.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._tables: frozenset[str] = frozenset()
        self._version = -1
        self._changed = False

    def begin(self, connection: sqlite3.Connection) -> None:
        """Forget everything where another connection changed anything. To be called in the writer's transaction."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._kept.clear()
        self._version, self._changed = version, False

    def note(self, statement: Statement) -> None:
        """Forget everything where this statement changes what it was read from."""
        if statement.changes in self._tables:
            self._kept.clear()
            self._changed = True

    async def recall(self, key: Hashable, tables: frozenset[str], find: Callable[[], Awaitable[T]]) -> T:
        """What is kept under this key, or else is found now."""
        if key in self._kept:
            return cast("T", self._kept[key])
        found = await find()
        if not tables <= self._tables:
            # Whether they were changed in this transaction is not known, for nobody looked.
            self._tables |= tables
            self._changed = True
        if not self._changed:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found
