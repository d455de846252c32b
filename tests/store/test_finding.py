"""Credentials one by one out of very many: every page costs the same, however deep it lies."""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from installations import Installation, make_installation
from kubecustody.custody.installation import Custody
from kubecustody.store import finding
from kubecustody.store.finding import Scanned
from kubecustody.store.statements import all_statements
from kubecustody.store.transactions import Transaction

CREDENTIALS = 100_000
CLUSTERS = 50
PAGE = 100
DEEP_OVER_FIRST = 3
LARGEST = 2**62
HOLDER = "2111"

Page = Callable[[Transaction, Scanned | None], Awaitable[list[Scanned]]]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An account with many credentials, half of them of one person, spread over the clusters."""
    installation = make_installation(tmp_path_factory.mktemp("many"))
    account = installation.account_id
    with closing(sqlite3.connect(installation.settings.store_file)) as connection, connection:
        connection.executemany(
            "INSERT INTO clusters (account_id, seq, cluster_id, name, told_state, trust_epoch) "
            "VALUES (?, ?, ?, 'c', 'running', 0)",
            [(account, seq, f"c{seq}") for seq in range(1, CLUSTERS + 1)],
        )
        connection.executemany(
            "INSERT INTO credentials (account_id, credential_no, uid, cluster_seq, origin, fingerprint, cn, issued_at, "
            "not_before, trust_epoch, verdict, masters, recorded_at) VALUES (?, ?, ?, ?, 'imported', ?, 'x', ?, 0, 0, "
            "'', 0, 0)",
            (
                (account, number, HOLDER if number % 2 else "", number % CLUSTERS + 1, number.to_bytes(32), number // 7)
                for number in range(1, CREDENTIALS + 1)
            ),
        )
    return installation


def in_account(account_id: str) -> Page:
    return lambda tx, last: finding.scan_credentials(tx, account_id, last.facts.number if last else 0, PAGE)


def in_cluster(account_id: str) -> Page:
    return lambda tx, last: finding.scan_credentials_in_cluster(
        tx, account_id, 7, last.facts.number if last else 0, PAGE
    )


def of_holder(account_id: str) -> Page:
    return lambda tx, last: finding.scan_credentials_of(
        tx,
        account_id,
        HOLDER,
        LARGEST,
        (last.cluster_seq, last.facts.issued_at, last.facts.number) if last else (0, -LARGEST, 0),
        PAGE,
    )


def walk(installation: Installation, page: Page) -> tuple[list[Scanned], list[float]]:
    """Everything, page by page, and the seconds of a CPU that each page took."""
    found: list[Scanned] = []
    seconds = []

    async def work(custody: Custody) -> None:
        while True:
            begun = time.thread_time()  # reads are done in this thread, and others share the machine
            rows = await custody.store.read(lambda tx: page(tx, found[-1] if found else None))
            seconds.append(time.thread_time() - begun)
            if not rows:
                return
            found.extend(rows)

    installation.run(work)
    return found, seconds


@pytest.mark.parametrize(
    ("of", "order", "count"),
    [
        (in_account, lambda one: (one.facts.number,), CREDENTIALS),
        (in_cluster, lambda one: (one.facts.number,), CREDENTIALS // CLUSTERS),
        (of_holder, lambda one: (one.cluster_seq, one.facts.issued_at, one.facts.number), CREDENTIALS // 2),
    ],
    ids=["account", "cluster", "holder"],
)
def test_pages_hold_each_credential_once_in_order_and_the_last_costs_as_the_first(
    installation: Installation, of: Callable[[str], Page], order: Callable[[Scanned], tuple[int, ...]], count: int
) -> None:
    found, seconds = walk(installation, of(installation.account_id))
    places = [order(one) for one in found]
    assert places == sorted(set(places)) and len(places) == count
    full = seconds[: len(seconds) - 1]
    tenth = max(5, len(full) // 10)
    assert median(full[-tenth:]) < DEEP_OVER_FIRST * median(full[:tenth])


@pytest.fixture(scope="module")
def connection(installation: Installation) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(Path(installation.settings.store_file))) as connection:
        yield connection


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("scan_credentials", "k USING PRIMARY KEY (account_id=? AND credential_no>?)"),
        (
            "scan_credentials_in_cluster",
            "k USING INDEX credentials_by_cluster (account_id=? AND cluster_seq=? AND credential_no>?)",
        ),
        (
            "scan_credentials_of",
            "k USING INDEX credentials_by_age (account_id=? AND uid=? AND "
            "(cluster_seq,issued_at,credential_no)>(?,?,?) AND cluster_seq<?)",
        ),
        (
            "list_newest_events_about",
            "events USING INDEX events_by_subject (account_id=? AND subject=? AND event_no<?)",
        ),
    ],
)
def test_each_begins_in_an_index_and_nothing_is_sorted(connection: sqlite3.Connection, name: str, first: str) -> None:
    sql = all_statements()[name]
    arguments: Sequence[Any] = [None] * len(sql.parameters)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql.sqlite}", arguments)]
    assert f"SEARCH {first}" in plan
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]
