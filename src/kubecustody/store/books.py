"""What the store counts and adds up beside its facts, for the look whether both agree."""

from collections.abc import Mapping
from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Counts(NamedTuple):
    """What an account's row counts."""

    clusters: int
    last_cluster_seq: int
    last_credential_no: int


Node = tuple[int, int]  # level and index

_LOOKED_BACK = 1000

_LIST_CLUSTERS = statement("list_every_cluster")
_LIST_NODES = statement("list_every_node")
_DROP_NODES = statement("drop_nodes")
_ADD_NODE = statement("add_node")
_FIND_COUNTS = statement("find_counts")
_LAST_CLUSTER = statement("find_last_cluster")
_LAST_PURGED = statement("find_last_purged_cluster")
_LAST_CREDENTIAL = statement("find_last_credential")
_SET_CLUSTER_COUNTS = statement("set_cluster_counts")
_LIST_TIMES = statement("list_newest_event_times")


async def list_every_cluster(tx: Transaction, account_id: str) -> list[tuple[int, int]]:
    """Number and trust epoch of every cluster, found without what is counted."""
    return [(row[0], row[1]) for row in await tx.fetch_all(_LIST_CLUSTERS, account_id)]


async def list_every_node(tx: Transaction, account_id: str) -> dict[Node, int]:
    """The counted tree, but for what is 0."""
    return {(row[0], row[1]): row[2] for row in await tx.fetch_all(_LIST_NODES, account_id)}


async def replace_nodes(tx: Transaction, account_id: str, nodes: Mapping[Node, int]) -> None:
    """Put another counted tree in place."""
    await tx.execute(_DROP_NODES, account_id)
    await tx.execute_many(_ADD_NODE, [(account_id, level, index, count) for (level, index), count in nodes.items()])


async def find_counts(tx: Transaction, account_id: str) -> Counts | None:
    """What the account's row counts."""
    row = await tx.fetch_one(_FIND_COUNTS, account_id)
    return Counts._make(row) if row is not None else None


async def find_last_numbers(tx: Transaction, account_id: str) -> tuple[int, int]:
    """The highest number that a cluster has or had, and that of a credential."""
    found = [await tx.fetch_one(one, account_id) for one in (_LAST_CLUSTER, _LAST_PURGED, _LAST_CREDENTIAL)]
    cluster, purged, credential = (int(row[0] or 0) if row is not None else 0 for row in found)
    return max(cluster, purged), credential


async def set_cluster_counts(tx: Transaction, account_id: str, counts: Counts) -> None:
    """Put other counts of clusters in place; the number of the last credential is the unit of work's to write."""
    await tx.execute(_SET_CLUSTER_COUNTS, account_id, counts.clusters, counts.last_cluster_seq)


async def find_newest_event_time(tx: Transaction, account_id: str) -> int | None:
    """The latest time (unix seconds) at which one of the last events was recorded."""
    times = [row[0] for row in await tx.fetch_all(_LIST_TIMES, account_id, _LOOKED_BACK)]
    return max(times) // 1000 if times else None
