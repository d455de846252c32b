"""Looking at clusters: who they are, whom they trust, whether they answer. Nothing is written to them.

A look gathers facts without a transaction; `record_look` then writes what changed, in one. A cluster that does not
answer keeps what was last seen of it, and is shown as not reachable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from kubecustody.cluster.access import load_access
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.clocks import TOLERATED_SECONDS, is_tolerated, skew_between, tell_skew
from kubecustody.core.errors import OperatorError
from kubecustody.core.states import ClusterState, RemovedBy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import prepare_trust, trust_bundle
from kubecustody.custody.installation import Custody
from kubecustody.custody.removals import withdraw_one
from kubecustody.custody.verdicts import NO_JUDGEMENTS, Judgements
from kubecustody.store import accesses
from kubecustody.store.accesses import Reach
from kubecustody.store.clusters import find_cluster_by_seq, find_observation, forget_trust
from kubecustody.store.credentials import list_all_in_cluster
from kubecustody.store.fleet import Cluster
from kubecustody.store.transactions import Transaction

T = TypeVar("T")

OBSERVER = "kubecustody:observer"
_OBSERVER = Author(OBSERVER)
_LONGEST_LOOK_SECONDS = 60


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    ok: bool
    text: str


@dataclass(slots=True)
class Look:
    """What was seen in a cluster; None for what was not. trust_epoch: in force when the look began; judged: what the
    client CA that was seen says of the certificates; clock_skew_seconds: by how much its clock is ahead.

    reachable: an API server proved who it is and answered.
    """

    reachable: bool = False
    version: str | None = None
    kube_system_uid: str | None = None
    client_ca: bytes | None = None
    api_servers: tuple[str, ...] = ()
    clock_skew_seconds: int | None = None
    trust_epoch: int | None = None
    judged: Judgements = field(default_factory=lambda: NO_JUDGEMENTS)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return all(finding.ok for finding in self.findings)


async def look(cluster: Reached, declared_api_servers: int | None, clock: Callable[[], float]) -> Look:
    """Look at a cluster, for so long at most. Nothing is raised: what fails is a finding."""
    seen = Look()
    try:
        async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
            await _look(seen, cluster, declared_api_servers, clock)
    except TimeoutError:
        seen.findings.append(Finding("time", False, f"It was not done within {_LONGEST_LOOK_SECONDS} s."))
    except OperatorError as error:  # our own access cannot be used, such as a key that TLS does not take
        seen.findings.append(Finding("access", False, str(error)))
    return seen


async def _look(seen: Look, cluster: Reached, declared_api_servers: int | None, clock: Callable[[], float]) -> None:
    before = clock()
    answered = await _find(seen, "version", cluster.get_version_and_time, lambda told: f"Kubernetes {told[0]}.")
    if answered is None:
        return
    seen.reachable = True
    seen.version, there = answered
    seen.clock_skew_seconds = None if there is None else skew_between(there, before, clock())
    seen.findings.append(_judge_clock(seen.clock_skew_seconds))
    seen.kube_system_uid = await _find(
        seen, "identity", cluster.get_kube_system_uid, lambda uid: f"kube-system is {uid}."
    )
    await _find_client_ca(seen, cluster)
    await _find_api_servers(seen, cluster, declared_api_servers)


def _judge_clock(skew: int | None) -> Finding:
    if skew is None:
        return Finding("clock", True, "The cluster does not tell its time.")
    if is_tolerated(skew):
        return Finding("clock", True, f"Its clock and this server's agree to {TOLERATED_SECONDS} s.")
    follows = (
        "certificates end there so much sooner than is said here"
        if skew > 0
        else "certificates are taken there so much longer than is said here"
    )
    text = f"Its clock is {tell_skew(skew)}: {follows}. Let both follow the same time (NTP)."
    return Finding("clock", False, text)


async def _find(seen: Look, what: str, ask: Callable[[], Awaitable[T]], tell: Callable[[T], str]) -> T | None:
    try:
        found = await ask()
    except ClusterError as error:
        seen.findings.append(Finding(what, False, str(error)))
        return None
    seen.findings.append(Finding(what, True, tell(found)))
    return found


async def _find_client_ca(seen: Look, cluster: Reached) -> None:
    try:
        seen.client_ca = await cluster.get_client_ca()
    except ClusterError as error:
        seen.findings.append(Finding("client_ca", False, str(error)))
        return
    if seen.client_ca is None:
        text = "The cluster does not say which CA's client certificates it takes; give it with `admin clusters set`."
        seen.findings.append(Finding("client_ca", False, text))
    else:
        seen.findings.append(Finding("client_ca", True, "It says which CAs' client certificates it takes."))


async def _find_api_servers(seen: Look, cluster: Reached, declared: int | None) -> None:
    servers = await _find(
        seen, "api_servers", cluster.list_api_servers, lambda found: f"It names {', '.join(found) or 'none'}."
    )
    if servers is None:
        return
    seen.api_servers = tuple(servers)
    foreign = [server for server in servers if cluster.is_foreign(server)]
    if foreign:
        seen.findings[-1] = Finding("api_servers", False, _tell_foreign(foreign))
    elif declared is not None and declared != len(servers):
        seen.findings[-1] = Finding(
            "api_servers", False, f"It names {len(servers)} API servers, and {declared} are declared."
        )


def _tell_foreign(servers: Sequence[str]) -> str:
    return (
        f"It names {', '.join(servers)} as API servers of its own, to which nothing is ever sent from here (loopback, "
        "link-local, or outside cluster_networks): no removal can be proved there."
    )


async def open_cluster(custody: Custody, tx: Transaction, account_id: str, cluster_seq: int) -> Reached | None:
    """The cluster as this server reaches it; None where it does not."""
    stored = await accesses.find_access(tx, account_id, cluster_seq)
    if stored is None:
        return None
    access = load_access(custody.open_cluster_access(account_id, cluster_seq, stored.sealed))
    return Reached(custody.connections(), access)


async def record_look(unit: Change, cluster: Cluster, seen: Look) -> list[Finding]:
    """Write what a look saw, as far as it changed; what follows from it for whoever reads the report."""
    reach = await accesses.find_reach(unit.tx, unit.account_id, cluster.seq)
    before = await find_observation(unit.tx, unit.account_id, cluster.seq)
    known = reach.kube_system_uid
    foreign = bool(known and seen.kube_system_uid and seen.kube_system_uid != known)
    reachable = seen.reachable and not foreign
    changed = before is None or before.reachable != reachable
    await accesses.set_observation(
        unit.tx,
        unit.account_id,
        cluster.seq,
        unit.at,
        reachable=reachable,
        clock_skew_seconds=seen.clock_skew_seconds,
    )
    if foreign:
        return await _note_other_cluster(unit, cluster, reach, seen.kube_system_uid or "", changed=changed)
    if changed:
        kind = "cluster_reached" if reachable else "cluster_not_reached"
        unit.record(kind, cluster_seq=cluster.seq, subject=f"cluster/{cluster.cluster_id}")
    if not reachable:
        return []
    _note_clock(unit, cluster, before.clock_skew_seconds if before else None, seen.clock_skew_seconds)
    after = reach._replace(
        kubernetes_version=seen.version, kube_system_uid=seen.kube_system_uid or reach.kube_system_uid
    )
    if after != reach:
        await accesses.set_reach(unit.tx, unit.account_id, cluster.seq, after)
        details = {"version": after.kubernetes_version, "kube_system_uid": after.kube_system_uid}
        unit.record("cluster_seen", cluster_seq=cluster.seq, subject=f"cluster/{cluster.cluster_id}", details=details)
    if cluster.seen_state != ClusterState.RUNNING:
        await accesses.set_seen_state(unit.tx, unit.account_id, cluster.seq, ClusterState.RUNNING)
        unit.record(
            "cluster_state_seen",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"state": ClusterState.RUNNING},
        )
    if seen.kube_system_uid is None and known is not None:
        return []  # it did not say who it is, so its word about its CA is not taken
    if changed:
        await _end_attestations(unit, cluster)
    return await _follow_trust(unit, cluster, seen)


def _note_clock(unit: Change, cluster: Cluster, before: int | None, skew: int | None) -> None:
    """That its clock went away from this server's, or came back to it, is an event; not each second of it."""
    if is_tolerated(skew) != is_tolerated(before):
        kind = "cluster_clock_agrees" if is_tolerated(skew) else "cluster_clock_differs"
        details = {"clock_skew_seconds": skew}
        unit.record(kind, cluster_seq=cluster.seq, subject=f"cluster/{cluster.cluster_id}", details=details)


async def _end_attestations(unit: Change, cluster: Cluster) -> None:
    """At the first contact attestations lapse: from now on the cluster itself must prove them. The wish stays."""
    for owned in await list_all_in_cluster(unit.tx, unit.account_id, cluster.seq):
        if owned.held.facts.removed_by is RemovedBy.ATTESTED:
            await withdraw_one(unit, cluster, owned, kind="lapsed", reason="the cluster can be reached again")


async def _note_other_cluster(
    unit: Change, cluster: Cluster, reach: Reach, uid: str, *, changed: bool
) -> list[Finding]:
    """Another cluster answers at the address: nothing of it is taken for this one's, and nothing is vouched for any
    more, until the cluster that was registered answers again.
    """
    if changed:
        await forget_trust(unit.tx, unit.account_id, cluster)
        unit.record(
            "cluster_identity_changed",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"before": reach.kube_system_uid, "kube_system_uid": uid},
        )
    text = (
        f"Another cluster answers there: kube-system is {uid}, and was {reach.kube_system_uid}. Nothing is taken of it."
    )
    return [Finding("identity", False, text)]


async def _follow_trust(unit: Change, cluster: Cluster, seen: Look) -> list[Finding]:
    if seen.client_ca is None or (seen.trust_epoch is not None and seen.trust_epoch != cluster.trust_epoch):
        return []  # somebody else was faster, and what was seen may be older than that
    try:
        changed = await trust_bundle(unit, cluster, seen.client_ca, seen.judged)
    except OperatorError as error:
        return [Finding("client_ca", False, f"What the cluster says of its client CA cannot be used. {error}")]
    if changed is None or changed.epoch == 1:
        return []
    text = f"Its client CA changed; {changed.judged} certificates were judged anew."
    return [Finding("client_ca", True, text)]


async def observe(
    custody: Custody,
    account_id: str,
    cluster_seq: int,
    clock: Callable[[], float],
    author: Author = _OBSERVER,
) -> Look | None:
    """Look at a cluster and record it; None where it is not reached, or not there any more."""

    async def prepare(tx: Transaction) -> tuple[Reached | None, Reach, Cluster | None]:
        reached = await open_cluster(custody, tx, account_id, cluster_seq)
        reach = await accesses.find_reach(tx, account_id, cluster_seq)
        return reached, reach, await find_cluster_by_seq(tx, account_id, cluster_seq)

    reached, reach, before = await custody.store.read(prepare)
    if reached is None or before is None or before.deleted_at is not None:
        return None
    seen = await look(reached, reach.declared_api_servers, clock)
    seen.trust_epoch = before.trust_epoch
    if seen.client_ca is not None:
        with suppress(OperatorError):  # which record_look tells
            seen.judged = await prepare_trust(custody, account_id, before, seen.client_ca)

    async def work(unit: Change) -> list[Finding]:
        cluster = await find_cluster_by_seq(unit.tx, account_id, cluster_seq)
        if cluster is None or cluster.deleted_at is not None:
            return []
        return await record_look(unit, cluster, seen)

    seen.findings += await change(custody.store, account_id, author, clock, work)
    return seen
