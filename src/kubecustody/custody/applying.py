"""Applying a list of clusters: each is looked at, and then all of them are recorded in one transaction, or none.

1. What is asked of each, read.
2. Each is looked at; one that does not answer, or does not say who it is, is a fault.
3. Which is registered already, under whatever name, and what is otherwise than asked.
4. What is new or changed is recorded with its events. Of what is as asked nothing is written.

Every fault of each step is told at once, by cluster.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from kubecustody.catalogue.registering import (
    AppliedCluster,
    AppliedClusterInput,
    ApplyClustersInput,
    ApplyClustersOutput,
    ClusterFinding,
)
from kubecustody.cluster.access import Access, access_from_kubeconfig, find_life, load_access
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.core.errors import ClustersNotUsable, Fault, OperatorError
from kubecustody.custody.acts import Act
from kubecustody.custody.changes import Change
from kubecustody.custody.clusters import ClusterFields, prepare_trust, record_cluster, set_fields
from kubecustody.custody.examining import examine
from kubecustody.custody.installation import Custody
from kubecustody.custody.managing import MANAGE, OBSERVE
from kubecustody.custody.observing import Finding, Look, look, record_look
from kubecustody.custody.registering import fields_of_new, given_fields, record_access, set_mode, tell_findings
from kubecustody.pki.certificates import load_certificates
from kubecustody.store import accesses
from kubecustody.store.accesses import Reach
from kubecustody.store.clusters import (
    ClusterDetails,
    find_cluster,
    find_cluster_by_seq,
    find_cluster_details,
    list_clusters_by_name,
)
from kubecustody.store.fleet import Cluster
from kubecustody.store.transactions import Transaction

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 8
_NAMESAKES = 100
_ADDED, _CHANGED, _UNCHANGED = "added", "changed", "unchanged"


class _Wanted(NamedTuple):
    """A cluster as it is asked. place: how a message names it."""

    place: str
    asked: AppliedClusterInput
    access: Access
    fields: ClusterFields


class _Looked(NamedTuple):
    """A cluster that answered. uid: who it is."""

    wanted: _Wanted
    reached: Reached
    seen: Look
    uid: str


class _Known(NamedTuple):
    """A cluster as it is recorded."""

    cluster: Cluster
    details: ClusterDetails
    reach: Reach
    access: Access | None


class _Decided(NamedTuple):
    """What is to be done with a cluster. known: None where it is new."""

    looked: _Looked
    known: _Known | None
    differences: tuple[str, ...]
    replaces_access: bool

    @property
    def change(self) -> str:
        """One of CLUSTER_CHANGES."""
        if self.known is None:
            return _ADDED
        return _CHANGED if self.differences else _UNCHANGED

    @property
    def mode(self) -> str:
        """The mode of the cluster then."""
        if self.known is None or self.known.reach.mode == "none" or self.looked.wanted.asked.observe:
            return OBSERVE
        return self.known.reach.mode


async def apply_clusters(act: Act, request: ApplyClustersInput) -> ApplyClustersOutput:
    """Record clusters as they are asked, all of them or none. Raises ParametersRefused, ClustersNotUsable."""
    wanted = _read_all(request.clusters)  # 1
    looked = await _look_at_all(act, wanted)  # 2
    decided = await act.read(lambda tx: _decide(act.custody, tx, act.account_id, looked))  # 3
    await _each(decided, lambda one: _prepare(act, one))
    if request.dry_run or all(one.change == _UNCHANGED for one in decided):
        return ApplyClustersOutput(recorded=False, clusters=[_applied(one) for one in decided])
    recorded = await act.change(lambda unit: _record_all(act, unit, looked))  # 4
    return ApplyClustersOutput(recorded=True, clusters=[_applied(*one) for one in recorded])


def _applied(one: _Decided, cluster_id: str = "", more: Sequence[Finding] = ()) -> AppliedCluster:
    cluster_id = cluster_id or (one.known.cluster.cluster_id if one.known else "")
    findings = [ClusterFinding(*finding) for finding in (*one.looked.seen.findings, *more)]
    ok = all(finding.ok for finding in findings)
    name = one.looked.wanted.asked.name
    return AppliedCluster(name, cluster_id, one.mode, one.change, [*one.differences], ok, findings)


async def _each(items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """What `work` makes of each, a few at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with slots:
            return await work(item)

    return await asyncio.gather(*map(one, items))


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise ClustersNotUsable(tuple(faults))


# --- what is asked


def _read_all(asked: Sequence[AppliedClusterInput]) -> list[_Wanted]:
    wanted, faults = [], []
    for number, one in enumerate(asked):
        place = f"Clusters[{number}] ({one.name})"
        try:
            access = access_from_kubeconfig(one.kubeconfig.encode(), context=one.context or None)
            wanted.append(_Wanted(place, one, access, fields_of_new(one, access)))
        except OperatorError as fault:
            faults.append(Fault(place, str(fault)))
    names = Counter(one.name for one in asked)
    faults += [Fault("Clusters", f"{count} of them are called {name}.") for name, count in names.items() if count > 1]
    _refuse(faults)
    return wanted


async def _find_used(act: Act, tx: Transaction, one: _Wanted) -> Access:
    """By which access to look: the one in use, where there is one and what is asked would not take its place."""
    for namesake in await list_clusters_by_name(tx, act.account_id, one.asked.name, _NAMESAKES):
        stored = await accesses.find_access(tx, act.account_id, namesake.seq)
        if stored is not None and namesake.deleted_at is None:
            used = load_access(act.custody.open_cluster_access(act.account_id, namesake.seq, stored.sealed))
            if not is_another(one.access, used):
                return used
    return one.access


async def _look_at_all(act: Act, wanted: Sequence[_Wanted]) -> list[_Looked]:
    async def work(one: _Wanted) -> _Looked | Fault:
        access = await act.read(lambda tx: _find_used(act, tx, one))
        reached = Reached(act.custody.connections(), access)
        seen = await look(reached, one.asked.declared_api_servers, act.clock)
        if not seen.reachable or seen.kube_system_uid is None:
            return Fault(one.place, tell_findings(seen.findings))
        return _Looked(one, reached, seen, seen.kube_system_uid)

    found = await _each(wanted, work)
    looked = [one for one in found if isinstance(one, _Looked)]
    faults = [one for one in found if isinstance(one, Fault)]
    places: dict[str, list[str]] = {}
    for one in looked:
        places.setdefault(one.uid, []).append(one.wanted.place)
    faults += [Fault("Clusters", f"{' and '.join(same)} are one cluster.") for same in places.values() if len(same) > 1]
    _refuse(faults)
    return looked


# --- what is otherwise


async def _decide(custody: Custody, tx: Transaction, account_id: str, looked: Sequence[_Looked]) -> list[_Decided]:
    """What is to be done with each. Raises ClustersNotUsable where names are taken, or two would become one."""
    decided = [_compare(one, await _find_known(custody, tx, account_id, one)) for one in looked]
    taken = {one.known.cluster.seq for one in decided if one.known}
    faults, met = [], set()
    for one in decided:
        name, place = one.looked.wanted.asked.name, one.looked.wanted.place
        for other in await list_clusters_by_name(tx, account_id, name, _NAMESAKES):
            if other.deleted_at is None and other.seq not in taken:
                text = f"There is a cluster called {name} already ({other.cluster_id}). Give another name."
                faults.append(Fault(place, text))
        if one.known is not None and one.known.cluster.seq in met:
            faults.append(Fault(place, f"It would be {one.known.cluster.cluster_id}, as another of the list."))
        met |= {one.known.cluster.seq} if one.known else set()
    _refuse(faults)
    return decided


async def _find_known(custody: Custody, tx: Transaction, account_id: str, looked: _Looked) -> _Known | None:
    """The cluster of the account that this one is: by who it is, else one of the name that was never reached."""
    cluster = None
    found = await accesses.find_by_identity(tx, account_id, looked.uid)
    if found is not None:
        cluster = await find_cluster(tx, account_id, found[0])
    else:
        for one in await list_clusters_by_name(tx, account_id, looked.wanted.asked.name, _NAMESAKES):
            reach = await accesses.find_reach(tx, account_id, one.seq)
            if one.deleted_at is None and reach.kube_system_uid is None:
                cluster = cluster or one
    details = await find_cluster_details(tx, account_id, cluster.seq) if cluster else None
    if cluster is None or details is None:
        return None
    reach = await accesses.find_reach(tx, account_id, cluster.seq)
    stored = await accesses.find_access(tx, account_id, cluster.seq)
    opened = load_access(custody.open_cluster_access(account_id, cluster.seq, stored.sealed)) if stored else None
    return _Known(cluster, details, reach, opened)


def _compare(looked: _Looked, known: _Known | None) -> _Decided:
    if known is None:
        return _Decided(looked, None, (), replaces_access=True)
    replaces = known.access is None or is_another(looked.wanted.access, known.access)
    told = [f"{what} {old or '(none)'} -> {new}" for what, old, new in _differences(looked.wanted.asked, known)]
    if replaces:
        told.append("its access" if known.access else "it is reached")
    return _Decided(looked, known, tuple(told), replaces)


def _differences(asked: AppliedClusterInput, known: _Known) -> Iterator[tuple[str, str, str]]:
    before, details, reach = known.cluster, known.details, known.reach
    mode = OBSERVE if asked.observe and reach.mode == MANAGE else ""
    servers = asked.declared_api_servers
    pairs = (
        ("name", before.name, asked.name),
        ("region", details.region_id, asked.region_id),
        ("public endpoint", details.public_endpoint or "", asked.public_endpoint),
        ("private endpoint", details.private_endpoint or "", asked.private_endpoint),
        ("API servers", str(reach.declared_api_servers or ""), "" if servers is None else str(servers)),
        ("mode", reach.mode, mode),
    )
    return ((what, old, new) for what, old, new in pairs if new not in ("", old))


def is_another(asked: Access, used: Access) -> bool:
    """Whether an access is to take the place of the one in use.

    One of the same account that began earlier is not: it is what the one in use was renewed from.
    """
    if asked == used:
        return False
    if any(getattr(asked, name) != getattr(used, name) for name in ("endpoint", "server_ca", "tls_server_name")):
        return True
    before, after = find_life(used), find_life(asked)
    if before is None or after is None or _account_of(asked) != _account_of(used):
        return True
    return after.begins_at > before.begins_at


def _account_of(access: Access) -> tuple[str, ...] | None:
    """As whom an access comes, None where it does not say."""
    life = find_life(access)
    if access.token is not None:
        return ("token", life.namespace, life.name) if life and life.name else None
    leaf = load_certificates(access.certificate or b"")[0]
    return ("certificate", leaf.common_name or "", *leaf.organizations)


# --- recording


async def _prepare(act: Act, one: _Decided) -> None:
    """Find out what needs no transaction: the rights; of one that is there, what its client CA says of credentials."""
    seen = one.looked.seen
    if one.change != _UNCHANGED:
        seen.findings += await examine(act.custody, one.looked.reached, one.mode, act.clock)
    if one.known is not None and seen.client_ca is not None:
        seen.trust_epoch = one.known.cluster.trust_epoch
        with contextlib.suppress(OperatorError):  # which record_look tells
            seen.judged = await prepare_trust(act.custody, act.account_id, one.known.cluster, seen.client_ca)


async def _record_all(act: Act, unit: Change, looked: Sequence[_Looked]) -> list[tuple[_Decided, str, list[Finding]]]:
    """Decide anew, in the transaction that records it: what was done, the id, and what follows for the report."""
    decided = await _decide(act.custody, unit.tx, unit.account_id, looked)
    return [(one, *await _record(act, unit, one)) for one in decided]


async def _record(act: Act, unit: Change, one: _Decided) -> tuple[str, list[Finding]]:
    wanted, known = one.looked.wanted, one.known
    if known is None:
        seq, _ = await record_cluster(act.custody, unit, wanted.fields, name_is_free=True)
    elif one.change == _UNCHANGED:
        return known.cluster.cluster_id, []
    else:
        seq = known.cluster.seq
        await set_fields(unit, known.cluster, given_fields(wanted.asked), name_is_free=True)
    servers = wanted.asked.declared_api_servers
    if one.replaces_access:
        await record_access(act, unit, seq, wanted.access, servers)
    elif known is not None and servers not in (None, known.reach.declared_api_servers):
        await accesses.set_reach(unit.tx, unit.account_id, seq, known.reach._replace(declared_api_servers=servers))
        unit.record("cluster_details_changed", cluster_seq=seq, details={"declared_api_servers": servers})
    cluster = await find_cluster_by_seq(unit.tx, unit.account_id, seq)
    assert cluster is not None
    if known is not None and known.reach.mode == MANAGE and wanted.asked.observe:
        await set_mode(unit, cluster, OBSERVE)
    return cluster.cluster_id, await record_look(unit, cluster, one.looked.seen)
