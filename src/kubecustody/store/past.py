"""What the past is derived from: events of one thing up to a number, and the facts that never change."""

import json
from typing import NamedTuple

from kubecustody.core.paging import FANOUT_BITS, LEVELS, children_of
from kubecustody.core.past import Recorded, Step
from kubecustody.store.fleet import list_nodes
from kubecustody.store.statements import Statement, statement
from kubecustody.store.transactions import Row, Transaction

_CLUSTER_STEPS = statement("list_steps_of_cluster")
_CREDENTIAL_STEPS = statement("list_steps_of_credential")
_PERSON_STEPS = statement("list_steps_of_person")
_LAST_CLUSTER = statement("find_last_cluster_added")
_LIST_PURGED = statement("list_purged_after")
_COUNT_BETWEEN = statement("count_clusters_between")
_LIST_HELD = statement("list_held_from")
_LIST_BY_AGE = statement("list_held_by_age")
_LIST_MOVED = statement("list_moved_after")
_LIST_MATCHED = statement("list_matched_after")
_LIST_RECORDED = statement("list_recorded_in")
_LIST_FROM = statement("list_recorded_from")
_LIST_FROM_IN = statement("list_recorded_in_from")
_FIND_RECORDED = statement("find_recorded")

_MOVING_KINDS = ("credential_matched", "credential_assigned")


class Moved(NamedTuple):
    """A credential that was taken from somebody: in which cluster, which (hex), and whose it was before."""

    cluster_seq: int
    fingerprint: str
    before: str


async def list_cluster_steps(
    tx: Transaction, account_id: str, cluster_seq: int, cluster_id: str, last_no: int
) -> list[Step]:
    """What changed how a cluster stands, up to that event, in order."""
    return await _steps(tx, _CLUSTER_STEPS, account_id, f"cluster/{cluster_id}", cluster_seq, last_no)


async def list_credential_steps(
    tx: Transaction, account_id: str, cluster_seq: int, fingerprint: bytes, last_no: int
) -> list[Step]:
    """What changed how a credential stands, up to that event, in order."""
    return await _steps(tx, _CREDENTIAL_STEPS, account_id, f"credential/{fingerprint.hex()}", cluster_seq, last_no)


async def list_person_steps(tx: Transaction, account_id: str, uid: str, last_no: int) -> list[Step]:
    """What changed how a person stands, up to that event, in order."""
    return await _steps(tx, _PERSON_STEPS, account_id, f"principal/{uid}", 0, last_no)


async def _steps(
    tx: Transaction, listing: Statement, account_id: str, subject: str, cluster_seq: int, last_no: int
) -> list[Step]:
    return [Step._make(row) for row in await tx.fetch_all(listing, account_id, subject, cluster_seq, last_no)]


async def find_last_cluster_seq(tx: Transaction, account_id: str, last_no: int) -> int:
    """The greatest number that a cluster had been given; 0 where there was none."""
    row = await tx.fetch_one(_LAST_CLUSTER, account_id, last_no)
    return int(row[0]) if row is not None else 0


async def list_purged_after(tx: Transaction, account_id: str, last_no: int) -> list[tuple[int, str]]:
    """Number and id of each cluster that was purged after that event, by number."""
    rows = await tx.fetch_all(_LIST_PURGED, account_id, last_no)
    return sorted((row[0], str(row[1]).removeprefix("cluster/")) for row in rows)


async def count_clusters_up_to(tx: Transaction, account_id: str, seq: int) -> int:
    """How many clusters that are listed now have this number or a smaller one: by the counted tree."""
    count, first = 0, 0
    for level in LEVELS:
        index = seq >> FANOUT_BITS * level
        if index > first:
            count += sum(held for _, held in await list_nodes(tx, account_id, level, first, index - 1))
        first = children_of(index).start
    row = await tx.fetch_one(_COUNT_BETWEEN, account_id, first, seq)
    return count + (int(row[0]) if row is not None else 0)


async def list_held_from(tx: Transaction, account_id: str, uid: str, cluster_seq: int, at: int) -> list[Recorded]:
    """What the person now holds in a cluster and that had been recorded at that moment and not ended."""
    return _recorded(await tx.fetch_all(_LIST_HELD, account_id, uid, cluster_seq, at, at))


async def list_held_by_age(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, at: int, before: tuple[int, int], at_most: int
) -> list[Recorded]:
    """At most `at_most` of what the person now holds in a cluster and that had been recorded, the newest first, behind
    (issued_at, number).
    """
    return _recorded(await tx.fetch_all(_LIST_BY_AGE, account_id, uid, cluster_seq, at, *before, at_most))


async def list_moved_after(tx: Transaction, account_id: str, last_no: int) -> list[Moved]:
    """The credentials that were taken from somebody after that event."""
    rows = [row for kind in _MOVING_KINDS for row in await tx.fetch_all(_LIST_MOVED, account_id, kind, last_no)]
    return [Moved(row[0], str(row[1]).removeprefix("credential/"), json.loads(row[2])["before"]) for row in rows]


async def list_matched_after(tx: Transaction, account_id: str, cluster_seq: int, last_no: int) -> list[str]:
    """Fingerprints (hex) of the credentials of a cluster that were given to somebody after that event."""
    rows = await tx.fetch_all(_LIST_MATCHED, account_id, cluster_seq, last_no)
    return [str(row[0]).removeprefix("credential/") for row in rows]


async def list_recorded_in(tx: Transaction, account_id: str, cluster_seq: int, at: int) -> list[tuple[str, Recorded]]:
    """Each credential of a cluster that had been recorded, with whose it is now."""
    rows = await tx.fetch_all(_LIST_RECORDED, account_id, cluster_seq, at)
    return [(row[-1], recorded) for row, recorded in zip(rows, _recorded([row[:-1] for row in rows]), strict=True)]


async def list_recorded_from(
    tx: Transaction, account_id: str, cluster_seq: int | None, after_no: int, at_most: int
) -> list[tuple[int, Recorded]]:
    """At most `at_most` credentials behind that number, by number, each with its cluster; None: of every cluster."""
    if cluster_seq is None:
        rows = await tx.fetch_all(_LIST_FROM, account_id, after_no, at_most)
    else:
        rows = await tx.fetch_all(_LIST_FROM_IN, account_id, cluster_seq, after_no, at_most)
    return [(row[-1], recorded) for row, recorded in zip(rows, _recorded([row[:-1] for row in rows]), strict=True)]


async def find_recorded(tx: Transaction, account_id: str, cluster_seq: int, fingerprint: bytes) -> Recorded | None:
    """The credential of this certificate in this cluster."""
    row = await tx.fetch_one(_FIND_RECORDED, account_id, cluster_seq, fingerprint)
    return _recorded([row])[0] if row is not None else None


def _recorded(rows: list[Row]) -> list[Recorded]:
    found = [Recorded._make(row) for row in rows]
    return [one._replace(masters=bool(one.masters)) for one in found]
