"""Installations of ours filled in bulk: the rows that a million single changes would leave, written at once."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.fleet import Fleet
from kubecustody.catalogue.policies import READ_ONLY_ACCESS
from kubecustody.cli.initialise import initialise
from kubecustody.core.names import PrincipalKind
from kubecustody.core.paging import LEVELS, nodes_of
from kubecustody.core.states import Credential, holding_of
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, open_custody, seal_access_key_secret
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import add_principal
from kubecustody.settings import Settings, load_settings
from kubecustody.store.principals import add_access_key
from kubecustody.store.transactions import Transaction

AUTHOR = Author("bench", reason="bench")


class BulkCredential(NamedTuple):
    """A credential of the user: in which cluster (seq), from and until when (unix seconds), removed when."""

    cluster_seq: int
    not_before: int
    not_after: int
    removed_at: int | None = None


def make_store(directory: Path, data: Fleet, **settings: str) -> Settings:
    """An installation with the fleet of the benchmark; its folder is below `directory`."""
    made = prepare_store(directory, data, **settings)
    clusters = ((cluster.cluster_id, cluster.name, cluster.state) for cluster in data.clusters)
    fill_store(made, data, clusters, credentials_of(data))
    return made


def prepare_store(directory: Path, data: Fleet, **settings: str) -> Settings:
    """An installation with the account and the user of the fleet, without clusters."""
    made = load_settings({}, {"data_dir": str(directory / "data"), **settings})
    initialise(made, ["127.0.0.1"], account_name="bench", account_id=data.account_id, region_id="local")
    asyncio.run(_add_user(made, data))
    return made


def credentials_of(data: Fleet) -> Iterator[BulkCredential]:
    """The credentials of the fleet's user."""
    for one in data.credentials:
        yield BulkCredential(one.cluster + 1, int(one.not_before.timestamp()), int(one.not_after.timestamp()))


async def _add_user(settings: Settings, data: Fleet) -> None:
    store, custody = await open_custody(settings)
    try:
        now = time.time()
        await add_principal(
            custody, data.account_id, AUTHOR, now, kind=PrincipalKind.USER, name=data.user_name, uid=data.user_uid
        )
        await set_attachment(custody, data.account_id, AUTHOR, now, READ_ONLY_ACCESS, attached=True, user=data.user_uid)
        await _add_key(custody, data, int(now))
    finally:
        store.close()


async def _add_key(custody: Custody, data: Fleet, now: int) -> None:
    sealed = seal_access_key_secret(
        custody.sealer, data.account_id, data.access_key_id, data.access_key_secret.encode()
    )

    async def work(tx: Transaction) -> None:
        await add_access_key(tx, data.account_id, data.access_key_id, data.user_uid, sealed, now)

    await custody.store.write(work)


def fill_store(
    settings: Settings,
    data: Fleet,
    clusters: Iterable[tuple[str, str, str]],
    credentials: Iterable[BulkCredential],
) -> None:
    """Add clusters (id, name, state) with seqs from 1, and credentials of the user with their holdings."""
    connection = sqlite3.connect(settings.store_file)
    account = data.account_id
    counts: dict[tuple[int, int], int] = {}

    def cluster_rows() -> Iterator[tuple[object, ...]]:
        for seq, (cluster_id, name, state) in enumerate(clusters, 1):
            for node in nodes_of(seq):
                counts[node] = counts.get(node, 0) + 1
            yield account, seq, cluster_id, name, state, None, 1, None

    with connection:
        connection.executemany("INSERT INTO clusters VALUES (?, ?, ?, ?, ?, ?, ?, ?)", cluster_rows())
        nodes = ((account, level, index, count) for (level, index), count in counts.items())
        connection.executemany("INSERT INTO nodes VALUES (?, ?, ?, ?)", nodes)
        total = sum(count for (level, _), count in counts.items() if level == LEVELS[0])
        connection.execute(
            "UPDATE accounts SET cluster_count = ?, last_cluster_seq = ? WHERE account_id = ?",
            (total, total, account),
        )
        add_credentials(connection, data, credentials)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def add_credentials(connection: sqlite3.Connection, data: Fleet, credentials: Iterable[BulkCredential]) -> None:
    """Add credentials of the user, and bring the holdings of their clusters up to them."""
    (before,) = connection.execute(
        "SELECT last_credential_no FROM accounts WHERE account_id = ?", (data.account_id,)
    ).fetchone()
    number, held = before, {}
    rows = []
    for number, one in enumerate(credentials, before + 1):
        facts = Credential(number, one.not_before, one.not_before, one.not_after, one.not_after, 1)
        facts = facts._replace(removed_at=one.removed_at)
        held.setdefault(one.cluster_seq, []).append(facts)
        rows.append(_credential_row(data, number, one))
    connection.executemany(
        "INSERT INTO credentials (account_id, credential_no, uid, cluster_seq, origin, fingerprint, cn, issued_at,"
        " not_before, not_after, vouched_until, trust_epoch, verdict, masters, recorded_at, removed_at, removed_by)"
        " VALUES (?, ?, ?, ?, 'imported', ?, ?, ?, ?, ?, ?, 1, 'chains', 0, ?, ?, ?)",
        rows,
    )
    holdings = [(data.account_id, data.user_uid, seq, *(holding_of(facts, 1) or ())) for seq, facts in held.items()]
    connection.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", holdings)
    connection.execute("UPDATE accounts SET last_credential_no = ? WHERE account_id = ?", (number, data.account_id))


def _credential_row(data: Fleet, number: int, one: BulkCredential) -> tuple[object, ...]:
    fingerprint = os.urandom(24) + number.to_bytes(8)
    common_name = f"{data.user_uid}-{number}"
    removed_by = None if one.removed_at is None else "proved"
    times = (one.not_before, one.not_before, one.not_after, one.not_after, one.not_before)
    return (
        data.account_id, number, data.user_uid, one.cluster_seq, fingerprint, common_name, *times, one.removed_at,
        removed_by,
    )  # fmt: skip
