"""Granting, changing and telling what people are permitted in clusters.

What is recorded here is what is wanted; a reconciler makes the clusters' bindings so (`core.bindings`).
"""

from collections.abc import Iterable, Sequence

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
    namespaces_of,
    permissions_after,
    read_permissions,
)
from kubecustody.core.states import ClusterState
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody
from kubecustody.store.clusters import find_cluster
from kubecustody.store.fleet import Cluster
from kubecustody.store.grants import EVERY_CLUSTER_SEQ, StoredGrant, add_grants, drop_grants, list_grants_of
from kubecustody.store.principals import Principal, find_principal
from kubecustody.store.transactions import Transaction

_OVER_STATES = {ClusterState.DELETING, ClusterState.DELETED}
_NOT_TOLD = (
    "a permission of the caller is for the whole cluster, and which namespaces that has is known to the cluster alone. "
    "Ask it: kubectl get namespaces."
)


async def grant_permissions(_: Custody, unit: Change, caller: Caller, request: GrantPermissionsInput) -> None:
    """Replace all that a person is permitted. Raises as update_user_permissions."""
    await _change_permissions(unit, caller, request.uid, request.body, Mode.APPLY)


async def update_user_permissions(
    _: Custody, unit: Change, caller: Caller, request: UpdateUserPermissionsInput
) -> None:
    """Replace, add to or reduce what a person is permitted.

    Raises UserNotFound, also for who is deleted, GrantForbidden, ParametersRefused, ClusterNotFound,
    ClusterStateForbids.
    """
    await _change_permissions(unit, caller, request.uid, request.body, request.mode)


async def _change_permissions(
    unit: Change, caller: Caller, uid: str, items: Sequence[GrantedPermission | ChangedPermission], mode_told: str
) -> None:
    """1. The person, and whether the caller may at all. 2. What is asked. 3. Where. 4. Whether the caller holds what
    they add. 5. The change, where there is one.
    """
    await _check_person(unit.tx, caller, uid)  # 1
    mode, named = read_permissions([_asked(item) for item in items], mode_told)  # 2
    clusters = await _find_clusters(unit.tx, unit.account_id, named)  # 3
    stored = {permission_of(one): one for one in await list_grants_of(unit.tx, unit.account_id, uid)}
    after = permissions_after(stored.keys(), mode, named)
    added, dropped = after - stored.keys(), stored.keys() - after
    _check_states(clusters[one.cluster_id] for one in sorted(added) if one.cluster_id)
    if caller.kind != PrincipalKind.ACCOUNT:  # 4
        check_may_grant(await held_by(unit.tx, caller), added)
    if not added and not dropped:  # 5
        return
    await drop_grants(unit.tx, unit.account_id, uid, [stored[one] for one in sorted(dropped)], unit.at)
    rows = [_stored(one, clusters[one.cluster_id].seq if one.cluster_id else EVERY_CLUSTER_SEQ) for one in added]
    await add_grants(unit.tx, unit.account_id, uid, sorted(rows), unit.at)
    details = {"before": _told(stored), "after": _told(after)}
    unit.record("permissions_changed", uid=uid, details=details)


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


def _told(permissions: Iterable[Permission]) -> list[dict[str, str | bool]]:
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
