"""Deleting somebody who may still get in: what they hold is told first, and somebody decides about it."""

from typing import NamedTuple

from kubecustody.core.errors import ClusterStateForbids, OperatorError
from kubecustody.core.states import CertState, is_live, state_of_credential
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.cleaning import clean, drop_grants_in
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import delete_within, get_alive
from kubecustody.store.clusters import find_cluster_by_seq
from kubecustody.store.fleet import Cluster, list_unended
from kubecustody.store.grants import EVERY_CLUSTER_SEQ, list_grants_of
from kubecustody.store.tasks import list_clusters_of_person
from kubecustody.store.transactions import Transaction

_SHOWN_IN_ONE_CLUSTER = 1000


class Held(NamedTuple):
    """One credential with which somebody may get in."""

    cluster_id: str
    cluster_name: str
    state: CertState
    not_after: int | None
    common_name: str
    fingerprint: str
    removal_requested: bool


class Departure(NamedTuple):
    """Somebody who is to be deleted: every credential that may let them in, and what they are permitted."""

    uid: str
    held: list[Held]
    roles: list[str]

    @property
    def may_get_in(self) -> bool:
        """Whether anything of theirs lives that nobody has asked to remove, or a permission stands."""
        return bool(self.roles) or any(not one.removal_requested for one in self.held)


class Deleted(NamedTuple):
    """Who was deleted. asked: of how many credentials the removal was asked; closed: ids of clusters in which nothing
    can be asked, as their state forbids it.
    """

    uid: str
    asked: int
    closed: list[str]


async def look_at_departure(custody: Custody, account_id: str, who: str, now: float) -> Departure:
    """What a user or role, who is not deleted, may still get in with. Raises OperatorError."""

    async def work(tx: Transaction) -> Departure:
        return await _look(tx, account_id, (await get_alive(tx, account_id, who)).uid, now)

    return await custody.store.read(work)


async def delete_powerless(custody: Custody, account_id: str, author: Author, now: float, who: str) -> str:
    """Delete somebody who may get in nowhere; the uid. Raises OperatorError where they may."""

    async def work(unit: Change) -> str:
        principal = await get_alive(unit.tx, account_id, who)
        if (await _look(unit.tx, account_id, principal.uid, unit.now)).may_get_in:
            raise OperatorError(
                f"{who} may still get into clusters and is not deleted: say --clean to have all of that removed, or "
                "--keep-access to leave it as it is."
            )
        return await delete_within(unit, principal)

    return await change(custody.store, account_id, author, now, work)


async def _look(tx: Transaction, account_id: str, uid: str, now: float) -> Departure:
    held = [
        Held(
            cluster.cluster_id,
            cluster.name,
            state_of_credential(one.facts, cluster.trust_epoch, now),
            one.facts.not_after,
            one.common_name,
            one.fingerprint.hex() if one.fingerprint else "",
            one.facts.removal_requested_at is not None,
        )
        for cluster in await _clusters_of(tx, account_id, uid, int(now))
        for one in await list_unended(tx, account_id, uid, cluster.seq, int(now), _SHOWN_IN_ONE_CLUSTER)
        if is_live(one.facts, now)
    ]
    roles = sorted({grant.role_name for grant in await list_grants_of(tx, account_id, uid)})
    return Departure(uid, held, roles)


async def delete_and_clean(custody: Custody, account_id: str, author: Author, now: float, who: str) -> Deleted:
    """Ask the removal of all that somebody holds, take their permissions away, and delete them: all or nothing."""

    async def work(unit: Change) -> Deleted:
        principal = await get_alive(unit.tx, account_id, who)
        asked, closed = 0, []
        for cluster in await _clusters_of(unit.tx, account_id, principal.uid, unit.at):
            try:
                asked += await clean(unit, cluster, principal.uid, force=True)
            except ClusterStateForbids:
                closed.append(cluster.cluster_id)
        await drop_grants_in(unit, EVERY_CLUSTER_SEQ, principal.uid)
        return Deleted(await delete_within(unit, principal), asked, closed)

    return await change(custody.store, account_id, author, now, work)


async def _clusters_of(tx: Transaction, account_id: str, uid: str, now: int) -> list[Cluster]:
    """Where somebody holds something that may live, or is permitted something, in the order of the list."""
    found = []
    for seq, _ in sorted(await list_clusters_of_person(tx, account_id, uid, now)):
        cluster = await find_cluster_by_seq(tx, account_id, seq)
        if cluster is not None:
            found.append(cluster)
    return found
