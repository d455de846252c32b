"""Restoring all that one removal took from a person: its credentials and permissions, in one transaction.

What a removal took its events tell: which credentials were asked to go, and in which cluster permissions were taken
away when. Those of a task have the id of the request that began it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kubecustody.catalogue.restoring import (
    RESTORE_CREDENTIAL,
    LeftCredential,
    RestoredCredential,
    RestoreRemovalInput,
    RestoreRemovalOutput,
)
from kubecustody.core.bindings import UNPROVEN
from kubecustody.core.errors import Fault, ParametersRefused, RestoreForbidden, TaskNotFound, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.permissions import Permission
from kubecustody.core.times import parse_time
from kubecustody.custody.acts import Act
from kubecustody.custody.authentication import Caller
from kubecustody.custody.authorisation import Request, decide, denial, resource_of
from kubecustody.custody.changes import Change
from kubecustody.custody.granting import prove_holding
from kubecustody.custody.permissions import check_holding, find_askable, permission_of, tell_permissions
from kubecustody.custody.proving import SignOfLife
from kubecustody.custody.restoring import OVER_STATES, RESTORABLE_SECONDS, find_obstacle, prove_alive, take_back
from kubecustody.custody.tasks import is_compromised
from kubecustody.store import restoring as stored
from kubecustody.store.clusters import find_cluster_by_seq
from kubecustody.store.grants import StoredGrant, add_grants, list_grants_of
from kubecustody.store.principals import find_principal
from kubecustody.store.restoring import CLEANED, REQUESTED, Removed, Restorable
from kubecustody.store.tasks import find_task
from kubecustody.store.transactions import Transaction

_LONGEST_SECONDS = 20
_AT_ONCE = 8
_COMPROMISED = "it was removed as compromised: somebody else may have the keys. Let the holder get new kubeconfigs."
_NOTHING = "nothing was removed then that could come back. ListRestorableCredentials tells what was."
_REHEARSED = SignOfLife(UNPROVEN, "It would be restored; nothing was recorded.")
_NOT_ASKED = SignOfLife(UNPROVEN, "It is restored here, and bound again by itself; its cluster was not asked yet.")


class _Taken(NamedTuple):
    """What a removal took that comes back, and what stays removed, each with why."""

    credentials: tuple[Restorable, ...]
    grants: tuple[StoredGrant, ...]
    left: tuple[tuple[Restorable, str], ...]

    @property
    def permissions(self) -> list[Permission]:
        """What is permitted again."""
        return [permission_of(grant) for grant in self.grants]


async def restore_removal(act: Act, request: RestoreRemovalInput) -> RestoreRemovalOutput:
    """Take a removal back, or tell what would come back.

    Raises ParametersRefused, UserNotFound, TaskNotFound, RestoreForbidden, AccessDenied, GrantForbidden.
    """
    since, until = _read_times(request, int(act.clock()))
    found = await act.read(lambda tx: _find_taken(tx, act.caller, request, since, until, act.clock()))
    proved = await prove_holding(act, found.permissions)
    if request.dry_run:
        await act.read(lambda tx: _check_grants(tx, act.caller, found, proved))
        return _answer(found, dict.fromkeys((one.credential_no for one in found.credentials), _REHEARSED))
    taken = await act.change(lambda unit: _restore(unit, act.caller, request, since, until, proved))
    return _answer(taken, await _prove_all(act, taken.credentials))


def _read_times(request: RestoreRemovalInput, now: int) -> tuple[int, int]:
    """From when to when the removal was; of a task all of the time in which one can be restored."""
    if not (request.task_id or request.removed_from):
        fault = Fault("TaskId", "must be given, or RemovedFrom: one of them says which removal is meant.")
        raise ParametersRefused((fault,))
    if request.removed_to and not request.removed_from:
        raise ParametersRefused((Fault("RemovedTo", "is for RemovedFrom."),))
    oldest = now - RESTORABLE_SECONDS
    since = max(parse_time(request.removed_from), oldest) if request.removed_from else oldest
    return since, parse_time(request.removed_to) if request.removed_to else now


# --- what comes back


async def _find_taken(
    tx: Transaction, caller: Caller, request: RestoreRemovalInput, since: int, until: int, now: float
) -> _Taken:
    """1. Whose it is. 2. When it was taken. 3. What that is. 4. Whether the caller may restore in each cluster."""
    account_id, uid = caller.account_id, request.uid
    await _check_holder(tx, caller, uid)  # 1
    request_id = await _find_request(tx, account_id, request, since)  # 2
    removed = await stored.list_removed_in(tx, account_id, uid, request_id, since, until)
    subjects = {(one.cluster_seq, one.subject) for one in removed if one.kind == REQUESTED}
    found = await stored.list_removed_between(tx, account_id, uid, since, until)  # 3
    found = [one for one in found if (one.cluster_seq, f"credential/{_hex(one)}") in subjects]
    dropped = await stored.list_grants_dropped_between(tx, account_id, uid, since, until)
    if any(one.compromised_at is not None for one in found):
        raise RestoreForbidden(_COMPROMISED)
    obstacles = [(one, await _obstacle_of(tx, account_id, one, int(now))) for one in found]
    taken = _Taken(
        tuple(one for one, obstacle in obstacles if not obstacle),
        await _find_grants(tx, account_id, uid, dropped, removed),
        tuple((one, obstacle) for one, obstacle in obstacles if obstacle),
    )
    if not (taken.credentials or taken.grants):
        told = " ".join(f"{one.cluster_name}: {obstacle}" for one, obstacle in taken.left)
        raise RestoreForbidden(
            told or "nothing was removed then that could come back; ListRestorableCredentials lists."
        )
    ids = {one.cluster_id for one in taken.credentials} | {one.cluster_id for one in taken.grants}
    for cluster_id in sorted(ids - {""}):  # 4
        await _check_cluster(tx, caller, cluster_id, now)
    return taken


async def _check_holder(tx: Transaction, caller: Caller, uid: str) -> None:
    principal = await find_principal(tx, caller.account_id, uid)
    if principal is None:
        raise UserNotFound(uid)
    if principal.deleted_at is not None:
        raise RestoreForbidden("its holder is deleted.")
    if principal.disabled_at is not None:
        raise RestoreForbidden("its holder is disabled. Enable them first.")
    if caller.kind != PrincipalKind.ACCOUNT and caller.uid == uid:
        raise RestoreForbidden("nobody restores their own but the account. Have somebody else do it.")


async def _find_request(tx: Transaction, account_id: str, request: RestoreRemovalInput, since: int) -> str:
    """The id of the request that began the task; "" where no task is named."""
    if not request.task_id:
        return ""
    task = await find_task(tx, account_id, request.task_id)
    if task is None or task.uid != request.uid:
        raise TaskNotFound(request.task_id)
    if task.state == "running":
        raise RestoreForbidden("the task still removes. Wait until it is done.")
    if is_compromised(task):
        raise RestoreForbidden(_COMPROMISED)
    if task.created_at < since:
        raise RestoreForbidden("it was removed more than 30 days ago.")
    return task.request_id


async def _obstacle_of(tx: Transaction, account_id: str, one: Restorable, now: int) -> str:
    if one.cluster_state in OVER_STATES:
        return f"its cluster is {one.cluster_state}."
    return await find_obstacle(tx, account_id, one, now) or ""


async def _find_grants(
    tx: Transaction, account_id: str, uid: str, dropped: Sequence[tuple[int, StoredGrant]], removed: Sequence[Removed]
) -> tuple[StoredGrant, ...]:
    """What was permitted, was taken away by the removal, and is not permitted again."""
    moments = {(one.cluster_seq, one.at) for one in removed if one.kind == CLEANED}
    held = await list_grants_of(tx, account_id, uid)
    return tuple(grant for at, grant in dropped if (grant.cluster_seq, at) in moments and grant not in held)


async def _check_cluster(tx: Transaction, caller: Caller, cluster_id: str, now: float) -> None:
    """Raise AccessDenied unless the caller may restore in the cluster itself: one act over many passes no more."""
    if caller.kind == PrincipalKind.ACCOUNT:
        return
    resource = resource_of(RESTORE_CREDENTIAL, caller.region_id, caller.account_id, cluster_id)
    asked = Request(RESTORE_CREDENTIAL, resource, now)
    decision = await decide(tx, caller, asked)
    if not decision.allowed:
        raise denial(caller, asked, decision)


async def _check_grants(tx: Transaction, caller: Caller, taken: _Taken, proved: frozenset[Permission]) -> None:
    if caller.kind != PrincipalKind.ACCOUNT:
        in_question = await find_askable(tx, caller.account_id, taken.permissions)
        await check_holding(tx, caller, taken.permissions, proved, in_question)


# --- taking it back


async def _restore(
    unit: Change,
    caller: Caller,
    request: RestoreRemovalInput,
    since: int,
    until: int,
    proved: frozenset[Permission],
) -> _Taken:
    tx, account_id, uid = unit.tx, unit.account_id, request.uid
    taken = await _find_taken(tx, caller, request, since, until, unit.now)
    await _check_grants(tx, caller, taken, proved)
    unit.author = replace(unit.author, reason=request.reason.strip())
    before = [permission_of(grant) for grant in await list_grants_of(tx, account_id, uid)]
    if taken.grants:
        await add_grants(tx, account_id, uid, taken.grants, unit.at)
        after = {*before, *taken.permissions}
        details = {"before": tell_permissions(before), "after": tell_permissions(after)}
        unit.record("permissions_changed", uid=uid, details=details)
    for one in taken.credentials:
        cluster = await find_cluster_by_seq(tx, account_id, one.cluster_seq)
        assert cluster is not None
        here = [permission for permission in taken.permissions if permission.cluster_id == one.cluster_id]
        await take_back(unit, cluster, one, here)
    return taken


async def _prove_all(act: Act, credentials: Sequence[Restorable]) -> dict[int, SignOfLife]:
    """What shows that each works again, by number, as far as that is known in time."""
    by_cluster: dict[int, list[int]] = {}
    for one in credentials:
        by_cluster.setdefault(one.cluster_seq, []).append(one.credential_no)
    signs = dict.fromkeys((one.credential_no for one in credentials), _NOT_ASKED)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def work(cluster_seq: int, numbers: Sequence[int]) -> None:
        async with slots:
            signs.update(zip(numbers, await prove_alive(act, cluster_seq, numbers), strict=True))

    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await asyncio.gather(*(work(*each) for each in by_cluster.items()))
    except TimeoutError:
        pass  # a pass that is cut off is completed by the next
    return signs


def _answer(taken: _Taken, signs: dict[int, SignOfLife]) -> RestoreRemovalOutput:
    return RestoreRemovalOutput(
        restored=[
            RestoredCredential(
                _hex(one), one.cluster_id, one.cluster_name, bool(one.key_kept), *signs[one.credential_no]
            )
            for one in taken.credentials
        ],
        permissions=[str(permission) for permission in taken.permissions],
        left=[LeftCredential(_hex(one), one.cluster_id, one.cluster_name, obstacle) for one, obstacle in taken.left],
    )


def _hex(one: Restorable) -> str:
    return one.fingerprint.hex() if one.fingerprint else ""
