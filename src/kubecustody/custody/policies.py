"""Policies: storing them, and attaching them."""

from typing import NamedTuple

from kubecustody.catalogue.policies import builtin_documents, builtin_policies
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind, check_policy_name, fold_name
from kubecustody.core.policy_documents import parse_policy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import get_group, get_named
from kubecustody.store import principals
from kubecustody.store.principals import Attachment
from kubecustody.store.transactions import Transaction

_SYSTEM, _CUSTOM = "System", "Custom"


class ListedPolicy(NamedTuple):
    """A policy as it is listed. changed_at is None for a built-in one."""

    name: str
    policy_type: str
    changed_at: int | None
    attachments: int


async def put_policy(custody: Custody, account_id: str, author: Author, now: float, name: str, document: str) -> None:
    """Store a policy of the account's own, or replace it. Raises PolicyRefused with every fault of the document."""
    check_policy_name(name)
    folded = fold_name(name)
    if folded in builtin_policies():
        raise OperatorError(f"{name} is built in; give yours another name.")
    parse_policy(document)

    async def work(unit: Change) -> None:
        before = await principals.find_policy(unit.tx, account_id, folded)
        if before is not None and before.deleted_at is None and before.document == document:
            return
        await principals.set_policy(unit.tx, account_id, folded, name, document, unit.at)
        unit.record("policy_stored", subject=f"policy/{folded}", details={"document": document})
        unit.touch_permissions()

    await change(custody.store, account_id, author, now, work)


async def delete_policy(custody: Custody, account_id: str, author: Author, now: float, name: str) -> None:
    """Delete a policy that is attached to nobody."""

    async def work(unit: Change) -> None:
        policy_type, folded = await _get_policy(unit.tx, account_id, name)
        if policy_type == _SYSTEM:
            raise OperatorError(f"{name} is built in and cannot be deleted.")
        attached = await principals.count_attachments(unit.tx, account_id, policy_type, folded)
        if attached:
            raise OperatorError(f"{name} is attached to {attached} users, roles or groups; detach it first.")
        await principals.delete_policy(unit.tx, account_id, folded, unit.at)
        unit.record("policy_deleted", subject=f"policy/{folded}")
        unit.touch_permissions()

    await change(custody.store, account_id, author, now, work)


async def set_attachment(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    name: str,
    *,
    attached: bool,
    user: str | None = None,
    group: str | None = None,
) -> bool:
    """Attach a policy to a user, role or group, or detach it; whether that changed anything."""

    async def work(unit: Change) -> bool:
        policy_type, folded = await _get_policy(unit.tx, account_id, name)
        kind, target = await _target(unit.tx, account_id, user, group)
        attachment = Attachment(kind, target, policy_type, folded)
        if attached:
            changed = await principals.attach_policy(unit.tx, account_id, attachment, unit.at)
        else:
            changed = await principals.detach_policy(unit.tx, account_id, attachment)
        if changed:
            unit.record(
                "policy_attached" if attached else "policy_detached",
                uid=target if kind == "principal" else "",
                subject=f"policy/{folded}",
                details={"target": f"{kind}/{target}", "type": policy_type},
            )
            unit.touch_permissions()
        return changed

    return await change(custody.store, account_id, author, now, work)


async def _target(tx: Transaction, account_id: str, user: str | None, group: str | None) -> tuple[str, str]:
    if (user is None) == (group is None):
        raise OperatorError("Say either a user or role, or a group.")
    if group is not None:
        return "group", await get_group(tx, account_id, group)
    principal = await get_named(tx, account_id, user or "")
    if principal.deleted_at is not None:
        raise OperatorError(f"{user} is deleted.")
    if principal.kind == PrincipalKind.ACCOUNT:
        raise OperatorError("The account may do everything; no policy is attached to it.")
    return "principal", principal.uid


async def _get_policy(tx: Transaction, account_id: str, name: str) -> tuple[str, str]:
    """Type and folded name of a policy. Raises OperatorError."""
    folded = fold_name(name)
    if folded in builtin_policies():
        return _SYSTEM, folded
    found = await principals.find_policy(tx, account_id, folded)
    if found is None or found.deleted_at is not None:
        raise OperatorError(f"There is no policy {name!r}. `kubecustody admin policies list` shows them.")
    return _CUSTOM, folded


async def get_document(custody: Custody, account_id: str, name: str) -> str:
    """The document of a policy, built in or the account's own. Raises OperatorError."""
    for builtin, document in builtin_documents().items():
        if fold_name(builtin) == fold_name(name):
            return document

    async def work(tx: Transaction) -> str:
        found = await principals.find_policy(tx, account_id, fold_name(name))
        if found is None or found.deleted_at is not None:
            raise OperatorError(f"There is no policy {name!r}. `kubecustody admin policies list` shows them.")
        return found.document

    return await custody.store.read(work)


async def list_policies(custody: Custody, account_id: str) -> list[ListedPolicy]:
    """The built-in policies, then the account's own."""

    async def work(tx: Transaction) -> list[ListedPolicy]:
        listed = [
            ListedPolicy(
                policy.name, _SYSTEM, None, await principals.count_attachments(tx, account_id, _SYSTEM, folded)
            )
            for folded, policy in builtin_policies().items()
        ]
        own = await principals.list_policies(tx, account_id)
        return listed + [ListedPolicy(name, _CUSTOM, changed_at, count) for name, changed_at, count in own]

    return await custody.store.read(work)
