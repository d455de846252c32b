"""Cleaning: removing what a person holds in a cluster, honest about what no cluster has confirmed.

A clean records the wish that every live credential be removed; from then on none is handed out again. The state in
the lists changes only with evidence. Where the cluster is set to `attest_on_clean` (on the machine itself), the
operator has said beforehand that a clean is followed by their own removal, and it is marked as attested.
"""

from collections.abc import Collection

from kubecustody.catalogue.kubeconfigs import CleanInput, CleanOutput
from kubecustody.core.errors import AuditNotReadable, CleanForbidden, ClusterStateForbids, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.states import ClusterState
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody
from kubecustody.custody.issuing import get_cluster, request_removal
from kubecustody.custody.permissions import check_admins_stay, permission_of
from kubecustody.custody.rehearsing import rehearse
from kubecustody.custody.removals import attest_one
from kubecustody.store.clusters import find_cluster_details, find_observation
from kubecustody.store.credentials import list_all_in_cluster, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.grants import drop_grants, list_grants_of
from kubecustody.store.issuing import drop_custom_validity, list_live
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Transaction

# The provider's page "Delete a kubeconfig" (read 2026-11-24): not in clusters of these states.
_CLOSED_STATES = {ClusterState.DELETE_FAILED, ClusterState.DELETING, ClusterState.DELETED, ClusterState.FAILED}

_WHY_ATTESTED = "cleaned, and attest_on_clean is set for the cluster: its operator removes what is cleaned."


async def clean_cluster_user_permissions(_: Custody, unit: Change, caller: Caller, request: CleanInput) -> CleanOutput:
    """Ask the removal of everything that a person holds in a cluster, or tell what would happen.

    Raises UserNotFound, CleanForbidden, ClusterNotFound, LastAdmin, ClusterStateForbids, AuditNotReadable.
    """
    await check_may_be_cleaned(unit.tx, unit.account_id, caller, request.uid)
    cluster = await get_cluster(unit.tx, unit.account_id, request.cluster_id)
    if not request.allow_last_admin:
        await check_admin_stays(unit.tx, unit.account_id, request.uid, {cluster.seq})
    if request.dry_run:
        check_cleanable(cluster, force=request.force)
        return CleanOutput(await rehearse(unit.tx, unit.account_id, cluster, request.uid, unit.now, cleans=True))
    await clean(unit, cluster, request.uid, force=request.force, compromised=request.compromised)
    return CleanOutput()


async def check_admin_stays(tx: Transaction, account_id: str, uid: str, cluster_seqs: Collection[int]) -> None:
    """Raise LastAdmin where a managed cluster would lose its last admin with what the person is permitted in these.

    It is asked when a clean is taken, and never when it is carried out.
    """
    granted = await list_grants_of(tx, account_id, uid)
    dropped = [grant for grant in granted if grant.cluster_seq in cluster_seqs]
    left = [permission_of(grant) for grant in granted if grant.cluster_seq not in cluster_seqs]
    await check_admins_stay(tx, account_id, uid, dropped, left)


def check_cleanable(cluster: Cluster, *, force: bool) -> None:
    """Raise where nobody can be cleaned in the cluster: ClusterStateForbids, AuditNotReadable."""
    state = cluster.seen_state or cluster.told_state
    if state in _CLOSED_STATES:
        raise ClusterStateForbids(cluster.cluster_id, f"it is {state}.")
    if not force:
        raise AuditNotReadable(cluster.cluster_id)


async def check_may_be_cleaned(tx: Transaction, account_id: str, caller: Caller, uid: str) -> None:
    """Raise unless this is a user or role of the account, deleted or not, other than the caller."""
    principal = await find_principal(tx, account_id, uid)
    if principal is None:
        raise UserNotFound(uid)
    if principal.kind == PrincipalKind.ACCOUNT:
        raise CleanForbidden("the account itself")
    if uid == caller.uid:
        raise CleanForbidden("the caller themselves")


async def clean(unit: Change, cluster: Cluster, uid: str, *, force: bool, compromised: bool = False) -> int:
    """Ask the removal of what the person holds in the cluster; of how many. compromised: it is never restored.

    Raises ClusterStateForbids, AuditNotReadable.
    """
    check_cleanable(cluster, force=force)
    live = await list_live(unit.tx, unit.account_id, uid, cluster.seq, unit.at)
    for one in live:
        await request_removal(unit, cluster, uid, one.credential_no, one.fingerprint, compromised=compromised)
    await drop_custom_validity(unit.tx, unit.account_id, uid, cluster.seq)
    await drop_grants_in(unit, cluster.seq, uid)
    details = await find_cluster_details(unit.tx, unit.account_id, cluster.seq)
    observation = await find_observation(unit.tx, unit.account_id, cluster.seq)
    reachable = observation is not None and observation.reachable  # then the cluster proves it, and nobody attests
    if details is not None and details.attest_on_clean and not reachable:
        numbers = {one.credential_no for one in live}
        for owned in await list_all_in_cluster(unit.tx, unit.account_id, cluster.seq):
            if owned.held.facts.number in numbers:
                await attest_one(unit, cluster, owned, _WHY_ATTESTED)
    if live:
        await update_holding(unit.tx, unit.account_id, uid, cluster.seq, cluster.trust_epoch)
    return len(live)


async def drop_grants_in(unit: Change, cluster_seq: int, uid: str) -> None:
    """Take away what the person is permitted in one cluster; seq 0: what is for every cluster."""
    granted = await list_grants_of(unit.tx, unit.account_id, uid)
    here = [grant for grant in granted if grant.cluster_seq == cluster_seq]
    if here:
        await drop_grants(unit.tx, unit.account_id, uid, here, unit.at)
        roles = sorted({grant.role_name for grant in here})
        unit.record("permissions_cleaned", uid=uid, cluster_seq=cluster_seq, details={"roles": roles})
