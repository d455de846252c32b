"""Grants: what each person is permitted in which cluster."""

from collections.abc import Iterable
from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction

EVERY_CLUSTER_SEQ = 0


class StoredGrant(NamedTuple):
    """One grant of a person. cluster_seq 0 and cluster_id "": for every cluster; namespace "": the whole cluster."""

    cluster_seq: int
    cluster_id: str
    namespace: str
    role_name: str
    is_custom: int


_LIST_OF = statement("list_grants_of")
_ADD = statement("add_grant")
_DROP = statement("drop_grant")
_NOTE_DROPPED = statement("note_dropped_grant")
_COUNT_ADMINS = statement("count_other_admins")
_LIST_SUBJECTS = statement("list_subjects_of")


async def list_grants_of(tx: Transaction, account_id: str, uid: str) -> list[StoredGrant]:
    """What a person is permitted: what is for every cluster first, then by the cluster's seq."""
    return [StoredGrant._make(row) for row in await tx.fetch_all(_LIST_OF, account_id, uid)]


async def add_grants(tx: Transaction, account_id: str, uid: str, grants: Iterable[StoredGrant], now: int) -> None:
    """Record what a person is permitted beside what they are. AlreadyThere where they are."""
    rows = [(account_id, uid, one.cluster_seq, one.namespace, one.role_name, one.is_custom, now) for one in grants]
    await tx.execute_many(_ADD, rows)


async def drop_grants(tx: Transaction, account_id: str, uid: str, grants: Iterable[StoredGrant], now: int) -> None:
    """Take what a person is permitted away; that it was is remembered."""
    rows = [(account_id, uid, one.cluster_seq, one.namespace, one.role_name, one.is_custom) for one in grants]
    await tx.execute_many(_DROP, rows)
    await tx.execute_many(_NOTE_DROPPED, [(*row, now) for row in rows])


async def count_other_admins(tx: Transaction, account_id: str, cluster_seq: int, uid: str) -> int:
    """How many people beside this one are permitted all of a cluster."""
    row = await tx.fetch_one(_COUNT_ADMINS, account_id, cluster_seq, uid)
    return int(row[0]) if row is not None else 0


async def list_subjects_of(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, now: int
) -> list[tuple[str, str]]:
    """User name, and groups as a JSON array, of each current credential of a person in a cluster."""
    return [(row[0], row[1]) for row in await tx.fetch_all(_LIST_SUBJECTS, account_id, uid, cluster_seq, now)]
