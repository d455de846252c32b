"""What was removed and may come back."""

from typing import NamedTuple

from kubecustody.store.grants import StoredGrant
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Restorable(NamedTuple):
    """A credential whose removal was asked for, or was not, with what decides whether it may come back."""

    credential_no: int
    cluster_seq: int
    uid: str
    cn: str
    fingerprint: bytes | None
    removal_requested_at: int | None
    not_after: int | None
    vouched_until: int | None
    trust_epoch: int
    issued_at: int
    compromised_at: int | None
    holders_key: int
    origin: str
    cluster_id: str
    cluster_name: str
    cluster_trust_epoch: int
    cluster_state: str
    holder_deleted_at: int | None
    holder_disabled_at: int | None
    key_kept: int


class Removed(NamedTuple):
    """One thing that a removal took, by its event: a credential, or permissions in a cluster (0: in every one)."""

    kind: str
    cluster_seq: int
    subject: str
    at: int


REQUESTED, CLEANED = "removal_requested", "permissions_cleaned"

_LIST = statement("list_restorable")
_FIND = statement("find_restorable")
_COUNT_SINCE = statement("count_issued_since")
_LIST_DROPPED_AT = statement("list_grants_dropped_at")
_LIST_BETWEEN = statement("list_removed_between")
_LIST_DROPPED_BETWEEN = statement("list_grants_dropped_between")
_LIST_REMOVED_IN = statement("list_removed_in")
_FORGET_EVIDENCE = statement("forget_evidence")


async def list_restorable(
    tx: Transaction, account_id: str, uid: str, since: int, now: int, at_most: int
) -> list[Restorable]:
    """The credentials whose removal was asked for since then and that have not ended, the newest removal first.

    uid: "" for everybody's.
    """
    rows = await tx.fetch_all(_LIST, account_id, uid, since, now, at_most)
    return [Restorable._make(row) for row in rows]


async def find_restorable(tx: Transaction, account_id: str, credential_no: int) -> Restorable | None:
    """A credential with what decides whether it may come back."""
    row = await tx.fetch_one(_FIND, account_id, credential_no)
    return None if row is None else Restorable._make(row)


async def count_issued_since(tx: Transaction, account_id: str, one: Restorable, now: int) -> int:
    """How many current credentials the holder of one was issued in its cluster since its removal was asked for."""
    since = one.removal_requested_at or 0
    row = await tx.fetch_one(_COUNT_SINCE, account_id, one.uid, one.cluster_seq, one.credential_no, since, now)
    return int(row[0]) if row is not None else 0


async def list_grants_dropped_at(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, at: int
) -> list[StoredGrant]:
    """What a person was permitted in a cluster and lost at that time, and not again since."""
    rows = await tx.fetch_all(_LIST_DROPPED_AT, account_id, uid, cluster_seq, at)
    return [StoredGrant._make(row) for row in rows]


async def list_removed_between(tx: Transaction, account_id: str, uid: str, since: int, until: int) -> list[Restorable]:
    """The credentials of a person whose removal was asked for in a time, both ends included, by cluster."""
    rows = await tx.fetch_all(_LIST_BETWEEN, account_id, uid, since, until)
    return [Restorable._make(row) for row in rows]


async def list_grants_dropped_between(
    tx: Transaction, account_id: str, uid: str, since: int, until: int
) -> list[tuple[int, StoredGrant]]:
    """What a person lost in a time, both ends included, and not again since; each with when."""
    rows = await tx.fetch_all(_LIST_DROPPED_BETWEEN, account_id, uid, since, until)
    return [(row[0], StoredGrant._make(row[1:])) for row in rows]


async def list_removed_in(
    tx: Transaction, account_id: str, uid: str, request_id: str, since: int, until: int
) -> list[Removed]:
    """What removals took from a person in a time, both ends included. request_id: "" for those of any request."""
    rows = await tx.fetch_all(_LIST_REMOVED_IN, account_id, uid, request_id, since, until)
    return [Removed._make(row) for row in rows]


async def forget_evidence(tx: Transaction, account_id: str, credential_no: int) -> None:
    """Forget what was known of a credential's removal."""
    await tx.execute(_FORGET_EVIDENCE, account_id, credential_no)
