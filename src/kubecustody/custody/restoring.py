"""Restoring: the removal of a credential is taken back, with the permissions that went with it, and proved to work."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kubecustody.catalogue.restoring import (
    MOST_LISTED,
    ListRestorableCredentialsInput,
    ListRestorableCredentialsOutput,
    RestorableCredential,
    RestoreCredentialInput,
    RestoreCredentialOutput,
)
from kubecustody.core.bindings import UNPROVEN
from kubecustody.core.errors import ClusterStateForbids, RestoreForbidden
from kubecustody.core.names import PrincipalKind
from kubecustody.core.permissions import Permission
from kubecustody.core.states import ClusterState
from kubecustody.core.times import format_time
from kubecustody.custody.acts import Act
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.credentials import get_credential
from kubecustody.custody.granting import prove_holding
from kubecustody.custody.issuing import get_cluster
from kubecustody.custody.managing import look_and_manage
from kubecustody.custody.permissions import check_holding, find_askable, permission_of
from kubecustody.custody.proving import SignOfLife, find_sign_of_life
from kubecustody.custody.rehearsing import why_not_written
from kubecustody.custody.wanted import load_facts
from kubecustody.store import restoring as stored
from kubecustody.store.credentials import Removal, add_removal, set_removed, update_holding
from kubecustody.store.finding import list_events_about
from kubecustody.store.fleet import Cluster
from kubecustody.store.grants import StoredGrant, add_grants, list_grants_of
from kubecustody.store.restoring import Restorable
from kubecustody.store.transactions import Transaction

RESTORABLE_SECONDS = 30 * 86_400

OVER_STATES = {ClusterState.DELETING, ClusterState.DELETED, ClusterState.DELETE_FAILED, ClusterState.FAILED}
_NEW_ONE = "Let the holder get a new kubeconfig."


async def list_restorable_credentials(
    tx: Transaction, caller: Caller, request: ListRestorableCredentialsInput, now: float
) -> ListRestorableCredentialsOutput:
    """What was removed within 30 days."""
    at = int(now)
    found = await stored.list_restorable(tx, caller.account_id, request.uid, at - RESTORABLE_SECONDS, at, MOST_LISTED)
    rows = []
    for one in found:
        removed_at = one.removal_requested_at or 0
        rows.append(
            RestorableCredential(
                fingerprint=one.fingerprint.hex() if one.fingerprint else "",
                common_name=one.cn,
                uid=one.uid,
                cluster_id=one.cluster_id,
                cluster_name=one.cluster_name,
                removal_requested_at=format_time(removed_at),
                cert_expire_time=format_time(one.not_after or 0),
                restorable_until=format_time(min(removed_at + RESTORABLE_SECONDS, one.not_after or 0)),
                obstacle=await find_obstacle(tx, caller.account_id, one, at) or "",
            )
        )
    return ListRestorableCredentialsOutput(rows)


class _Restored(NamedTuple):
    cluster: Cluster
    one: Restorable
    permissions: tuple[str, ...]


async def restore_credential(act: Act, request: RestoreCredentialInput) -> RestoreCredentialOutput:
    """Take the removal of a credential back.

    Raises ClusterNotFound, CredentialNotFound, CredentialAmbiguous, RestoreForbidden, GrantForbidden,
    ClusterStateForbids.
    """
    proved = await prove_holding(act, await act.read(lambda tx: _find_asked(tx, act, request)))
    restored = await act.change(lambda unit: _restore(unit, act.caller, request, proved))
    one = restored.one
    (sign,) = await prove_alive(act, restored.cluster.seq, [one.credential_no])
    return RestoreCredentialOutput(
        fingerprint=one.fingerprint.hex() if one.fingerprint else "",
        uid=one.uid,
        cluster_id=one.cluster_id,
        permissions=[*restored.permissions],
        key_kept=bool(one.key_kept),
        proof=sign.kind,
        text=sign.text,
    )


async def prove_alive(act: Act, cluster_seq: int, numbers: Sequence[int]) -> list[SignOfLife]:
    """Bind credentials again in their cluster, and try each there."""

    def unproven(text: str) -> list[SignOfLife]:
        return [SignOfLife(UNPROVEN, f"It is restored here{text}")] * len(numbers)

    unwritten = await act.read(lambda tx: why_not_written(tx, act.account_id, cluster_seq))
    if unwritten:
        return unproven(f". Not bound again: {unwritten}")
    seen = await look_and_manage(act.custody, act.account_id, cluster_seq, act.clock, author=act.author)
    facts = await load_facts(act.custody, act.account_id, cluster_seq, int(act.clock()))
    if seen is None or not seen.reachable or facts is None:
        return unproven(", and bound again as soon as the cluster answers.")
    return [await find_sign_of_life(act.custody, act.account_id, facts, number) for number in numbers]


async def _restore(
    unit: Change, caller: Caller, request: RestoreCredentialInput, proved: frozenset[Permission]
) -> _Restored:
    """1. The credential, and whether it may come back. 2. What comes back with it, and whether the caller may grant
    that. 3. The change.
    """
    tx, account_id = unit.tx, unit.account_id
    cluster = await get_cluster(tx, account_id, request.cluster_id)  # 1
    one = await _get_restorable(tx, account_id, cluster, request)
    if one.cluster_state in OVER_STATES:
        raise ClusterStateForbids(cluster.cluster_id, f"it is {one.cluster_state}.")
    await _check_may_come_back(tx, caller, one, unit.at)
    lost = await _find_lost(tx, account_id, one)  # 2
    permissions = [permission_of(grant) for grant in lost]
    if caller.kind != PrincipalKind.ACCOUNT:
        in_question = await find_askable(tx, account_id, permissions)
        await check_holding(tx, caller, permissions, proved, in_question)
    unit.author = replace(unit.author, reason=request.reason.strip())  # 3
    await add_grants(tx, account_id, one.uid, lost, unit.at)
    await take_back(unit, cluster, one, permissions)
    return _Restored(cluster, one, tuple(map(str, permissions)))


async def _get_restorable(
    tx: Transaction, account_id: str, cluster: Cluster, request: RestoreCredentialInput
) -> Restorable:
    found = await get_credential(tx, account_id, cluster, request.credential)
    one = await stored.find_restorable(tx, account_id, found.facts.number)
    if one is None:
        raise RuntimeError(f"credential {found.facts.number} was found and is not there")
    return one


async def _check_may_come_back(tx: Transaction, caller: Caller, one: Restorable, now: int) -> None:
    obstacle = await find_obstacle(tx, caller.account_id, one, now)
    if obstacle is not None:
        raise RestoreForbidden(obstacle)
    if caller.kind != PrincipalKind.ACCOUNT and caller.uid == one.uid:
        raise RestoreForbidden("nobody restores their own but the account. Have somebody else do it.")


async def _find_asked(tx: Transaction, act: Act, request: RestoreCredentialInput) -> list[Permission]:
    """What would come back with the credential, to be judged in its cluster."""
    cluster = await get_cluster(tx, act.account_id, request.cluster_id)
    one = await _get_restorable(tx, act.account_id, cluster, request)
    await _check_may_come_back(tx, act.caller, one, int(act.clock()))
    return [permission_of(grant) for grant in await _find_lost(tx, act.account_id, one)]


async def _find_lost(tx: Transaction, account_id: str, one: Restorable) -> list[StoredGrant]:
    """What the holder lost together with the credential, and does not have again."""
    held = await list_grants_of(tx, account_id, one.uid)
    lost = await stored.list_grants_dropped_at(tx, account_id, one.uid, one.cluster_seq, one.removal_requested_at or 0)
    return [grant for grant in lost if grant not in held]


async def take_back(unit: Change, cluster: Cluster, one: Restorable, permissions: Sequence[Permission]) -> None:
    """Take the removal of a credential back. permissions: those that come back with it, for the event."""
    subject = f"credential/{one.fingerprint.hex()}" if one.fingerprint else ""
    await set_removed(unit.tx, unit.account_id, one.credential_no, None, None, None)
    removal = Removal("restored", unit.author.actor, unit.author.reason, '{"kind": "restored"}', unit.at)
    await add_removal(unit.tx, unit.account_id, one.credential_no, removal)
    await stored.forget_evidence(unit.tx, unit.account_id, one.credential_no)
    await update_holding(unit.tx, unit.account_id, one.uid, cluster.seq, cluster.trust_epoch)
    details = {"permissions": [str(permission) for permission in permissions]}
    unit.record("credential_restored", uid=one.uid, cluster_seq=cluster.seq, subject=subject, details=details)


async def find_obstacle(tx: Transaction, account_id: str, one: Restorable, now: int) -> str | None:
    """Why a credential does not come back, and what to do; None where nothing stands against it."""
    if one.removal_requested_at is None:
        return "nobody asked for its removal, so there is nothing to take back."
    plain = _find_plain_obstacle(one, one.removal_requested_at, now)
    if plain is not None:
        return plain
    if await stored.count_issued_since(tx, account_id, one, now):
        return "the holder was issued another one since. Have that one removed first, or leave it at that."
    if not await _may_somebody_have_its_key(tx, account_id, one):
        return f"its private key was destroyed and never given to anybody. {_NEW_ONE}"
    return None


def _find_plain_obstacle(one: Restorable, removed_at: int, now: int) -> str | None:
    if one.compromised_at is not None:
        return f"it was removed as compromised: somebody else may have its key. {_NEW_ONE}"
    if one.not_after is None or now > one.not_after:
        return f"it has ended. {_NEW_ONE}"
    if now > removed_at + RESTORABLE_SECONDS:
        return f"it was removed more than 30 days ago. {_NEW_ONE}"
    if not one.uid or one.holder_deleted_at is not None:
        return "its holder is deleted, or not known."
    if one.holder_disabled_at is not None:
        return "its holder is disabled. Enable them first."
    if one.vouched_until is None or now > one.vouched_until or one.trust_epoch != one.cluster_trust_epoch:
        return f"the cluster does not take it any more, as far as is known. {_NEW_ONE}"
    return None


async def _may_somebody_have_its_key(tx: Transaction, account_id: str, one: Restorable) -> bool:
    if one.key_kept or one.holders_key or one.origin != "issued" or one.fingerprint is None:
        return True
    subject = f"credential/{one.fingerprint.hex()}"
    return bool(await list_events_about(tx, account_id, one.cluster_seq, subject, 1, "private_key_disclosed"))
