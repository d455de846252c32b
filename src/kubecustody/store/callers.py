"""Who holds an access key, and which policies speak of them."""

from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction

_FIND_KEY_HOLDER = statement("find_key_holder")
_FIND_SESSION_HOLDER = statement("find_session_holder")
_LIST_POLICIES_OF_PRINCIPAL = statement("list_policies_of_principal")


class KeyHolder(NamedTuple):
    """An access key, its holder and the account, as they stand in this snapshot. A temporary key has no sealed secret
    here; sessions_from: those that began before it were ended.
    """

    account_id: str
    uid: str
    kind: str
    sealed_secret: bytes | None
    key_disabled_at: int | None
    key_deleted_at: int | None
    holder_disabled_at: int | None
    holder_deleted_at: int | None
    region_id: str
    iam_version: int
    cluster_count: int
    last_cluster_seq: int
    account_closed_at: int | None
    delegated_admin: int
    sessions_from: int | None


class AttachedPolicy(NamedTuple):
    """A policy attached to a principal or to a group of theirs; document is None for a System policy."""

    policy_type: str
    name_folded: str
    name: str | None
    document: str | None


async def find_key_holder(tx: Transaction, access_key_id: str) -> KeyHolder | None:
    """The key and all that decides about its use; None for an id that never was."""
    row = await tx.fetch_one(_FIND_KEY_HOLDER, access_key_id)
    return KeyHolder._make(row) if row is not None else None


async def find_session_holder(tx: Transaction, account_id: str, uid: str) -> KeyHolder | None:
    """The role of a session and its account."""
    row = await tx.fetch_one(_FIND_SESSION_HOLDER, account_id, uid)
    return KeyHolder._make(row) if row is not None else None


async def list_policies_of(tx: Transaction, account_id: str, uid: str) -> list[AttachedPolicy]:
    """Every policy attached to the principal, or to a group that they are in."""
    rows = await tx.fetch_all(_LIST_POLICIES_OF_PRINCIPAL, account_id, uid)
    return [AttachedPolicy._make(row) for row in rows]
