"""Schema and statements are good on a real PostgreSQL server as well, long before the product runs on one."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kubecustody.store.migrations import all_migrations, for_postgresql, split_statements
from kubecustody.store.statements import all_statements

pytestmark = pytest.mark.postgresql

STATEMENTS = all_statements()
MISSING = "tier postgresql: no PostgreSQL server found; install Debian's package postgresql"


def programs() -> Path:
    """The folder of the newest server's programs. Without one: a loud skip, and in CI a failure."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    if not folders:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return folders[-1]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The socket folder of a throw-away server, stopped at the end. It refuses to run as root, so it does not."""
    here = programs()
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # pytest's own folders are closed to others, and the name of a socket may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="kubecustody-pg-") as name:
        folder = Path(name)
        if as_owner:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        options = ("-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        run(*as_owner, here / "initdb", "-D", data, *options)
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        control = (*as_owner, here / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log")
        run(*control, "-o", settings, "start")
        try:
            yield name
        finally:
            run(*control, "-m", "immediate", "stop")


def run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


async def connect(server: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(host=server, user="postgres", database="postgres")


@pytest.fixture(scope="module")
def migrated(server: str) -> str:
    async def migrate() -> None:
        connection = await connect(server)
        try:
            for migration in all_migrations():
                async with connection.transaction():
                    for sql in split_statements(migration.sql):
                        await connection.execute(for_postgresql(sql))
        finally:
            await connection.close()

    asyncio.run(migrate())
    return server


async def fault_of(connection: "asyncpg.Connection[asyncpg.Record]", sql: str) -> str | None:
    try:
        await connection.prepare(sql)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


def test_every_statement_is_understood_by_postgresql(migrated: str) -> None:
    async def faults() -> dict[str, str]:
        connection = await connect(migrated)
        try:
            found = {name: await fault_of(connection, sql.postgresql) for name, sql in STATEMENTS.items()}
        finally:
            await connection.close()
        return {name: fault for name, fault in found.items() if fault is not None}

    assert asyncio.run(faults()) == {}


def test_every_table_and_index_of_the_schema_is_there(migrated: str) -> None:
    async def made() -> set[str]:
        connection = await connect(migrated)
        try:
            rows = await connection.fetch(
                "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i')"
            )
        finally:
            await connection.close()
        return {row[0] for row in rows}

    words = [sql.split() for migration in all_migrations() for sql in split_statements(migration.sql)]
    wanted = {word[2 if word[1] in ("TABLE", "INDEX") else 3] for word in words if word[0] == "CREATE"}
    assert wanted
    assert wanted <= asyncio.run(made())


def test_numbers_have_64_bits_and_bytes_are_bytes(migrated: str) -> None:
    async def kinds() -> set[tuple[str, str]]:
        connection = await connect(migrated)
        try:
            rows = await connection.fetch(
                "SELECT data_type, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            )
        finally:
            await connection.close()
        return {(row[0], row[1]) for row in rows}

    found = asyncio.run(kinds())
    assert {kind for kind, _ in found} == {"bigint", "bytea", "text"}
    assert ("bigint", "recorded_at_ms") in found
    assert ("bytea", "sealed_secret") in found
