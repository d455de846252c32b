"""Removing a cluster: after everything that people hold there is proved removed, or with what lives on told."""

from kubecustody.catalogue.removing_clusters import LivingCredential, RemoveClusterInput, RemoveClusterOutput
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.errors import ClusterNotFound, ClusterStateForbids
from kubecustody.core.states import is_live
from kubecustody.core.times import format_time
from kubecustody.custody.acts import Act
from kubecustody.custody.changes import Change
from kubecustody.custody.cleaning import drop_grants_in
from kubecustody.custody.issuing import request_removal
from kubecustody.custody.managing import look_and_manage, release
from kubecustody.custody.wanted import load_facts
from kubecustody.store import accesses, removing
from kubecustody.store.clusters import find_cluster, find_cluster_by_seq, set_cluster_deleted
from kubecustody.store.credentials import OwnedCredential, list_all_in_cluster, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.transactions import Transaction

_SHOWN = 100
_MARK_STAYS = "Its mark stays: an administrator deletes the ConfigMap kubecustody-owner in kube-system."
_ACCOUNT_STAYS = (
    "This server's own account stays in the cluster; an administrator removes it: "
    "kubectl delete namespace kubecustody, and clusterrole,clusterrolebinding kubecustody."
)


async def remove_cluster(act: Act, request: RemoveClusterInput) -> RemoveClusterOutput:
    """Remove a cluster, or go on with removing it. Raises ClusterNotFound, ClusterStateForbids."""
    cluster = await act.read(lambda tx: find_cluster(tx, act.account_id, request.cluster_id))
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    if cluster.deleted_at is not None:
        raise ClusterStateForbids(cluster.cluster_id, "it is deleted already.")
    if request.dry_run:
        return await _tell(act, cluster, "told")
    if request.removal == "clean" and (waiting := await _clean(act, cluster)) is not None:
        return waiting
    notes = await _let_go(act, cluster)
    await act.change(lambda unit: _delete(unit, cluster, request.removal))
    return await _tell(act, cluster, "deleted", notes)


async def _clean(act: Act, cluster: Cluster) -> RemoveClusterOutput | None:
    """What still waits; None where nothing lives any more."""
    await act.change(lambda unit: _ask_removals(unit, cluster))
    seen = await look_and_manage(act.custody, act.account_id, cluster.seq, act.clock, author=act.author)
    mode = (await act.read(lambda tx: accesses.find_reach(tx, act.account_id, cluster.seq))).mode
    if not await act.read(lambda tx: _list_living(tx, act, cluster)):
        return None
    notes = [f"{one.what}: {one.text}" for one in (seen.findings if seen else ()) if not one.ok]
    if mode != "manage":
        notes.append(
            "Nobody takes anything out of this cluster, which is "
            f"{'not reached' if mode == 'none' else 'only observed'}: manage it, or attest the removals on the machine "
            "(`kubecustody admin removals attest`), or wait until the last one ends."
        )
    return await _tell(act, cluster, "waiting", notes)


async def _ask_removals(unit: Change, cluster: Cluster) -> None:
    """Ask the removal of everything that lives in the cluster, and take away what is permitted there alone."""
    holders = set()
    for owned in await list_all_in_cluster(unit.tx, unit.account_id, cluster.seq):
        facts = owned.held.facts
        if is_live(facts, unit.now):
            await request_removal(unit, cluster, owned.uid, facts.number, owned.held.fingerprint)
            holders.add(owned.uid)
    for uid in sorted(holders - {""}):
        await update_holding(unit.tx, unit.account_id, uid, cluster.seq, cluster.trust_epoch)
    for uid in sorted({grant.uid for grant in await removing.list_grants(unit.tx, unit.account_id, cluster.seq)}):
        await drop_grants_in(unit, cluster.seq, uid)


async def _let_go(act: Act, cluster: Cluster) -> list[str]:
    """Take our mark off the cluster, if it bears it; what is left to do there by hand."""
    facts = await load_facts(act.custody, act.account_id, cluster.seq, int(act.clock()))
    if facts is None:
        return []
    try:
        if await facts.reached.get_kube_system_uid() == facts.reach.kube_system_uid:
            await release(act.custody, act.account_id, facts.reached)
    except ClusterError as error:
        return [f"{error} {_MARK_STAYS}", _ACCOUNT_STAYS]
    return [_ACCOUNT_STAYS]


async def _delete(unit: Change, cluster: Cluster, removal: str) -> None:
    found = await find_cluster_by_seq(unit.tx, unit.account_id, cluster.seq)
    if found is None or found.deleted_at is not None:
        return
    await set_cluster_deleted(unit.tx, unit.account_id, cluster.seq, unit.at)
    await accesses.drop_access(unit.tx, unit.account_id, cluster.seq)
    subject = f"cluster/{cluster.cluster_id}"
    unit.record("cluster_deleted", cluster_seq=cluster.seq, subject=subject, details={"removal": removal})


async def _list_living(tx: Transaction, act: Act, cluster: Cluster) -> list[OwnedCredential]:
    found = await list_all_in_cluster(tx, act.account_id, cluster.seq)
    return [one for one in found if is_live(one.held.facts, act.clock())]


async def _tell(act: Act, cluster: Cluster, state: str, notes: list[str] | None = None) -> RemoveClusterOutput:
    living = await act.read(lambda tx: _list_living(tx, act, cluster))
    ends = [one.held.facts.not_after for one in living]
    known = [end for end in ends if end is not None]
    return RemoveClusterOutput(
        cluster.cluster_id,
        state,
        len(living),
        format_time(max(known)) if known and len(known) == len(ends) else "",
        [_living(one) for one in living[:_SHOWN]],
        notes or [],
    )


def _living(one: OwnedCredential) -> LivingCredential:
    facts = one.held.facts
    ends = "" if facts.not_after is None else format_time(facts.not_after)
    return LivingCredential(one.uid, one.held.common_name, ends, facts.removal_requested_at is not None)
