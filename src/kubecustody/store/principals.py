"""Principals, their names, groups, policies and access keys."""

from collections.abc import Iterable
from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Principal(NamedTuple):
    """An account, user or role. name and display_name are None where there is none (any more)."""

    uid: str
    kind: str
    created_at: int
    disabled_at: int | None
    deleted_at: int | None
    name: str | None
    display_name: str | None
    delegated_admin: int
    email_folded: str | None


class Group(NamedTuple):
    """A group of users and roles."""

    name_folded: str
    name: str
    created_at: int
    deleted_at: int | None


class StoredPolicy(NamedTuple):
    """A policy of the account's own."""

    name: str
    document: str
    created_at: int
    changed_at: int
    deleted_at: int | None


class AccessKey(NamedTuple):
    """An access key without its secret. used_at: when it last signed a request, to the minute; None: never."""

    access_key_id: str
    uid: str
    created_at: int
    disabled_at: int | None
    deleted_at: int | None
    used_at: int | None

    @property
    def is_active(self) -> bool:
        """Whether it is neither disabled nor deleted."""
        return self.disabled_at is None and self.deleted_at is None


class Attachment(NamedTuple):
    """A policy attached to a principal (target: uid) or a group (target: folded name)."""

    target_kind: str
    target: str
    policy_type: str
    policy_folded: str


_ADD_PRINCIPAL = statement("add_principal")
_FIND_PRINCIPAL = statement("find_principal")
_FIND_PRINCIPAL_BY_NAME = statement("find_principal_by_name")
_LIST_PRINCIPALS_AFTER = statement("list_principals_after")
_SET_PRINCIPAL_DISABLED = statement("set_principal_disabled")
_SET_DELEGATED_ADMIN = statement("set_delegated_admin")
_SET_SESSIONS_FROM = statement("set_sessions_from")
_SET_PRINCIPAL_DELETED = statement("set_principal_deleted")
_ADD_PERSONAL_NAME = statement("add_personal_name")
_ADD_GROUP = statement("add_group")
_FIND_GROUP = statement("find_group")
_LIST_GROUPS = statement("list_groups")
_SET_GROUP_DELETED = statement("set_group_deleted")
_DROP_GROUP_MEMBERS = statement("drop_group_members")
_ADD_GROUP_MEMBER = statement("add_group_member")
_DROP_GROUP_MEMBER = statement("drop_group_member")
_DROP_MEMBERSHIPS_OF = statement("drop_memberships_of")
_SET_POLICY = statement("set_policy")
_FIND_POLICY = statement("find_policy")
_LIST_POLICIES = statement("list_policies")
_SET_POLICY_DELETED = statement("set_policy_deleted")
_COUNT_ATTACHMENTS = statement("count_attachments_of_policy")
_ATTACH_POLICY = statement("attach_policy")
_DETACH_POLICY = statement("detach_policy")
_DETACH_POLICIES_OF = statement("detach_policies_of")
_ADD_KEY_TO_DIRECTORY = statement("add_access_key_to_directory")
_ADD_KEY = statement("add_access_key")
_FIND_KEY = statement("find_access_key")
_LIST_KEYS_OF = statement("list_access_keys_of")
_LIST_KEYS = statement("list_access_keys")
_NOTE_KEY_USE = statement("note_access_key_use")
_SET_KEY_DISABLED = statement("set_access_key_disabled")
_SET_KEY_DELETED = statement("set_access_key_deleted")
_SET_KEYS_OF_DELETED = statement("set_access_keys_of_deleted")
_LIST_SEALED_KEYS = statement("list_sealed_access_keys")
_SET_SEALED_SECRET = statement("set_sealed_secret")


async def add_principal(tx: Transaction, account_id: str, uid: str, kind: str, now: int) -> None:
    """Record a principal. AlreadyThere where the uid was ever used."""
    await tx.execute(_ADD_PRINCIPAL, account_id, uid, kind, now)


async def add_personal_name(
    tx: Transaction, account_id: str, uid: str, name: str, folded: str, display_name: str, email_folded: str | None
) -> None:
    """Name a principal. AlreadyThere where the account has the name or e-mail address already."""
    await tx.execute(_ADD_PERSONAL_NAME, account_id, uid, name, folded, display_name, email_folded)


async def find_principal(tx: Transaction, account_id: str, uid: str) -> Principal | None:
    """The principal of this uid, deleted or not."""
    row = await tx.fetch_one(_FIND_PRINCIPAL, account_id, uid)
    return Principal._make(row) if row is not None else None


async def find_principal_by_name(tx: Transaction, account_id: str, folded: str) -> Principal | None:
    """The principal of this name or e-mail address, in folded form."""
    row = await tx.fetch_one(_FIND_PRINCIPAL_BY_NAME, account_id, folded)
    return Principal._make(row) if row is not None else None


async def list_principals(tx: Transaction, account_id: str, kind: str, after_uid: str, at_most: int) -> list[Principal]:
    """At most `at_most` principals of this kind behind that uid, by uid, deleted ones included."""
    rows = await tx.fetch_all(_LIST_PRINCIPALS_AFTER, account_id, kind, after_uid, at_most)
    return [Principal._make(row) for row in rows]


async def set_principal_disabled(tx: Transaction, account_id: str, uid: str, disabled_at: int | None) -> None:
    """Disable or, with None, enable a principal."""
    await tx.execute(_SET_PRINCIPAL_DISABLED, account_id, uid, disabled_at)


async def set_delegated_admin(tx: Transaction, account_id: str, uid: str, *, on: bool) -> None:
    """Say whether the account delegates calls that only it may make to this principal."""
    await tx.execute(_SET_DELEGATED_ADMIN, account_id, uid, int(on))


async def set_sessions_from(tx: Transaction, account_id: str, uid: str, sessions_from: int) -> None:
    """End the role's sessions that began before this moment."""
    await tx.execute(_SET_SESSIONS_FROM, account_id, uid, sessions_from)


async def delete_principal(tx: Transaction, account_id: str, uid: str, now: int) -> None:
    """Leave a tombstone: keys deleted, memberships and attachments gone, the uid and what it held kept."""
    await tx.execute(_SET_PRINCIPAL_DELETED, account_id, uid, now)
    await tx.execute(_SET_KEYS_OF_DELETED, account_id, uid, now)
    await tx.execute(_DROP_MEMBERSHIPS_OF, account_id, uid)
    await tx.execute(_DETACH_POLICIES_OF, account_id, "principal", uid)


async def add_group(tx: Transaction, account_id: str, folded: str, name: str, now: int) -> None:
    """Record a group. AlreadyThere where the name was ever used."""
    await tx.execute(_ADD_GROUP, account_id, folded, name, now)


async def find_group(tx: Transaction, account_id: str, folded: str) -> Group | None:
    """The group of this folded name, deleted or not."""
    row = await tx.fetch_one(_FIND_GROUP, account_id, folded)
    return Group._make(row) if row is not None else None


async def list_groups(tx: Transaction, account_id: str) -> list[tuple[str, int, int]]:
    """Name, created_at and number of members of every group, by name."""
    return [(row[0], row[1], row[2]) for row in await tx.fetch_all(_LIST_GROUPS, account_id)]


async def delete_group(tx: Transaction, account_id: str, folded: str, now: int) -> None:
    """Leave a tombstone of the group; its members and attachments are gone."""
    await tx.execute(_SET_GROUP_DELETED, account_id, folded, now)
    await tx.execute(_DROP_GROUP_MEMBERS, account_id, folded)
    await tx.execute(_DETACH_POLICIES_OF, account_id, "group", folded)


async def add_group_member(tx: Transaction, account_id: str, uid: str, folded: str, now: int) -> bool:
    """Whether the principal was not in the group before."""
    return await tx.execute(_ADD_GROUP_MEMBER, account_id, uid, folded, now) > 0


async def drop_group_member(tx: Transaction, account_id: str, uid: str, folded: str) -> bool:
    """Whether the principal was in the group."""
    return await tx.execute(_DROP_GROUP_MEMBER, account_id, uid, folded) > 0


async def set_policy(tx: Transaction, account_id: str, folded: str, name: str, document: str, now: int) -> None:
    """Store a policy, or replace the document of one."""
    await tx.execute(_SET_POLICY, account_id, folded, name, document, now, now)


async def find_policy(tx: Transaction, account_id: str, folded: str) -> StoredPolicy | None:
    """The account's own policy of this folded name, deleted or not."""
    row = await tx.fetch_one(_FIND_POLICY, account_id, folded)
    return StoredPolicy._make(row) if row is not None else None


async def list_policies(tx: Transaction, account_id: str) -> list[tuple[str, int, int]]:
    """Name, changed_at and number of attachments of each of the account's own policies, by name."""
    return [(row[0], row[1], row[2]) for row in await tx.fetch_all(_LIST_POLICIES, account_id)]


async def delete_policy(tx: Transaction, account_id: str, folded: str, now: int) -> None:
    """Leave a tombstone of a policy."""
    await tx.execute(_SET_POLICY_DELETED, account_id, folded, now)


async def count_attachments(tx: Transaction, account_id: str, policy_type: str, folded: str) -> int:
    """To how many principals and groups a policy is attached."""
    row = await tx.fetch_one(_COUNT_ATTACHMENTS, account_id, policy_type, folded)
    return int(row[0]) if row is not None else 0


async def attach_policy(tx: Transaction, account_id: str, attachment: Attachment, now: int) -> bool:
    """Whether it was not attached before."""
    return await tx.execute(_ATTACH_POLICY, account_id, *attachment, now) > 0


async def detach_policy(tx: Transaction, account_id: str, attachment: Attachment) -> bool:
    """Whether it was attached."""
    return await tx.execute(_DETACH_POLICY, account_id, *attachment) > 0


async def add_access_key(
    tx: Transaction, account_id: str, access_key_id: str, uid: str, sealed_secret: bytes, now: int
) -> None:
    """Record an access key. AlreadyThere where any account ever had this id."""
    await tx.execute(_ADD_KEY_TO_DIRECTORY, access_key_id, account_id)
    await tx.execute(_ADD_KEY, account_id, access_key_id, uid, sealed_secret, now)


async def find_access_key(tx: Transaction, account_id: str, access_key_id: str) -> AccessKey | None:
    """The access key of this id, deleted or not."""
    row = await tx.fetch_one(_FIND_KEY, account_id, access_key_id)
    return AccessKey._make(row) if row is not None else None


async def list_access_keys(tx: Transaction, account_id: str, uid: str | None) -> list[AccessKey]:
    """The access keys of one principal, deleted ones too, or with None all of the account that are not deleted."""
    if uid is None:
        rows = await tx.fetch_all(_LIST_KEYS, account_id)
    else:
        rows = await tx.fetch_all(_LIST_KEYS_OF, account_id, uid)
    return [AccessKey._make(row) for row in rows]


async def note_access_key_uses(tx: Transaction, uses: Iterable[tuple[str, str, int]]) -> None:
    """Record when keys last signed a request, as (account_id, access_key_id, unix seconds); a newer use stays."""
    await tx.execute_many(_NOTE_KEY_USE, uses)


async def set_access_key_disabled(
    tx: Transaction, account_id: str, access_key_id: str, disabled_at: int | None
) -> None:
    """Disable or, with None, enable an access key."""
    await tx.execute(_SET_KEY_DISABLED, account_id, access_key_id, disabled_at)


async def set_access_key_deleted(tx: Transaction, account_id: str, access_key_id: str, now: int) -> None:
    """Leave a tombstone of an access key."""
    await tx.execute(_SET_KEY_DELETED, account_id, access_key_id, now)


async def list_sealed_access_keys(tx: Transaction, account_id: str) -> list[tuple[str, bytes]]:
    """Id and sealed secret of every access key of the account."""
    return [(row[0], row[1]) for row in await tx.fetch_all(_LIST_SEALED_KEYS, account_id)]


async def set_sealed_secret(tx: Transaction, account_id: str, access_key_id: str, sealed: bytes) -> None:
    """Replace the sealed form of a secret."""
    await tx.execute(_SET_SEALED_SECRET, account_id, access_key_id, sealed)
