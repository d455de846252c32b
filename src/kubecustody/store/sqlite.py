"""The store in one SQLite file (WAL mode, https://www.sqlite.org/wal.html, read 2026-11-24).

Reads run inline on the caller's thread with no busy timeout: readers of a WAL never wait for the writer. All
that writes runs on one thread, in BEGIN IMMEDIATE transactions that concurrent writers share (one sync for
all of them), so that a held lock or a slow disk never blocks the event loop. `synchronous = FULL`: what was
acknowledged is on disk, also after a power cut.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import stat
import threading
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from kubecustody.core.errors import ServiceUnavailable
from kubecustody.store.errors import StoreUnusable, is_busy, translate
from kubecustody.store.memory import Memory
from kubecustody.store.statements import Statement
from kubecustody.store.transactions import Row, Shared, Transaction, Value

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000
LARGEST_BATCH = 64
# What waits for more to share a transaction with waits no longer once there are so many.
_ENOUGH = 16
_QUIET_TURNS = 2
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_READ_TRIES = 40
_READ_PAUSE_SECONDS = 0.005


class SQLiteTransaction:
    """Statements on one connection. Every call completes before it returns.

    wrote: whether anything was executed since it was last set to False.
    """

    __slots__ = ("_connection", "_memory", "shared", "wrote")

    def __init__(self, connection: sqlite3.Connection, memory: Memory | None = None) -> None:
        self._connection = connection
        self._memory = memory
        self.shared: dict[str, Shared] = {}
        self.wrote = False

    async def fetch_one(self, statement: Statement, *arguments: Value) -> Row | None:
        """The first row, or None."""
        try:
            return cast("Row | None", self._connection.execute(statement.sqlite, arguments).fetchone())
        except sqlite3.Error as error:
            raise translate(error) from error

    async def fetch_all(self, statement: Statement, *arguments: Value) -> list[Row]:
        """Every row."""
        try:
            return self._connection.execute(statement.sqlite, arguments).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    async def execute(self, statement: Statement, *arguments: Value) -> int:
        """How many rows were changed."""
        self._note(statement)
        try:
            return self._connection.execute(statement.sqlite, arguments).rowcount
        except sqlite3.Error as error:
            raise translate(error) from error

    async def execute_many(self, statement: Statement, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run the statement once for each tuple of arguments."""
        self._note(statement)
        try:
            self._connection.executemany(statement.sqlite, rows)
        except sqlite3.Error as error:
            raise translate(error) from error

    async def recall(self, key: Hashable, tables: frozenset[str], find: Callable[[], Awaitable[T]]) -> T:
        """What `find` gives, or gave before."""
        return await find() if self._memory is None else await self._memory.recall(key, tables, find)

    def _note(self, statement: Statement) -> None:
        self.wrote = True
        if self._memory is not None:
            self._memory.note(statement)

    def go_back(self, marks: dict[str, Any]) -> None:
        """Have what is shared stand as at these marks; what is not among them was not there yet."""
        self.shared = {key: shared for key, shared in self.shared.items() if key in marks}
        for key, shared in self.shared.items():
            shared.go_back(marks[key])


@dataclass(slots=True)
class _Job:
    work: Callable[[Transaction], Awaitable[Any]] | None  # None: the log is to be emptied afterwards
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


@dataclass(slots=True)
class _Gathering:
    """The jobs of one loop: those that wait for others, and how many the writer was given and has not ended."""

    jobs: list[_Job] = field(default_factory=list)
    given: int = 0


class SQLiteStore:
    """A store in the SQLite file at `path`, which must exist and have its schema (see `migrations`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, _Gathering] = {}
        self._writer: threading.Thread | None = None
        self._writer_lock = threading.Lock()
        check_library()
        check_private(path)
        # Another process may be recovering the WAL of a crash at this moment.
        reader = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
        reader.execute("PRAGMA query_only = ON")
        reader.execute("PRAGMA busy_timeout = 0")
        self._idle.append(reader)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` returns, run in one snapshot. It may run again after a passing fault."""
        for _ in range(_READ_TRIES - 1):
            try:
                return await self._read_once(work)
            except Exception as error:
                # Only while another process recovers or replaces the WAL: a few milliseconds.
                if not is_busy(error):
                    raise
            await asyncio.sleep(_READ_PAUSE_SECONDS)
        return await self._read_once(work)

    async def _read_once(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        connection = self._idle.pop() if self._idle else self._open_reader()
        try:
            connection.execute("BEGIN")
            try:
                return await work(SQLiteTransaction(connection))
            finally:
                connection.execute("COMMIT")
                self._idle.append(connection)
        except sqlite3.Error as error:
            connection.close()
            raise translate(error) from error

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` returns, once all that it changed is on disk; where it raises, nothing is changed."""
        return cast("T", await self._give(work))

    async def truncate_log(self) -> None:
        """Empty the write-ahead log, so that what was overwritten or deleted is in no file any more. (Deleted content
        is zeroed in the database itself: secure_delete.)
        """
        await self._give(None)

    def _give(self, work: Callable[[Transaction], Awaitable[Any]] | None) -> asyncio.Future[Any]:
        """What comes of a job for the writer, which is given those that come close together as one batch."""
        loop = asyncio.get_running_loop()
        gathering = self._gathering.setdefault(loop, _Gathering())
        job = _Job(work, loop.create_future(), loop)
        gathering.jobs.append(job)
        if len(gathering.jobs) == 1:
            loop.call_soon(self._consider, loop, gathering, 0, 0)
        return job.future

    def _consider(self, loop: asyncio.AbstractEventLoop, gathering: _Gathering, seen: int, turns: int) -> None:
        """Hand the jobs over once none came in some turns of the loop, and the writer has ended all that it was given.

        Each of 16 that share a transaction costs a tenth less than each of 8, and the writer does one batch at a time
        anyway.
        """
        count = len(gathering.jobs)
        quiet = turns + 1 if count == seen else 0
        if count < _ENOUGH and quiet < _QUIET_TURNS:
            loop.call_soon(self._consider, loop, gathering, count, quiet)
        elif count >= _ENOUGH or (count and not gathering.given):
            self._hand_over(gathering)

    def _hand_over(self, gathering: _Gathering) -> None:
        jobs, gathering.jobs = gathering.jobs, []
        try:
            self._start_writer()
        except RuntimeError as error:
            _fail(jobs, ServiceUnavailable(f"the store's writer does not start: {error}"))
            for job in jobs:
                job.resolve()
            return
        gathering.given += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def _tell(self, batch: list[_Job]) -> None:
        """Hand every result to the loop that waits for it: one wake-up for those of one loop."""
        for loop in {job.loop for job in batch}:
            done = [job for job in batch if job.loop is loop]
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._resolve, loop, done)

    def _resolve(self, loop: asyncio.AbstractEventLoop, batch: list[_Job]) -> None:
        for job in batch:
            job.resolve()
        gathering = self._gathering[loop]
        gathering.given -= len(batch)
        if gathering.jobs:
            loop.call_soon(self._consider, loop, gathering, 0, 0)
        elif not gathering.given:
            del self._gathering[loop]

    def close(self) -> None:
        """End the writer after what it was given, and close every connection."""
        for gathering in self._gathering.values():
            self._hand_over(gathering)
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
            self._writer = None
        while self._idle:
            self._idle.pop().close()

    def _start_writer(self) -> None:
        with self._writer_lock:
            if self._writer is None:
                writer = threading.Thread(target=self._write_jobs, name="store-writer", daemon=True)
                writer.start()
                self._writer = writer

    def _open_reader(self) -> sqlite3.Connection:
        connection = connect(self._path, busy_timeout_ms=0)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _write_jobs(self) -> None:
        connection: sqlite3.Connection | None = None
        memory = Memory()
        while (job := self._jobs.get()) is not None:
            batch = [job]
            ended = self._gather(batch)
            try:
                connection = connection or connect(self._path, busy_timeout_ms=BUSY_TIMEOUT_MS)
                _run_batch(connection, batch, memory)
            except BaseException as error:
                _fail(batch, error)
            self._tell(batch)
            if ended:
                break
        if connection is not None:
            connection.close()

    def _gather(self, batch: list[_Job]) -> bool:
        """Add the jobs that wait already; whether the end was among them."""
        while len(batch) < LARGEST_BATCH and not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                return True
            batch.append(job)
        return False


class _FailedAfterWriting(Exception):
    """A job failed and wrote before: without a savepoint, what it wrote cannot be told from the others' work."""


def _run_batch(connection: sqlite3.Connection, batch: list[_Job], memory: Memory) -> None:
    """Run every job in one transaction, so that one that fails takes nothing of the others along.

    First without savepoints, which copy each page that a job changes: with them an issue costs a tenth more. Nearly
    nothing fails after it wrote; where something does, all are run again, each in a savepoint.
    """
    try:
        _run_together(connection, batch, memory, savepoints=False)
    except _FailedAfterWriting:
        for job in batch:
            job.result = job.error = None
        _run_together(connection, batch, memory, savepoints=True)


def _run_together(connection: sqlite3.Connection, batch: list[_Job], memory: Memory, *, savepoints: bool) -> None:
    """Run every job in one transaction; what they share is finished once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        memory.begin(connection)
        transaction = SQLiteTransaction(connection, memory)
        for job in batch:
            if job.work is None:
                continue
            marks = {key: shared.mark() for key, shared in transaction.shared.items()}
            transaction.wrote = False
            if savepoints:
                connection.execute("SAVEPOINT job")
            try:
                job.result = _drive(cast("Coroutine[Any, Any, Any]", job.work(transaction)))
            except BaseException as error:
                job.error = error
                # A full disk may end the transaction by itself, and with it the work of everybody who shares it.
                if len(batch) == 1 or not connection.in_transaction:
                    raise
                if savepoints:
                    connection.execute("ROLLBACK TO job")
                elif transaction.wrote:
                    raise _FailedAfterWriting from error
                transaction.go_back(marks)
            if savepoints:
                connection.execute("RELEASE job")
        for shared in transaction.shared.values():
            _drive(shared.finish())
        connection.execute("COMMIT")
        if any(job.work is None for job in batch):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fail(batch: list[_Job], error: BaseException) -> None:
    told = translate(error) if isinstance(error, sqlite3.Error) else error
    if told is not error:
        told.__cause__ = error
    for job in batch:
        job.error = job.error or told


def _drive(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise RuntimeError("a unit of work awaited something other than its transaction")


def connect(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
    """A connection with this project's settings. Raises StoreUnusable or ServiceUnavailable."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translate(error) from error
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    # 16 MiB: pages that are written again and again go into the database once for so many changes.
    connection.execute("PRAGMA wal_autocheckpoint = 4096")


def check_library() -> None:
    """Raise StoreUnusable where Python brings a SQLite that is too old."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        wanted = ".".join(map(str, _OLDEST_SQLITE))
        raise StoreUnusable(f"This Python has SQLite {sqlite3.sqlite_version}; {wanted} or later is needed.")


def check_private(path: Path) -> None:
    """Raise StoreUnusable unless `path` is a file of ours that nobody else can read."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise StoreUnusable(f"There is no store at {path}. Make one with `kubecustody init`.") from None
    except OSError as error:
        raise StoreUnusable(f"The store at {path} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(facts.st_mode):
        raise StoreUnusable(f"{path} is not a file; the store is one SQLite file.")
    if hasattr(os, "geteuid") and facts.st_uid not in (os.geteuid(), 0):
        raise StoreUnusable(f"{path} belongs to another user (uid {facts.st_uid}). Run as its owner.")
    if facts.st_mode & 0o077:
        raise StoreUnusable(f"{path} can be read by others. Close it: chmod 600 {path}")
