"""What the writer remembers is forgotten with every change of what it was read from, whoever makes it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kubecustody.core.events import first_hash
from kubecustody.store.installation import Account, add_account, find_account
from kubecustody.store.migrations import create_store
from kubecustody.store.sqlite import SQLiteStore
from kubecustody.store.transactions import Transaction

NOW = 1_795_521_600
TABLES = frozenset({"accounts"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_store(tmp_path / "store.db", NOW)
    return tmp_path / "store.db"


async def put(tx: Transaction, name: str = "test") -> None:
    await add_account(tx, Account("1", name, "local", NOW, 0), first_hash("1"))


async def recall(tx: Transaction, reads: list[int]) -> bool:
    """Whether there is the account, as it is remembered."""

    async def find() -> bool:
        reads.append(1)
        return await find_account(tx, "1") is not None

    return await tx.recall("account", TABLES, find)


def run(path: Path, work: Callable[[SQLiteStore, list[int]], Awaitable[Any]]) -> list[int]:
    """One entry for each time that the account was read. It was looked for twice before, so that it is remembered."""

    async def whole() -> list[int]:
        store, reads = SQLiteStore(path), list[int]()
        try:
            for _ in range(2):
                assert not await store.write(partial(recall, reads=reads))
            reads.clear()
            await work(store, reads)
        finally:
            store.close()
        return reads

    return asyncio.run(whole())


def test_what_nobody_changes_is_read_once(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        for _ in range(3):
            assert not await store.write(partial(recall, reads=reads))

    assert run(path, work) == []


def test_own_change_is_seen_in_its_transaction_and_afterwards(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        async def change(tx: Transaction) -> None:
            assert not await recall(tx, reads)
            await put(tx)
            assert await recall(tx, reads)

        await store.write(change)
        assert await store.write(partial(recall, reads=reads))

    assert run(path, work) == [1, 1]


def test_change_that_is_rolled_back_leaves_nothing_remembered(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        async def change(tx: Transaction) -> None:
            await put(tx)
            assert await recall(tx, reads)
            raise KeyError

        with contextlib.suppress(KeyError):
            await store.write(change)
        assert not await store.write(partial(recall, reads=reads))

    assert run(path, work) == [1, 1]


def test_change_of_a_unit_that_failed_beside_others_leaves_nothing_remembered(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        async def change(tx: Transaction) -> None:
            await put(tx)
            raise KeyError

        units = [store.write(change), store.write(partial(recall, reads=reads))]
        failed, seen = await asyncio.gather(*units, return_exceptions=True)
        assert isinstance(failed, KeyError)
        assert seen is False
        assert not await store.write(partial(recall, reads=reads))

    assert run(path, work)


def test_change_of_another_connection_is_seen(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        other = SQLiteStore(path)
        await other.write(put)
        other.close()
        assert await store.write(partial(recall, reads=reads))

    assert run(path, work) == [1]


def test_change_of_another_table_forgets_nothing(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        from kubecustody.store.installation import set_installation_secret

        await store.write(lambda tx: set_installation_secret(tx, "a", b"b", NOW))
        assert not await store.write(partial(recall, reads=reads))

    assert run(path, work) == []


def test_failed_search_is_not_remembered(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        async def find() -> bool:
            raise LookupError

        for _ in range(2):
            with pytest.raises(LookupError):
                await store.write(lambda tx: tx.recall("other", TABLES, find))

    assert run(path, work) == []


def test_reader_remembers_nothing(path: Path) -> None:
    async def work(store: SQLiteStore, reads: list[int]) -> None:
        for _ in range(2):
            assert not await store.read(partial(recall, reads=reads))

    assert run(path, work) == [1, 1]
