"""Every page is the page that an OFFSET query gives, after any churn, and the counts are the rows'."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from custody.books import ask, check_books, tell
from kubecustody.core.events import first_hash
from kubecustody.store.clusters import (
    ClusterDetails,
    add_cluster,
    find_cluster_by_seq,
    purge_cluster,
    set_cluster_deleted,
)
from kubecustody.store.fleet import list_clusters
from kubecustody.store.installation import Account, Counters, add_account, lock_account
from kubecustody.store.migrations import create_store
from kubecustody.store.sqlite import SQLiteStore
from kubecustody.store.transactions import Transaction

NOW = 1_795_521_600
DETAILS = ClusterDetails("local", NOW)
# The last number that each account begins with: below the first node, and close below a new level of the tree.
ACCOUNTS = {"1": 0, "11": 64**2 - 90, "2": 64**3 - 90}
PAGE_SIZES = (1, 7, 50, 64, 100)


async def counters(tx: Transaction, account_id: str) -> Counters:
    found = await lock_account(tx, account_id)
    assert found is not None
    return found


async def grow(tx: Transaction, account_id: str, count: int, gap: int) -> None:
    """Add clusters whose numbers lie `gap` apart, as after as many purges in between."""
    for _ in range(count):
        seq = (await counters(tx, account_id)).last_cluster_seq + 1
        await add_cluster(tx, account_id, seq, f"c{seq}", f"name-{seq}", "running", DETAILS)
        for skipped in range(seq + 1, seq + gap):
            await add_cluster(tx, account_id, skipped, f"c{skipped}", "gone", "running", DETAILS)
            await purge(tx, account_id, skipped)


async def purge(tx: Transaction, account_id: str, seq: int) -> None:
    await set_cluster_deleted(tx, account_id, seq, NOW)
    cluster = await find_cluster_by_seq(tx, account_id, seq)
    assert cluster is not None
    await purge_cluster(tx, account_id, cluster, NOW)


async def churn(tx: Transaction, account_id: str, dice: random.Random, seqs: list[int]) -> None:
    """One step: add some, delete one (it stays listed), or purge some."""
    match dice.choice(["add", "add", "add", "delete", "purge", "purge run"]):
        case "add":
            await grow(tx, account_id, dice.randint(1, 30), dice.choice([1, 1, 1, 5]))
        case "delete" if seqs:
            await set_cluster_deleted(tx, account_id, dice.choice(seqs), NOW)
        case "purge" if seqs:
            await purge(tx, account_id, dice.choice(seqs))
        case "purge run" if seqs:
            start = dice.randrange(len(seqs))
            for seq in seqs[start : start + dice.randint(1, 40)]:
                await purge(tx, account_id, seq)


def listed(path: Path, account_id: str, size: int, number: int) -> list[tuple[object, ...]]:
    sql = (
        "SELECT seq, cluster_id, name, told_state, trust_epoch FROM clusters WHERE account_id = ?"
        " ORDER BY seq LIMIT ? OFFSET ?"
    )
    return ask(path, sql, account_id, size, number * size)


async def check_pages(store: SQLiteStore, path: Path, account_id: str) -> int:
    """Compare every page of every size; how many clusters there are."""
    count, last_seq = ask(
        path, "SELECT cluster_count, last_cluster_seq FROM accounts WHERE account_id = ?", account_id
    )[0]

    async def compare(tx: Transaction) -> None:
        for size in PAGE_SIZES:
            for number in range(-(-count // size)):
                page = await list_clusters(tx, account_id, last_seq, number * size, size)
                assert page == listed(path, account_id, size, number), (account_id, size, number)

    assert ask(path, "SELECT COUNT(*) FROM clusters WHERE account_id = ?", account_id) == [(count,)]
    await store.read(compare)
    return count


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_page_is_that_of_an_offset_query_after_any_churn(tmp_path: Path, seed: int) -> None:
    path, dice = tmp_path / "store.db", random.Random(seed)
    create_store(path, NOW)

    async def whole() -> int:
        store = SQLiteStore(path)
        try:
            for account_id, last_seq in ACCOUNTS.items():
                account = Account(account_id, "test", "local", NOW, 0)
                await store.write(partial(add_account, account=account, first_seal_hash=first_hash(account_id)))
                tell(path, "UPDATE accounts SET last_cluster_seq = ? WHERE account_id = ?", last_seq, account_id)
            most = 0
            for step in range(150):
                account_id = dice.choice(list(ACCOUNTS))
                rows = ask(path, "SELECT seq FROM clusters WHERE account_id = ? ORDER BY seq", account_id)
                seqs = [seq for (seq,) in rows]
                await store.write(partial(churn, account_id=account_id, dice=dice, seqs=seqs))
                if step % 30 == 29:
                    most = max(most, sum([await check_pages(store, path, each) for each in ACCOUNTS]))
            return most
        finally:
            store.close()

    assert asyncio.run(whole()) > 300
    check_books(path)
