"""Whole stores as files: a copy of one that is in use, what a file holds, whether it is whole, a store put in place."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kubecustody.core.events import Event
from kubecustody.store.errors import StoreUnusable, translate
from kubecustody.store.sqlite import BUSY_TIMEOUT_MS, connect


class StoreFacts(NamedTuple):
    """What a store says of itself. last_events: number of the last event, by account."""

    installation_id: str
    key_check: bytes
    schema: int
    backup_made_at: int | None
    last_events: dict[str, int]


def copy_store(path: Path, copy: Path, now: int) -> None:
    """Write the store as it is at one moment to the new file `copy` (mode 0600), which says when it was made.

    Whoever reads or writes the store goes on. What was deleted from it is not in the copy
    (https://www.sqlite.org/lang_vacuum.html, read 2026-11-24). Raises StoreUnusable.
    """
    _make_private(copy)
    try:
        with _connected(path) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        with _connected(copy) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(installation)")}
            if "backup_made_at" in columns:  # a copy before a migration may be older
                connection.execute("UPDATE installation SET backup_made_at = ?", (now,))
        _sync(copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


def inspect_store(path: Path) -> StoreFacts:
    """What the store in this file says of itself, after a look at every page. Raises StoreUnusable."""
    with _connected(path) as connection:
        damage = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
        if damage != ["ok"]:
            raise StoreUnusable(f"The store in {path.name} is damaged: {damage[0]}.")
        columns = {row[1] for row in connection.execute("PRAGMA table_info(installation)")}
        if not columns:
            raise StoreUnusable(f"{path.name} holds no store of Kubecustody.")
        made_at = "backup_made_at" if "backup_made_at" in columns else "NULL"
        row = connection.execute(f"SELECT installation_id, key_check, {made_at} FROM installation").fetchone()  # noqa: S608
        if row is None:
            raise StoreUnusable(f"The store in {path.name} was never finished by `kubecustody init`.")
        (schema,) = connection.execute("SELECT MAX(version) FROM migrations").fetchone()
        last_events = dict(connection.execute("SELECT account_id, last_event_no FROM accounts").fetchall())
    return StoreFacts(row[0], row[1], schema, row[2], last_events)


def quarantine_store(path: Path, now: int) -> None:
    """Say in a store that was taken from a backup that it was restored now, and is not to be trusted yet."""
    with _connected(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE installation SET epoch = epoch + 1, restored_at = ?, quarantined = 1", (now,))
        connection.execute("DELETE FROM leases")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    _sync(path)


def put_in_place(new: Path, path: Path) -> None:
    """Give the store file its name. Raises StoreUnusable where there is one already, which stays as it is."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        raise StoreUnusable(f"There is a store at {path} already; nothing was changed.") from None
    new.unlink()
    for part in ("-wal", "-shm"):
        new.with_name(new.name + part).unlink(missing_ok=True)
    _sync(path.parent)


def list_events_after(path: Path, account_id: str, event_no: int) -> Iterator[Event]:
    """The events of an account behind this number, as far as the file, which may be damaged, can still be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, "
                "subject, reason, details FROM events WHERE account_id = ? AND event_no > ? ORDER BY event_no",
                (account_id, event_no),
            )
            yield from map(Event._make, rows)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} can be read no further: {error}.") from error


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        told = translate(error)
        raise StoreUnusable(f"{path} cannot be used: {told}.") from error
    finally:
        connection.close()


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be made: {error.strerror}.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
