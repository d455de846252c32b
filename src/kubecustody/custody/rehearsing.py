"""What removing a person's credentials and permissions in a cluster would do, by the facts of now."""

from kubecustody.catalogue.rehearsing import Rehearsal, RehearsedCredential, RehearsedPermission
from kubecustody.core.prospects import Keeping, foresee
from kubecustody.core.states import is_live, state_of_credential
from kubecustody.core.times import format_time
from kubecustody.store.accesses import find_reach
from kubecustody.store.clusters import find_cluster_details, find_observation
from kubecustody.store.fleet import Cluster, list_unended
from kubecustody.store.grants import list_grants_of
from kubecustody.store.transactions import Transaction

_EVERY_ONE = 2**31


async def rehearse(
    tx: Transaction, account_id: str, cluster: Cluster, uid: str, now: float, *, cleans: bool
) -> Rehearsal:
    """What a clean of the person in the cluster would do; without `cleans` only the credentials are asked for."""
    keeping = await find_keeping(tx, account_id, cluster.seq, cleans=cleans)
    held = await list_unended(tx, account_id, uid, cluster.seq, int(now), _EVERY_ONE)
    credentials = [
        RehearsedCredential(
            cluster.cluster_id,
            cluster.name,
            one.fingerprint.hex() if one.fingerprint else "",
            one.common_name,
            state_of_credential(one.facts, cluster.trust_epoch, now),
            "" if one.facts.not_after is None else format_time(one.facts.not_after),
            foresee(one.facts, keeping, now),
        )
        for one in held
        if is_live(one.facts, now)
    ]
    return Rehearsal(credentials, await _permissions(tx, account_id, cluster, uid) if cleans else [], [])


async def why_not_written(tx: Transaction, account_id: str, cluster_seq: int) -> str:
    """Why nothing is written to a cluster, as a sentence; "" where it is."""
    mode = (await find_reach(tx, account_id, cluster_seq)).mode
    if mode == "none":
        return "this server has no access to the cluster."
    return "" if mode == "manage" else "the cluster is only observed, and nothing is written to it."


async def find_keeping(tx: Transaction, account_id: str, cluster_seq: int, *, cleans: bool) -> Keeping:
    """How a cluster is kept. Its operator's word is about cleaning, and only while the cluster is not reached."""
    reach = await find_reach(tx, account_id, cluster_seq)
    details = await find_cluster_details(tx, account_id, cluster_seq)
    seen = await find_observation(tx, account_id, cluster_seq)
    word = (
        cleans and details is not None and bool(details.attest_on_clean) and not (seen is not None and seen.reachable)
    )
    return Keeping(managed=reach.mode == "manage", attests=word)


async def _permissions(tx: Transaction, account_id: str, cluster: Cluster, uid: str) -> list[RehearsedPermission]:
    return [
        RehearsedPermission(cluster.cluster_id, cluster.name, grant.namespace, grant.role_name)
        for grant in await list_grants_of(tx, account_id, uid)
        if grant.cluster_seq == cluster.seq
    ]


def join(parts: list[Rehearsal]) -> Rehearsal:
    """One rehearsal of several clusters."""
    return Rehearsal(
        [one for part in parts for one in part.credentials],
        [one for part in parts for one in part.permissions],
        [one for part in parts for one in part.refused],
    )
