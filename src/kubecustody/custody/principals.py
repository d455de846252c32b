"""Users, roles and groups of an account, and their access keys."""

from collections.abc import Sequence
from typing import NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind, check_email, check_logon_name, fold_name, is_uid
from kubecustody.core.people import PeopleRefused, Person
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody, random_digits, random_letters, seal_access_key_secret
from kubecustody.store import principals
from kubecustody.store.errors import AlreadyThere
from kubecustody.store.installation import find_account
from kubecustody.store.principals import AccessKey, Principal
from kubecustody.store.transactions import Transaction

_FIRST_DIGIT = {PrincipalKind.USER: "2", PrincipalKind.ROLE: "3"}
_LISTED_AT_ONCE = 500


class ImportedUser(NamedTuple):
    """A person of a file, and their uid; known: they were a user before. Before they are added the uid may be ""."""

    person: Person
    uid: str
    known: bool


class NewAccessKey(NamedTuple):
    """An access key with its secret, which is told this once."""

    access_key_id: str
    secret: str
    uid: str

    def __repr__(self) -> str:
        return f"NewAccessKey(access_key_id={self.access_key_id!r}, uid={self.uid!r})"


async def add_principal(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    *,
    kind: PrincipalKind,
    name: str,
    display_name: str = "",
    email: str | None = None,
    uid: str | None = None,
) -> str:
    """A new user or role; its uid (18 digits, the first 2 or 3, unless one is given)."""
    person = Person(0, name, display_name, email or "", uid or "")

    async def work(unit: Change) -> str:
        return await _add_principal(custody, unit, kind, person)

    return await change(custody.store, account_id, author, now, work)


async def add_principal_with_key(
    custody: Custody, account_id: str, author: Author, now: float, *, kind: PrincipalKind, person: Person
) -> NewAccessKey:
    """A new user or role with an access key: both or neither."""

    async def work(unit: Change) -> NewAccessKey:
        return await _add_access_key(custody, unit, await _add_principal(custody, unit, kind, person))

    return await change(custody.store, account_id, author, now, work)


async def import_users(
    custody: Custody, account_id: str, author: Author, now: float, people: Sequence[Person]
) -> list[ImportedUser]:
    """Add every one of these who is not a user already, all in one change. Raises PeopleRefused naming every fault."""

    async def work(unit: Change) -> list[ImportedUser]:
        return [
            user if user.known else user._replace(uid=await _add_principal(custody, unit, PrincipalKind.USER, person))
            for user, person in zip(await _compare(unit.tx, account_id, people), people, strict=True)
        ]

    return await change(custody.store, account_id, author, now, work)


async def check_import(custody: Custody, account_id: str, people: Sequence[Person]) -> list[ImportedUser]:
    """What `import_users` would do. Raises PeopleRefused."""
    return await custody.store.read(lambda tx: _compare(tx, account_id, people))


async def _compare(tx: Transaction, account_id: str, people: Sequence[Person]) -> list[ImportedUser]:
    """Who of these is a user already. Raises PeopleRefused where what is there stands against it."""
    users, faults = [], []
    for person in people:
        found = await _find_all(tx, account_id, person)
        same = found[0] if len(found) == 1 else None
        if same is not None and same.kind == PrincipalKind.USER and _is_same(same, person):
            users.append(ImportedUser(person, same.uid, known=True))
        elif found:
            there = "; ".join(f"{one.name} ({one.uid}{', deleted' if one.deleted_at else ''})" for one in found)
            faults.append(f"Line {person.line}: {person.name}: its name, e-mail or uid is that of {there}.")
        else:
            users.append(ImportedUser(person, person.uid, known=False))
    if faults:
        raise PeopleRefused(faults)
    return users


async def _find_all(tx: Transaction, account_id: str, person: Person) -> list[Principal]:
    """Every principal, deleted or not, that has the name, e-mail or uid of this person."""
    found = [await principals.find_principal_by_name(tx, account_id, fold_name(person.name))]
    if person.email:
        found.append(await principals.find_principal_by_name(tx, account_id, fold_name(person.email)))
    if person.uid:
        found.append(await principals.find_principal(tx, account_id, person.uid))
    return list({one.uid: one for one in found if one is not None}.values())


def _is_same(there: Principal, person: Person) -> bool:
    """Whether the user who is there is who the line says."""
    return (
        there.deleted_at is None
        and fold_name(there.name or "") == fold_name(person.name)
        and person.uid in ("", there.uid)
        and person.display_name in ("", there.display_name)
        and fold_name(person.email) in ("", there.email_folded)
    )


async def _add_principal(custody: Custody, unit: Change, kind: PrincipalKind, person: Person) -> str:
    """The uid of a new principal. Raises OperatorError."""
    check_logon_name(person.name)
    if person.email:
        check_email(person.email)
    uid = person.uid or _FIRST_DIGIT[kind] + random_digits(custody.random_bytes, 17)
    if not is_uid(uid):
        raise OperatorError(f"{uid!r} cannot be a uid: it must be 1 to 32 digits.")
    try:
        await principals.add_principal(unit.tx, unit.account_id, uid, kind, unit.at)
    except AlreadyThere as error:
        raise OperatorError(f"The uid {uid} was used before; uids are never used again.") from error
    try:
        await principals.add_personal_name(
            unit.tx,
            unit.account_id,
            uid,
            person.name,
            fold_name(person.name),
            person.display_name or person.name,
            fold_name(person.email) if person.email else None,
        )
    except AlreadyThere as error:
        raise OperatorError(
            f"The account has a user or role called {person.name} already, or one with that e-mail address."
        ) from error
    unit.record("principal_created", uid=uid, subject=f"principal/{uid}", details={"kind": kind})
    unit.touch_permissions()
    return uid


async def find_named(tx: Transaction, account_id: str, who: str) -> Principal | None:
    """The principal of this uid, name or e-mail address, deleted or not; the account by its name too."""
    if is_uid(who):
        return await principals.find_principal(tx, account_id, who)
    account = await find_account(tx, account_id)
    if account is not None and fold_name(account.name) == fold_name(who):
        return await principals.find_principal(tx, account_id, account_id)
    return await principals.find_principal_by_name(tx, account_id, fold_name(who))


async def get_named(tx: Transaction, account_id: str, who: str) -> Principal:
    """The principal of this uid, name or e-mail address, deleted or not. Raises OperatorError."""
    found = await find_named(tx, account_id, who)
    if found is None:
        raise OperatorError(f"There is no user or role {who!r}. `kubecustody admin users list` shows them.")
    return found


async def list_principals(custody: Custody, account_id: str, kind: PrincipalKind) -> list[Principal]:
    """Every principal of this kind by uid, deleted ones included."""

    async def work(tx: Transaction) -> list[Principal]:
        found: list[Principal] = []
        while page := await principals.list_principals(
            tx, account_id, kind, found[-1].uid if found else "", _LISTED_AT_ONCE
        ):
            found += page
        return found

    return await custody.store.read(work)


async def set_principal_disabled(
    custody: Custody, account_id: str, author: Author, now: float, who: str, *, disabled: bool
) -> str:
    """Disable a user or role (their keys are refused from the next request on), or enable one; the uid."""

    async def work(unit: Change) -> str:
        principal = await get_alive(unit.tx, account_id, who)
        if (principal.disabled_at is not None) != disabled:
            await principals.set_principal_disabled(unit.tx, account_id, principal.uid, unit.at if disabled else None)
            kind = "principal_disabled" if disabled else "principal_enabled"
            unit.record(kind, uid=principal.uid, subject=f"principal/{principal.uid}")
            unit.touch_permissions()
        return principal.uid

    return await change(custody.store, account_id, author, now, work)


async def set_delegated_admin(
    custody: Custody, account_id: str, author: Author, now: float, who: str, *, delegated: bool
) -> str:
    """Let a user or role make calls that only the account may, as far as a policy names them; the uid."""

    async def work(unit: Change) -> str:
        principal = await get_alive(unit.tx, account_id, who)
        if bool(principal.delegated_admin) != delegated:
            await principals.set_delegated_admin(unit.tx, account_id, principal.uid, on=delegated)
            unit.record("delegation_given" if delegated else "delegation_taken", uid=principal.uid)
            unit.touch_permissions()
        return principal.uid

    return await change(custody.store, account_id, author, now, work)


async def delete_principal(custody: Custody, account_id: str, author: Author, now: float, who: str) -> str:
    """Delete a user or role; the uid. Its keys go with it; what it holds on clusters stays listed and alive."""

    async def work(unit: Change) -> str:
        return await delete_within(unit, await get_alive(unit.tx, account_id, who))

    return await change(custody.store, account_id, author, now, work)


async def delete_within(unit: Change, principal: Principal) -> str:
    """The same, as a part of a larger change."""
    await principals.delete_principal(unit.tx, unit.account_id, principal.uid, unit.at)
    unit.record("principal_deleted", uid=principal.uid, subject=f"principal/{principal.uid}")
    unit.touch_permissions()
    return principal.uid


async def get_alive(tx: Transaction, account_id: str, who: str) -> Principal:
    """The user or role of this uid, name or e-mail address that is not deleted. Raises OperatorError."""
    principal = await get_named(tx, account_id, who)
    if principal.kind == PrincipalKind.ACCOUNT:
        raise OperatorError(f"{who} is the account itself, not a user or role.")
    if principal.deleted_at is not None:
        raise OperatorError(f"{who} is deleted already.")
    return principal


# --- groups


async def add_group(custody: Custody, account_id: str, author: Author, now: float, name: str) -> None:
    """A new group. Raises OperatorError where the name was ever used."""
    check_logon_name(name)

    async def work(unit: Change) -> None:
        try:
            await principals.add_group(unit.tx, account_id, fold_name(name), name, unit.at)
        except AlreadyThere as error:
            raise OperatorError(f"There is, or was, a group {name}; names of groups are never used again.") from error
        unit.record("group_created", subject=f"group/{fold_name(name)}")
        unit.touch_permissions()

    await change(custody.store, account_id, author, now, work)


async def delete_group(custody: Custody, account_id: str, author: Author, now: float, name: str) -> None:
    """Delete a group: nobody has its policies any more."""

    async def work(unit: Change) -> None:
        folded = await get_group(unit.tx, account_id, name)
        await principals.delete_group(unit.tx, account_id, folded, unit.at)
        unit.record("group_deleted", subject=f"group/{folded}")
        unit.touch_permissions()

    await change(custody.store, account_id, author, now, work)


async def set_membership(
    custody: Custody, account_id: str, author: Author, now: float, who: str, group: str, *, member: bool
) -> bool:
    """Put a user or role into a group, or take them out; whether that changed anything."""

    async def work(unit: Change) -> bool:
        principal = await get_alive(unit.tx, account_id, who)
        folded = await get_group(unit.tx, account_id, group)
        if member:
            changed = await principals.add_group_member(unit.tx, account_id, principal.uid, folded, unit.at)
        else:
            changed = await principals.drop_group_member(unit.tx, account_id, principal.uid, folded)
        if changed:
            kind = "group_member_added" if member else "group_member_removed"
            unit.record(kind, uid=principal.uid, subject=f"group/{folded}")
            unit.touch_permissions()
        return changed

    return await change(custody.store, account_id, author, now, work)


async def get_group(tx: Transaction, account_id: str, name: str) -> str:
    """The folded name of a group that is not deleted. Raises OperatorError."""
    group = await principals.find_group(tx, account_id, fold_name(name))
    if group is None or group.deleted_at is not None:
        raise OperatorError(f"There is no group {name!r}. `kubecustody admin groups list` shows them.")
    return group.name_folded


async def list_groups(custody: Custody, account_id: str) -> list[tuple[str, int, int]]:
    """Name, created_at and number of members of each group."""
    return await custody.store.read(lambda tx: principals.list_groups(tx, account_id))


# --- access keys


async def add_access_key(custody: Custody, account_id: str, author: Author, now: float, who: str) -> NewAccessKey:
    """A new access key for a user or role, or for the account itself."""

    async def work(unit: Change) -> NewAccessKey:
        principal = await get_named(unit.tx, account_id, who)
        if principal.deleted_at is not None:
            raise OperatorError(f"{who} is deleted; a deleted user gets no access key.")
        return await _add_access_key(custody, unit, principal.uid)

    return await change(custody.store, account_id, author, now, work)


async def rotate_access_key(
    custody: Custody, account_id: str, author: Author, now: float, access_key_id: str, *, disable_old: bool
) -> NewAccessKey:
    """Another access key for whoever holds this one, which goes on or is disabled in the same change."""

    async def work(unit: Change) -> NewAccessKey:
        old = await _get_key(unit.tx, account_id, access_key_id)
        new = await _add_access_key(custody, unit, old.uid, {"instead_of": access_key_id})
        if disable_old:
            await _set_disabled(unit, old, disabled=True)
        return new

    return await change(custody.store, account_id, author, now, work)


async def recover_account_key(
    custody: Custody, account_id: str, author: Author, now: float, *, disable_others: bool
) -> tuple[NewAccessKey, list[AccessKey]]:
    """A new access key of the account itself, and its others that were active, which go on or are disabled too."""

    async def work(unit: Change) -> tuple[NewAccessKey, list[AccessKey]]:
        others = [key for key in await principals.list_access_keys(unit.tx, account_id, account_id) if key.is_active]
        new = await _add_access_key(custody, unit, account_id)
        for key in others if disable_others else ():
            await _set_disabled(unit, key, disabled=True)
        return new, others

    return await change(custody.store, account_id, author, now, work)


async def _add_access_key(
    custody: Custody, unit: Change, uid: str, details: dict[str, str] | None = None
) -> NewAccessKey:
    access_key_id = "KC" + random_letters(custody.random_bytes, 22)
    secret = random_letters(custody.random_bytes, 40)
    sealed = seal_access_key_secret(custody.sealer, unit.account_id, access_key_id, secret.encode())
    await principals.add_access_key(unit.tx, unit.account_id, access_key_id, uid, sealed, unit.at)
    unit.record("access_key_created", uid=uid, subject=f"access-key/{access_key_id}", details=details)
    unit.touch_permissions()
    return NewAccessKey(access_key_id, secret, uid)


async def set_access_key_disabled(
    custody: Custody, account_id: str, author: Author, now: float, access_key_id: str, *, disabled: bool
) -> None:
    """Disable an access key (refused from the next request on), or enable it."""

    async def work(unit: Change) -> None:
        await _set_disabled(unit, await _get_key(unit.tx, account_id, access_key_id), disabled=disabled)

    await change(custody.store, account_id, author, now, work)


async def _set_disabled(unit: Change, key: AccessKey, *, disabled: bool) -> None:
    if (key.disabled_at is not None) == disabled:
        return
    at = unit.at if disabled else None
    await principals.set_access_key_disabled(unit.tx, unit.account_id, key.access_key_id, at)
    kind = "access_key_disabled" if disabled else "access_key_enabled"
    unit.record(kind, uid=key.uid, subject=f"access-key/{key.access_key_id}")
    unit.touch_permissions()


async def delete_access_key(custody: Custody, account_id: str, author: Author, now: float, access_key_id: str) -> None:
    """Delete an access key for good."""

    async def work(unit: Change) -> None:
        key = await _get_key(unit.tx, account_id, access_key_id)
        await principals.set_access_key_deleted(unit.tx, account_id, access_key_id, unit.at)
        unit.record("access_key_deleted", uid=key.uid, subject=f"access-key/{access_key_id}")
        unit.touch_permissions()

    await change(custody.store, account_id, author, now, work)


async def _get_key(tx: Transaction, account_id: str, access_key_id: str) -> AccessKey:
    key = await principals.find_access_key(tx, account_id, access_key_id)
    if key is None or key.deleted_at is not None:
        raise OperatorError(f"There is no access key {access_key_id!r}. `kubecustody admin keys list` shows them.")
    return key


async def list_access_keys(custody: Custody, account_id: str, who: str | None) -> list[AccessKey]:
    """The access keys of one principal, deleted ones too, or all of the account that are not deleted."""

    async def work(tx: Transaction) -> list[AccessKey]:
        uid = (await get_named(tx, account_id, who)).uid if who else None
        return await principals.list_access_keys(tx, account_id, uid)

    return await custody.store.read(work)
