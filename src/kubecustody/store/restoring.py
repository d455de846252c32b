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


_LIST = statement("list_restorable")
_FIND = statement("find_restorable")
_COUNT_SINCE = statement("count_issued_since")
_LIST_DROPPED_AT = statement("list_grants_dropped_at")
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


async def forget_evidence(tx: Transaction, account_id: str, credential_no: int) -> None:
    """Forget what was known of a credential's removal."""
    await tx.execute(_FORGET_EVIDENCE, account_id, credential_no)
