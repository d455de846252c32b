"""The schema, as numbered migrations, and what brings a store to the newest of them.

Each file `NNNN_name.sql` begins with `-- phase: pre|post` (before or after the new program runs everywhere)
and `-- oldest_program: X.Y.Z` (the oldest version that may still use the schema afterwards).
"""

import os
import re
import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from kubecustody.core.errors import ServiceUnavailable
from kubecustody.store.errors import StoreUnusable, is_damage, translate
from kubecustody.store.migrations.filling import FILLING
from kubecustody.store.sqlite import BUSY_TIMEOUT_MS, check_library, connect

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_HEADER = re.compile(r"-- phase: (pre|post)\n-- oldest_program: (\d+\.\d+\.\d+)\n")

# Rows of a large table, and of those how many agree in the first column of a key, in the first two, and so on.
_ROWS_LEFT = (1_000_000, 500_000, 1_000, 20, 5, 2, 2, 2)

_BOOK = """
CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    phase TEXT NOT NULL,
    oldest_program TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    phase: str
    oldest_program: str
    sql: str


@cache
def all_migrations() -> tuple[Migration, ...]:
    """Every migration, by version. ValueError where a file lacks its header or a number is missing."""
    migrations = []
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        if not (name := _FILE.fullmatch(file.name)):
            continue
        sql = file.read_text("utf-8")
        if not (header := _HEADER.match(sql)):
            raise ValueError(f"{file.name} lacks its header")
        migrations.append(Migration(int(name[1]), name[2], header[1], header[2], sql))
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError("migrations are not numbered from 1 without a gap")
    return tuple(migrations)


def create_store(path: Path, now: int) -> None:
    """Make an empty store with the newest schema at `path`, readable by its owner alone. Raises StoreUnusable."""
    check_library()
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise StoreUnusable(f"There is a store at {path} already; nothing was changed.") from None
    except OSError as error:
        raise StoreUnusable(f"The store {path} cannot be made: {error.strerror}.") from error
    connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        _apply(connection, now)
    finally:
        connection.close()


def is_migration_due(path: Path) -> bool:
    """Whether a migration of this program was not applied to the store at `path`. Raises StoreUnusable."""
    return {version for version, _ in _read_book(path)} < {migration.version for migration in all_migrations()}


def migrate_store(path: Path, now: int) -> list[Migration]:
    """Bring the store at `path` to the newest schema; the migrations that were applied. Raises StoreUnusable."""
    connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
    try:
        return _apply(connection, now)
    finally:
        connection.close()


def check_schema(path: Path, program: str) -> None:
    """Raise StoreUnusable unless the program of this version may use the schema of the store at `path`."""
    try:
        rows = _read_book(path)
    except ServiceUnavailable as error:
        if not is_damage(error):
            raise
        raise StoreUnusable(
            f"{path} is damaged or is no SQLite file ({error.__cause__}). Restore it from a backup; "
            "nothing was changed."
        ) from error
    _judge([version for version, _ in rows], [oldest for _, oldest in rows], path, program)


def check_readable(path: Path, program: str) -> None:
    """Raise StoreUnusable unless this program can use the store at `path`, or bring it to a schema that it can use."""
    book = _read_book(path)
    newest = all_migrations()[-1].version
    _judge([newest, *(version for version, _ in book)], [oldest for _, oldest in book], path, program)


def _read_book(path: Path) -> list[tuple[int, str]]:
    """Version and oldest program of each migration that was applied."""
    connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
    try:
        return connection.execute("SELECT version, oldest_program FROM migrations ORDER BY version").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise translate(error) from error
        raise StoreUnusable(f"{path} is a database, but not a store of Kubecustody.") from error
    except sqlite3.Error as error:
        raise translate(error) from error
    finally:
        connection.close()


def _judge(versions: list[int], oldest: list[str], path: Path, program: str) -> None:
    # What comes after the new program runs everywhere (phase post) may be lacking.
    newest = max(migration.version for migration in all_migrations() if migration.phase == "pre")
    if versions and max(versions) < newest:
        raise StoreUnusable(
            f"{path} has schema {max(versions)}; this program needs {newest}. Run `kubecustody admin migrate`."
        )
    wanted = max((_numbers(version) for version in oldest), default=(0, 0, 0))
    if _numbers(program) < wanted:
        raise StoreUnusable(
            f"{path} was brought to a schema that needs Kubecustody {'.'.join(map(str, wanted))} or later; "
            f"this is {program}. Install the newer version."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:3])


def _apply(connection: sqlite3.Connection, now: int) -> list[Migration]:
    applied = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_BOOK)
        done = {version for (version,) in connection.execute("SELECT version FROM migrations")}
        for migration in all_migrations():
            if migration.version in done:
                continue
            for sql in split_statements(migration.sql):
                connection.execute(sql)
            if migration.version in FILLING:
                FILLING[migration.version](connection)
            row = (migration.version, migration.name, migration.phase, migration.oldest_program, now)
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?, ?)", row)
            applied.append(migration)
        if applied:
            _tell_planner(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error) from error
    return applied


def _tell_planner(connection: sqlite3.Connection) -> None:
    """Tell SQLite how large the tables grow: an account fills one, and each further column narrows it down.

    Without figures SQLite takes ten rows for what one account has, and then reads all of them by the primary key,
    which account_id leads, where an index would find the few that are meant
    (https://www.sqlite.org/fileformat2.html#stat1tab, read 2026-11-24).
    """
    connection.execute("ANALYZE migrations")  # makes the table of figures
    connection.execute("DELETE FROM sqlite_stat1")
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'")
    for (table,) in tables.fetchall():
        for _, index, unique, origin, _ in connection.execute(f"PRAGMA index_list({table})").fetchall():
            columns = len(connection.execute(f"PRAGMA index_info({index})").fetchall())
            figures = [*_ROWS_LEFT[:columns], 1 if unique else _ROWS_LEFT[columns]]
            name = table if origin == "pk" else index
            figures_text = " ".join(map(str, figures))
            connection.execute(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", (table, name, figures_text)
            )


def split_statements(sql: str) -> list[str]:
    """The single statements of a migration, without comments. A migration holds no semicolon in a literal."""
    text = re.sub(r"--[^\n]*", "", sql)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def for_postgresql(sql: str) -> str:
    """The same statement of a migration for PostgreSQL, where tables are strict and have no row ids anyway.

    INTEGER is BIGINT there, since SQLite's has 64 bits, and BLOB is BYTEA.
    """
    without_options = re.sub(r"\)\s*STRICT(\s*,\s*WITHOUT ROWID)?\s*$", ")", sql.strip())
    return re.sub(r"\bBLOB\b", "BYTEA", re.sub(r"\bINTEGER\b", "BIGINT", without_options))
