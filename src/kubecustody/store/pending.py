"""Issues through a cluster that were begun and whose end is not known yet."""

from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class PendingIssue(NamedTuple):
    """A certificate that a cluster was, or is to be, asked for. csr: PEM; times in unix seconds."""

    cn: str
    uid: str
    signer_no: int
    csr: str
    sealed_key: bytes
    life_seconds: int
    temporary_minutes: int | None
    begun_at: int


_ADD = statement("add_pending_issue")
_FIND = statement("find_pending_issue")
_LIST = statement("list_pending_issues")
_DROP = statement("drop_pending_issue")
_LIST_SEALED = statement("list_sealed_pending_keys")
_SET_SEALED = statement("set_sealed_pending_key")


async def add_pending(tx: Transaction, account_id: str, cluster_seq: int, pending: PendingIssue) -> None:
    """Record an issue that is begun."""
    await tx.execute(_ADD, account_id, cluster_seq, *pending)


async def find_pending(tx: Transaction, account_id: str, cluster_seq: int, cn: str) -> PendingIssue | None:
    """The issue of this user name, if its end is not known yet."""
    row = await tx.fetch_one(_FIND, account_id, cluster_seq, cn)
    return None if row is None else PendingIssue._make(row)


async def list_pending(tx: Transaction, account_id: str, cluster_seq: int) -> list[PendingIssue]:
    """Every issue in a cluster whose end is not known yet."""
    return [PendingIssue._make(row) for row in await tx.fetch_all(_LIST, account_id, cluster_seq)]


async def drop_pending(tx: Transaction, account_id: str, cluster_seq: int, cn: str) -> None:
    """The end of an issue is known."""
    await tx.execute(_DROP, account_id, cluster_seq, cn)


async def list_sealed_pending(tx: Transaction, account_id: str) -> list[tuple[int, str, bytes]]:
    """Cluster, user name and sealed key of every pending issue of the account."""
    return [(row[0], row[1], row[2]) for row in await tx.fetch_all(_LIST_SEALED, account_id)]


async def set_sealed_pending(tx: Transaction, account_id: str, cluster_seq: int, cn: str, sealed: bytes) -> None:
    """Replace the sealed form of a pending issue's key."""
    await tx.execute(_SET_SEALED, account_id, cluster_seq, cn, sealed)
