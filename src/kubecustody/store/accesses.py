"""Our own access to clusters, and what was seen through it."""

from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class StoredAccess(NamedTuple):
    """How a cluster is reached: kind token or certificate; sealed: what `cluster.access.dump_access` wrote."""

    kind: str
    sealed: bytes
    expires_at: int | None


class ReachedCluster(NamedTuple):
    """A cluster that can be reached."""

    seq: int
    cluster_id: str
    name: str
    mode: str


class Reach(NamedTuple):
    """How far a cluster is in hand. mode: none, observe or manage; declared_api_servers: None for what it says itself;
    kube_system_uid: who it is, None before the first contact.
    """

    mode: str
    declared_api_servers: int | None
    kubernetes_version: str | None
    kube_system_uid: str | None


_SET_ACCESS = statement("set_cluster_access")
_FIND_ACCESS = statement("find_cluster_access")
_FIND_FAULT = statement("find_renewal_fault")
_SET_FAULT = statement("set_renewal_fault")
_DROP_ACCESS = statement("drop_cluster_access")
_LIST_REACHED = statement("list_reached_clusters")
_LIST_SEALED = statement("list_sealed_accesses")
_SET_SEALED = statement("set_sealed_access")
_FIND_REACH = statement("find_reach")
_SET_REACH = statement("set_reach")
_FIND_BY_IDENTITY = statement("find_cluster_by_kube_system")
_SET_OBSERVATION = statement("set_observation")
_SET_SEEN_STATE = statement("set_seen_state")


async def set_access(tx: Transaction, account_id: str, cluster_seq: int, access: StoredAccess, now: int) -> None:
    """Record or replace how a cluster is reached."""
    await tx.execute(_SET_ACCESS, account_id, cluster_seq, *access, now)


async def find_access(tx: Transaction, account_id: str, cluster_seq: int) -> StoredAccess | None:
    """How a cluster is reached; None where it is not."""
    row = await tx.fetch_one(_FIND_ACCESS, account_id, cluster_seq)
    return None if row is None else StoredAccess._make(row)


async def find_renewal_fault(tx: Transaction, account_id: str, cluster_seq: int) -> str | None:
    """Why this access could not be renewed; None where that never failed."""
    row = await tx.fetch_one(_FIND_FAULT, account_id, cluster_seq)
    return None if row is None else row[0]


async def set_renewal_fault(tx: Transaction, account_id: str, cluster_seq: int, fault: str, now: int) -> None:
    """Record why this access cannot be renewed: another one begins without a fault."""
    await tx.execute(_SET_FAULT, account_id, cluster_seq, fault, now)


async def drop_access(tx: Transaction, account_id: str, cluster_seq: int) -> None:
    """Forget how a cluster is reached."""
    await tx.execute(_DROP_ACCESS, account_id, cluster_seq)


async def list_reached(tx: Transaction, account_id: str) -> list[ReachedCluster]:
    """Every cluster of the account that can be reached and was not deleted, by seq."""
    return [ReachedCluster._make(row) for row in await tx.fetch_all(_LIST_REACHED, account_id)]


async def list_sealed_accesses(tx: Transaction, account_id: str) -> list[tuple[int, bytes]]:
    """Cluster and sealed access of every cluster of the account that can be reached."""
    return [(row[0], row[1]) for row in await tx.fetch_all(_LIST_SEALED, account_id)]


async def set_sealed_access(tx: Transaction, account_id: str, cluster_seq: int, sealed: bytes) -> None:
    """Replace the sealed form of an access."""
    await tx.execute(_SET_SEALED, account_id, cluster_seq, sealed)


async def find_reach(tx: Transaction, account_id: str, cluster_seq: int) -> Reach:
    """How far a cluster is in hand."""
    row = await tx.fetch_one(_FIND_REACH, account_id, cluster_seq)
    return Reach("none", None, None, None) if row is None else Reach._make(row)


async def set_reach(tx: Transaction, account_id: str, cluster_seq: int, reach: Reach) -> None:
    """Record how far a cluster is in hand."""
    await tx.execute(_SET_REACH, account_id, cluster_seq, *reach)


async def find_by_identity(tx: Transaction, account_id: str, kube_system_uid: str) -> tuple[str, str] | None:
    """Id and name of the account's cluster that has this identity."""
    row = await tx.fetch_one(_FIND_BY_IDENTITY, account_id, kube_system_uid)
    return None if row is None else (row[0], row[1])


async def set_observation(
    tx: Transaction,
    account_id: str,
    cluster_seq: int,
    now: int,
    *,
    reachable: bool,
    clock_skew_seconds: int | None = None,
) -> None:
    """Record that a cluster was looked at, whether it answered, and by how much its clock was ahead."""
    reached_at, skew = (now, clock_skew_seconds) if reachable else (None, None)
    await tx.execute(_SET_OBSERVATION, account_id, cluster_seq, int(reachable), now, reached_at, skew)


async def set_seen_state(tx: Transaction, account_id: str, seq: int, state: str) -> None:
    """Record the state that a cluster was seen in."""
    await tx.execute(_SET_SEEN_STATE, account_id, seq, state)
