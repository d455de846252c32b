"""Granting, changing and telling what people are permitted in clusters.

What is recorded here is what is wanted; a reconciler makes the clusters' bindings so (`core.bindings`).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from kubecustody.catalogue.permissions import (
    ChangedPermission,
    DescribeUserClusterNamespacesInput,
    DescribeUserPermissionInput,
    GrantedPermission,
    GrantPermissionsInput,
    UpdateUserPermissionsInput,
    UserPermission,
)
from kubecustody.core.errors import (
    ClusterNotFound,
    ClusterStateForbids,
    GrantForbidden,
    LastAdmin,
    NamespaceQueryForbidden,
    UserNotFound,
)
from kubecustody.core.names import PrincipalKind
from kubecustody.core.permissions import (
    AskedPermission,
    Mode,
    Permission,
    check_may_grant,
    is_admin_of,
    makes_admin,
    namespaces_of,
    permissions_after,
    read_permissions,
)
from kubecustody.core.states import ClusterState
from kubecustody.custody.acts import Act, After
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody
from kubecustody.store.accesses import find_access, list_reached
from kubecustody.store.clusters import find_cluster
from kubecustody.store.fleet import Cluster
from kubecustody.store.grants import (
    EVERY_CLUSTER_SEQ,
    StoredGrant,
    add_grants,
    count_other_admins,
    drop_grants,
    list_grants_of,
)
from kubecustody.store.principals import Principal, find_principal
from kubecustody.store.transactions import Transaction

_OVER_STATES = {ClusterState.DELETING, ClusterState.DELETED}
_NOT_TOLD = (
    "a permission of the caller is for the whole cluster, and which namespaces that has is known to the cluster alone. "
    "Ask it: kubectl get namespaces."
)


async def grant_permissions(_: Custody, unit: Change, caller: Caller, request: GrantPermissionsInput) -> After | None:
    """Replace all that a person is permitted. Raises as update_user_permissions."""
    asked = _Asked(request.uid, request.body, Mode.APPLY, request.allow_last_admin)
    return await _change_permissions(unit, caller, asked)


async def update_user_permissions(
    _: Custody, unit: Change, caller: Caller, request: UpdateUserPermissionsInput
) -> After | None:
    """Replace, add to or reduce what a person is permitted.

    Raises UserNotFound, also for who is deleted, GrantForbidden, ParametersRefused, ClusterNotFound,
    ClusterStateForbids, LastAdmin.
    """
    asked = _Asked(request.uid, request.body, request.mode, request.allow_last_admin)
    return await _change_permissions(unit, caller, asked)


class _Asked(NamedTuple):
    uid: str
    items: Sequence[GrantedPermission | ChangedPermission]
    mode: str
    allow_last_admin: bool


async def _change_permissions(
    unit: Change, caller: Caller, asked: _Asked, proved: frozenset[Permission] | None = None
) -> After | None:
    """1. The person, and whether the caller may at all. 2. What is asked. 3. Where. 4. Whether the caller holds what
    they add: where the cluster can be asked, it is, and all of this is done again with what it proved. 5. Whether a
    managed cluster would lose its last admin. 6. The change, where there is one.
    """
    tx, account_id, uid = unit.tx, unit.account_id, asked.uid
    await _check_person(tx, caller, uid)  # 1
    mode, named = read_permissions([_asked(item) for item in asked.items], asked.mode)  # 2
    clusters = await _find_clusters(tx, account_id, named)  # 3
    stored = {permission_of(one): one for one in await list_grants_of(tx, account_id, uid)}
    after = permissions_after(stored.keys(), mode, named)
    added, dropped = after - stored.keys(), stored.keys() - after
    _check_states(clusters[one.cluster_id] for one in sorted(added) if one.cluster_id)
    if caller.kind != PrincipalKind.ACCOUNT:  # 4
        in_question = await find_askable(tx, account_id, added)
        if proved is None and in_question:
            return After(lambda act: _prove_and_change(act, asked, in_question))
        await check_holding(tx, caller, added, proved or frozenset(), in_question)
    if not asked.allow_last_admin:  # 5
        await check_admins_stay(tx, account_id, uid, [stored[one] for one in sorted(dropped)], after)
    if not added and not dropped:  # 6
        return None
    await drop_grants(tx, account_id, uid, [stored[one] for one in sorted(dropped)], unit.at)
    rows = [_stored(one, clusters[one.cluster_id].seq if one.cluster_id else EVERY_CLUSTER_SEQ) for one in added]
    await add_grants(tx, account_id, uid, sorted(rows), unit.at)
    details = {"before": tell_permissions(stored), "after": tell_permissions(after)}
    unit.record("permissions_changed", uid=uid, details=details)
    return None


async def _prove_and_change(act: Act, asked: _Asked, in_question: frozenset[Permission]) -> None:
    from kubecustody.custody.granting import prove_holding  # only where a cluster is asked

    proved = await prove_holding(act, in_question)
    await act.change(lambda unit: _change_permissions(unit, act.caller, asked, proved))


async def find_askable(tx: Transaction, account_id: str, permissions: Iterable[Permission]) -> frozenset[Permission]:
    """Those of the permissions that are for a cluster which this server reaches, or for all, where it reaches any."""
    found = set()
    for one in permissions:
        if not one.cluster_id:
            is_askable = bool(await list_reached(tx, account_id))
        else:
            cluster = await find_cluster(tx, account_id, one.cluster_id)
            is_askable = cluster is not None and await find_access(tx, account_id, cluster.seq) is not None
        if is_askable:
            found.add(one)
    return frozenset(found)


async def check_holding(
    tx: Transaction,
    caller: Caller,
    added: Iterable[Permission],
    proved: frozenset[Permission],
    in_question: frozenset[Permission],
) -> None:
    """Raise GrantForbidden unless the caller holds what they add: as proved, elsewhere as recorded.

    For all clusters both, since clusters that nobody can ask, and those to come, are among them.
    """
    for one in sorted(in_question - proved):
        place = f"{one.cluster_id} was" if one.cluster_id else "the clusters were"
        raise GrantForbidden(f"what the user is permitted changed while {place} asked. Try again.")
    check_may_grant(await held_by(tx, caller), added, {one for one in proved if one.cluster_id})


async def check_admins_stay(
    tx: Transaction, account_id: str, uid: str, dropped: Iterable[StoredGrant], left: Collection[Permission]
) -> None:
    """Raise LastAdmin where a managed cluster would lose the last person who is permitted admin of it.

    dropped: what is taken from this person; left: what they keep.
    """
    lost = {one.cluster_seq for one in dropped if makes_admin(permission_of(one))}
    kept = {one.cluster_id for one in left if makes_admin(one)}
    if not lost or "" in kept:
        return
    for cluster in await list_reached(tx, account_id):
        is_lost = cluster.mode == "manage" and lost & {EVERY_CLUSTER_SEQ, cluster.seq}
        if (
            is_lost
            and cluster.cluster_id not in kept
            and not await count_other_admins(tx, account_id, cluster.seq, uid)
        ):
            raise LastAdmin(cluster.cluster_id)


async def _check_person(tx: Transaction, caller: Caller, uid: str) -> None:
    """Raise unless this is somebody of the account, not deleted, whose permissions the caller may change."""
    if caller.kind != PrincipalKind.ACCOUNT and uid in (caller.account_id, caller.uid):
        whom = "themselves" if uid == caller.uid else "the account itself"
        raise GrantForbidden(f"nobody but the account changes those of {whom}.")
    principal = await find_principal(tx, caller.account_id, uid)
    if principal is None or principal.deleted_at is not None:
        raise UserNotFound(uid)


async def _find_clusters(tx: Transaction, account_id: str, named: Iterable[Permission]) -> dict[str, Cluster]:
    """Each cluster that is named, by its id. Raises ClusterNotFound."""
    clusters: dict[str, Cluster] = {}
    for cluster_id in dict.fromkeys(one.cluster_id for one in named if one.cluster_id):
        cluster = await find_cluster(tx, account_id, cluster_id)
        if cluster is None:
            raise ClusterNotFound(cluster_id)
        clusters[cluster_id] = cluster
    return clusters


def _check_states(clusters: Iterable[Cluster]) -> None:
    """Nothing new is granted where soon nothing is left; what was granted there can be named again, or taken away."""
    for cluster in clusters:
        state = cluster.seen_state or cluster.told_state
        if state in _OVER_STATES:
            raise ClusterStateForbids(cluster.cluster_id, f"it is {state}, and nothing is granted there any more.")


async def held_by(tx: Transaction, caller: Caller) -> list[Permission]:
    """What the caller is permitted, as it is recorded."""
    return [permission_of(one) for one in await list_grants_of(tx, caller.account_id, caller.uid)]


def _asked(item: GrantedPermission | ChangedPermission) -> AskedPermission:
    return AskedPermission(item.cluster, item.role_type, item.role_name, item.namespace, item.is_custom)


def permission_of(stored: StoredGrant) -> Permission:
    """A grant as what it permits."""
    return Permission(stored.cluster_id, stored.namespace, stored.role_name, bool(stored.is_custom))


def _stored(one: Permission, cluster_seq: int) -> StoredGrant:
    return StoredGrant(cluster_seq, one.cluster_id, one.namespace, one.role, int(one.is_custom))


def tell_permissions(permissions: Iterable[Permission]) -> list[dict[str, str | bool]]:
    """Permissions for an event, in order."""
    return [one._asdict() for one in sorted(permissions)]


async def describe_user_permission(
    tx: Transaction, caller: Caller, request: DescribeUserPermissionInput, _: float
) -> list[UserPermission]:
    """What a person, deleted or not, is permitted, as far as the caller sees it. Raises UserNotFound."""
    principal = await find_principal(tx, caller.account_id, request.uid)
    if principal is None:
        raise UserNotFound(request.uid)
    found = [permission_of(one) for one in await list_grants_of(tx, caller.account_id, request.uid)]
    if caller.kind != PrincipalKind.ACCOUNT and caller.uid != request.uid:
        held = await held_by(tx, caller)
        found = [one for one in found if is_admin_of(held, one.cluster_id)]
    return [_listed(one, principal) for one in found]


def _listed(one: Permission, principal: Principal) -> UserPermission:
    resource_type = "console" if not one.cluster_id else "namespace" if one.namespace else "cluster"
    resource_id = f"{one.cluster_id}/{one.namespace}" if one.namespace else one.cluster_id or "all-clusters"
    return UserPermission(
        resource_id=resource_id,
        resource_type=resource_type,
        role_name=one.role,
        role_type="custom" if one.is_custom else one.role,
        is_owner=int(principal.kind == PrincipalKind.ACCOUNT),
        is_ram_role=int(principal.kind == PrincipalKind.ROLE),
    )


async def describe_user_cluster_namespaces(
    tx: Transaction, caller: Caller, request: DescribeUserClusterNamespacesInput, _: float
) -> list[str]:
    """The namespaces of a cluster in which the caller is permitted something.

    Raises ClusterNotFound, NamespaceQueryForbidden, and ClusterStateForbids where that is the whole cluster.
    """
    cluster = await find_cluster(tx, caller.account_id, request.cluster_id)
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    if caller.kind == PrincipalKind.ACCOUNT:
        raise ClusterStateForbids(cluster.cluster_id, _NOT_TOLD)
    namespaces = namespaces_of(await held_by(tx, caller), cluster.cluster_id)
    if namespaces is None:
        raise ClusterStateForbids(cluster.cluster_id, _NOT_TOLD)
    if not namespaces:
        raise NamespaceQueryForbidden(cluster.cluster_id)
    return namespaces
