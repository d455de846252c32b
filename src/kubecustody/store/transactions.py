"""What every store offers: transactions in which named statements run.

The interface is asynchronous, so that use cases read the same on an embedded and on a remote database. On
SQLite each call completes inline and never yields.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Protocol, TypeVar

from kubecustody.store.statements import Statement

T = TypeVar("T")
Row = tuple[Any, ...]
Value = str | int | bytes | None


class Shared(Protocol):
    """What the units of work that share a transaction have in common."""

    def mark(self) -> Any:
        """Where it stands, for `go_back`."""

    def go_back(self, mark: Any) -> None:
        """Forget what came after the mark: the unit of work that brought it failed."""

    async def finish(self) -> None:
        """Write what is left to write, before the commit."""


class Transaction(Protocol):
    """One snapshot of the store (a read), or one change of it that happens as a whole or not at all.

    shared: by a key of those who share it.
    """

    shared: dict[str, Shared]

    async def fetch_one(self, statement: Statement, *arguments: Value) -> Row | None:
        """The first row, or None."""

    async def fetch_all(self, statement: Statement, *arguments: Value) -> list[Row]:
        """Every row."""

    async def execute(self, statement: Statement, *arguments: Value) -> int:
        """How many rows were changed."""

    async def execute_many(self, statement: Statement, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run the statement once for each tuple of arguments."""

    async def recall(self, key: Hashable, tables: frozenset[str], find: Callable[[], Awaitable[T]]) -> T:
        """What `find` gives, which reads these tables alone. It may be remembered by its key for as long as nobody
        writes to them.
        """


class Store(Protocol):
    """A database of this project."""

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` returns, run in one snapshot. It may run again after a passing fault."""

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` returns, once all that it changed is on disk; where it raises, nothing is changed.

        `work` awaits nothing but its transaction, and changes nothing else: it may run again where something that
        shares its transaction failed.
        """

    async def truncate_log(self) -> None:
        """Leave what was overwritten or deleted in no file of this database."""
