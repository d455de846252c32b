"""What must hold of any store at any time, recomputed from its facts on a plain connection."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kubecustody.core.events import Event, first_hash, seal
from kubecustody.core.paging import nodes_of
from kubecustody.core.states import Credential, Holding, RemovedBy, holding_of

_REMOVALS = """
SELECT k.removed_at, k.removed_by, c.serial, r.kind, r.occurred_at
FROM credentials AS k
LEFT JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
LEFT JOIN removals AS r ON r.account_id = k.account_id AND r.credential_no = k.credential_no
    AND r.removal_no = (
        SELECT COUNT(*) FROM removals AS s WHERE s.account_id = k.account_id AND s.credential_no = k.credential_no
    )
WHERE k.account_id = ? AND k.fingerprint IS NOT NULL
"""
_HOLDINGS = """
SELECT uid, cluster_seq, vouched_until, unvouched_until, unvouched_open, newest_removed_at, newest_not_after,
    trust_epoch
FROM holdings WHERE account_id = ?
"""
_CREDENTIALS = """
SELECT uid, cluster_seq, credential_no, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict,
    masters, removed_at, removed_by, removal_requested_at
FROM credentials WHERE account_id = ? AND uid <> ''
"""


@contextmanager
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of Python's own to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def ask(path: Path, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Every row of a query."""
    with plain(path) as connection:
        return connection.execute(sql, arguments).fetchall()


def tell(path: Path, sql: str, *arguments: Any) -> None:
    """Run a change that the program has no command for."""
    with plain(path) as connection:
        connection.execute(sql, arguments)


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the failed requests, which are written down after the answer."""
    with plain(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
            for name in sorted(names)
            if name != "failed_requests"
        }


def check_books(path: Path) -> None:
    """Every promise that rows make about other rows, for every account."""
    with plain(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for (account_id,) in connection.execute("SELECT account_id FROM accounts").fetchall():
            check_events(connection, account_id)
            check_counts(connection, account_id)
            check_removals(connection, account_id)
            assert stored_holdings(connection, account_id) == rebuilt_holdings(connection, account_id)


def check_events(connection: sqlite3.Connection, account_id: str) -> None:
    """The events are numbered without a gap, and the chain over them ends where the account says."""
    rows = connection.execute("SELECT * FROM events WHERE account_id = ? ORDER BY event_no", (account_id,))
    events = [Event._make(row) for row in rows]
    assert [event.event_no for event in events] == list(range(1, len(events) + 1)), "events are missing"
    hash_so_far, next_no = first_hash(account_id), 1
    seals = connection.execute(
        "SELECT first_event_no, last_event_no, hash FROM event_seals WHERE account_id = ? ORDER BY last_event_no",
        (account_id,),
    )
    for first, last, sealed in seals.fetchall():
        assert first == next_no <= last, "seals do not join"
        hash_so_far = seal(hash_so_far, events[first - 1 : last])
        assert sealed == hash_so_far, f"the seal over events {first} to {last} does not hold"
        next_no = last + 1
    end = connection.execute(
        "SELECT last_event_no, last_seal_hash FROM accounts WHERE account_id = ?", (account_id,)
    ).fetchone()
    assert end == (len(events), hash_so_far) and next_no == len(events) + 1, "the chain ends elsewhere"


def check_counts(connection: sqlite3.Connection, account_id: str) -> None:
    """Counters and the counted tree say what the rows say."""

    def one(sql: str) -> Any:
        return connection.execute(sql, (account_id,)).fetchone()[0]

    counted = connection.execute(
        "SELECT cluster_count, last_cluster_seq, last_credential_no FROM accounts WHERE account_id = ?", (account_id,)
    ).fetchone()
    seqs = [row[0] for row in connection.execute("SELECT seq FROM clusters WHERE account_id = ?", (account_id,))]
    purged = one("SELECT COALESCE(MAX(seq), 0) FROM purged_clusters WHERE account_id = ?")
    number = one("SELECT COALESCE(MAX(credential_no), 0) FROM credentials WHERE account_id = ?")
    assert counted == (len(seqs), max([*seqs, purged], default=0), number)
    nodes: dict[tuple[int, int], int] = {}
    for node in (node for seq in seqs for node in nodes_of(seq)):
        nodes[node] = nodes.get(node, 0) + 1
    stored = connection.execute("SELECT lvl, idx, cnt FROM nodes WHERE account_id = ? AND cnt <> 0", (account_id,))
    assert {(level, index): count for level, index, count in stored} == nodes


def check_removals(connection: sqlite3.Connection, account_id: str) -> None:
    """The narrow row is what the newest step of a credential's removal says, and has a certificate beside it."""
    rows = connection.execute(_REMOVALS, (account_id,))
    for removed_at, removed_by, serial, kind, occurred_at in rows:
        assert serial is not None
        assert (removed_by, removed_at) == ((kind, occurred_at) if kind in ("attested", "proved") else (None, None))


def stored_holdings(connection: sqlite3.Connection, account_id: str) -> dict[tuple[str, int], Holding]:
    """What the list reads, by (uid, cluster_seq)."""
    rows = connection.execute(_HOLDINGS, (account_id,))
    return {(uid, seq): Holding._make(holding) for uid, seq, *holding in rows}


def rebuilt_holdings(connection: sqlite3.Connection, account_id: str) -> dict[tuple[str, int], Holding]:
    """What the credentials add up to by each cluster's newest bundle; nobody's credentials add up to nothing."""
    bundles = connection.execute(
        "SELECT cluster_seq, MAX(epoch) FROM trust_bundles WHERE account_id = ? GROUP BY cluster_seq", (account_id,)
    )
    epochs = dict(bundles.fetchall())
    held: dict[tuple[str, int], list[Credential]] = {}
    rows = connection.execute(_CREDENTIALS, (account_id,))
    for uid, seq, *facts in rows:
        held.setdefault((uid, seq), []).append(_credential(facts))
    holdings = {key: holding_of(credentials, epochs.get(key[1], 0)) for key, credentials in held.items()}
    return {key: holding for key, holding in holdings.items() if holding is not None}


def _credential(facts: Sequence[Any]) -> Credential:
    credential = Credential._make(facts)
    return credential._replace(
        masters=bool(credential.masters), removed_by=credential.removed_by and RemovedBy(credential.removed_by)
    )
