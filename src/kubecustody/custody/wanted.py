"""What is wanted in a cluster, as the store has it at one moment."""

from dataclasses import dataclass

from kubecustody.cluster.client import Cluster as Reached
from kubecustody.core.bindings import Grant
from kubecustody.core.clocks import seconds_behind
from kubecustody.custody.installation import Custody
from kubecustody.custody.observing import open_cluster
from kubecustody.store import accesses, removing
from kubecustody.store.accesses import Reach
from kubecustody.store.clusters import find_cluster_by_seq, find_observation
from kubecustody.store.fleet import Cluster
from kubecustody.store.removing import WantedRemoval
from kubecustody.store.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Facts:
    """What is wanted in a cluster, as the store has it at one moment."""

    reached: Reached
    cluster: Cluster
    reach: Reach
    grants: tuple[Grant, ...]
    dropped: frozenset[Grant]
    names: dict[str, list[str]]
    removals: tuple[WantedRemoval, ...]

    @property
    def removed_names(self) -> frozenset[str]:
        """The user names that are over by our own records."""
        return frozenset(one.cn for one in self.removals)


async def load_facts(custody: Custody, account_id: str, cluster_seq: int, now: int) -> Facts | None:
    """What is wanted in a cluster; None where it is not reached, or not there any more."""

    async def work(tx: Transaction) -> Facts | None:
        cluster = await find_cluster_by_seq(tx, account_id, cluster_seq)
        seen = await find_observation(tx, account_id, cluster_seq)
        # What ended here may live there for a while, so that it must still be proved to be powerless.
        there = now - seconds_behind(seen.clock_skew_seconds if seen else None)
        reached = await open_cluster(custody, tx, account_id, cluster_seq)
        if cluster is None or cluster.deleted_at is not None or reached is None:
            return None
        return Facts(
            reached,
            cluster,
            await accesses.find_reach(tx, account_id, cluster_seq),
            tuple(await removing.list_grants(tx, account_id, cluster_seq)),
            frozenset(await removing.list_dropped_grants(tx, account_id, cluster_seq)),
            await removing.list_current_names(tx, account_id, cluster_seq, now),
            tuple(await removing.list_wanted_removals(tx, account_id, cluster_seq, there)),
        )

    return await custody.store.read(work)
