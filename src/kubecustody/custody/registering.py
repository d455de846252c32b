"""Registering clusters that can be reached: looked at first, then recorded, and from then on observed."""

from collections.abc import Sequence

from kubecustody.catalogue.clusters import MOST_TWINS
from kubecustody.catalogue.registering import (
    AppliedClusterInput,
    ClusterFinding,
    ClusterReportOutput,
    ManageClusterInput,
    ManageClusterOutput,
    PlannedStep,
    RegisterClusterInput,
    TestClusterInput,
)
from kubecustody.cluster.access import Access, access_from_kubeconfig, check_endpoint, dump_access, find_life
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.bindings import Delete, Step, check_brake, hash_of, tell_beyond_reach
from kubecustody.core.errors import (
    ClusterNotFound,
    ClusterNotUsable,
    ClusterStateForbids,
    Fault,
    OperatorError,
    ParametersRefused,
    PlanChanged,
)
from kubecustody.custody.acts import Act
from kubecustody.custody.changes import Change
from kubecustody.custody.clusters import ClusterFields, check_name_is_free, record_cluster, set_fields
from kubecustody.custody.examining import examine
from kubecustody.custody.installation import seal_cluster_access
from kubecustody.custody.managing import (
    MANAGE,
    NOT_OURS,
    OBSERVE,
    find_explained,
    find_role_faults,
    look_and_manage,
    make_plan,
    take_ownership,
)
from kubecustody.custody.observing import Finding, Look, look, open_cluster, record_look
from kubecustody.custody.signers import set_csr_signer
from kubecustody.custody.wanted import Facts, load_facts
from kubecustody.store import accesses
from kubecustody.store.accesses import StoredAccess
from kubecustody.store.clusters import (
    Twin,
    find_cluster,
    find_cluster_by_seq,
    list_clusters_by_name,
    list_of_same_client_ca,
)
from kubecustody.store.fleet import Cluster
from kubecustody.store.issuing import find_signer
from kubecustody.store.transactions import Transaction


async def register_cluster(act: Act, request: RegisterClusterInput) -> ClusterReportOutput:
    """Record a cluster that answers. Raises ParametersRefused, ClusterNotUsable."""
    access = _read_access(request)
    fields = _read_fields(request, access)
    reached = Reached(act.custody.connections(), access)
    seen = await look(reached, request.declared_api_servers, act.clock)
    if not seen.reachable or seen.kube_system_uid is None:
        raise ClusterNotUsable(tell_findings(seen.findings))
    seen.findings += await examine(act.custody, reached, "none", act.clock)
    uid = seen.kube_system_uid
    if request.dry_run:
        return _report(await act.read(lambda tx: _rehearse(tx, act.account_id, request, uid)), seen)

    async def work(unit: Change) -> tuple[str, list[Finding]]:
        twin = await _find_twin(unit.tx, unit.account_id, request, uid)
        seq = twin.seq if twin else (await record_cluster(act.custody, unit, fields))[0]
        if twin is not None and request.replace_fields:
            await set_fields(unit, twin, given_fields(request))
        await record_access(act, unit, seq, access, request.declared_api_servers)
        cluster = await find_cluster_by_seq(unit.tx, unit.account_id, seq)
        if cluster is None:
            raise ClusterNotUsable("it was removed meanwhile.")
        return cluster.cluster_id, await record_look(unit, cluster, seen)

    try:
        cluster_id, findings = await act.change(work)
    except OperatorError as fault:
        raise ClusterNotUsable(str(fault)) from fault
    seen.findings += findings
    return _report(cluster_id, seen)


async def _rehearse(tx: Transaction, account_id: str, request: RegisterClusterInput, kube_system_uid: str) -> str:
    """The id of the cluster that this one is already, "" where it would be recorded. Raises ClusterNotUsable."""
    twin = await _find_twin(tx, account_id, request, kube_system_uid)
    if twin is None or (request.replace_fields and twin.name != request.name):
        try:
            await check_name_is_free(tx, account_id, request.name)
        except OperatorError as fault:
            raise ClusterNotUsable(str(fault)) from fault
    return twin.cluster_id if twin else ""


async def _find_twin(
    tx: Transaction, account_id: str, request: RegisterClusterInput, kube_system_uid: str
) -> Cluster | None:
    """The cluster of the account that this one is already; with ReplaceAccess also one that was never reached.

    Raises ClusterNotUsable where there is one, and its access is not to be replaced.
    """
    found = await accesses.find_by_identity(tx, account_id, kube_system_uid)
    if found is not None and not request.replace_access:
        raise ClusterNotUsable(f"It is registered already, as {found[1]} ({found[0]}).")
    if found is not None:
        return await find_cluster(tx, account_id, found[0])
    namesakes = await list_clusters_by_name(tx, account_id, request.name, 1) if request.replace_access else []
    for one in namesakes:
        reach = await accesses.find_reach(tx, account_id, one.seq)
        if one.deleted_at is None and reach.kube_system_uid is None:
            return one
    return None


def given_fields(request: RegisterClusterInput | AppliedClusterInput) -> ClusterFields:
    """What the request says of a cluster that is there already; what it does not say stays."""
    return ClusterFields(
        name=request.name,
        region_id=request.region_id or None,
        public_endpoint=request.public_endpoint or None,
        private_endpoint=request.private_endpoint or None,
    )


def _read_access(request: RegisterClusterInput) -> Access:
    try:
        return access_from_kubeconfig(request.kubeconfig.encode(), context=request.context or None)
    except OperatorError as fault:
        raise ParametersRefused((Fault("Kubeconfig", str(fault)),)) from fault


def _read_fields(request: RegisterClusterInput, access: Access) -> ClusterFields:
    given = {"PublicEndpoint": request.public_endpoint, "PrivateEndpoint": request.private_endpoint}
    faults = [Fault(name, fault) for name, endpoint in given.items() if endpoint and (fault := _fault_of(endpoint))]
    if faults:
        raise ParametersRefused(tuple(faults))
    try:
        return fields_of_new(request, access)
    except OperatorError as fault:
        raise ParametersRefused((Fault("Name", str(fault)),)) from fault


def _fault_of(endpoint: str) -> str:
    try:
        check_endpoint(endpoint)
    except OperatorError as fault:
        return str(fault)
    return ""


def fields_of_new(request: RegisterClusterInput | AppliedClusterInput, access: Access) -> ClusterFields:
    """What is recorded of a cluster that was not there. Raises OperatorError."""
    return ClusterFields(
        name=request.name,
        region_id=request.region_id or None,
        server_ca=access.server_ca,
        manage_endpoint=access.endpoint,
        public_endpoint=request.public_endpoint or access.endpoint,
        private_endpoint=request.private_endpoint or None,
        tls_server_name=access.tls_server_name,
    )


async def record_access(act: Act, unit: Change, seq: int, access: Access, declared: int | None) -> None:
    """Record how a cluster is reached, sealed; one that was a record alone is observed from then on."""
    sealed = seal_cluster_access(act.custody.sealer, unit.account_id, seq, dump_access(access))
    life = find_life(access)
    expires_at = life.ends_at if life else None
    kind = "token" if access.token else "certificate"
    await accesses.set_access(unit.tx, unit.account_id, seq, StoredAccess(kind, sealed, expires_at), unit.at)
    reach = await accesses.find_reach(unit.tx, unit.account_id, seq)
    mode = OBSERVE if reach.mode == "none" else reach.mode
    after = reach._replace(mode=mode, declared_api_servers=declared or reach.declared_api_servers)
    await accesses.set_reach(unit.tx, unit.account_id, seq, after)
    unit.record("cluster_access_recorded", cluster_seq=seq, details={"kind": kind, "expires_at": expires_at})


async def test_cluster(act: Act, request: TestClusterInput) -> ClusterReportOutput:
    """Look at a cluster now. Raises ClusterNotFound, ClusterStateForbids where it is not reached."""
    cluster = await act.read(lambda tx: find_cluster(tx, act.account_id, request.cluster_id))
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    seen = await look_and_manage(act.custody, act.account_id, cluster.seq, act.clock, author=act.author)
    if seen is None:
        raise ClusterStateForbids(cluster.cluster_id, "this server has no access to it; RegisterCluster gives one.")
    if seen.reachable:
        told = {finding.what for finding in seen.findings}
        seen.findings += [one for one in await _examine(act, cluster.seq) if one.what not in told]
    twins = await act.read(lambda tx: list_of_same_client_ca(tx, act.account_id, cluster.seq, MOST_TWINS))
    seen.findings += [_tell_twins(twins)] if twins else []
    return _report(cluster.cluster_id, seen)


async def _examine(act: Act, cluster_seq: int) -> list[Finding]:
    async def work(tx: Transaction) -> tuple[Reached | None, str]:
        reach = await accesses.find_reach(tx, act.account_id, cluster_seq)
        return await open_cluster(act.custody, tx, act.account_id, cluster_seq), reach.mode

    reached, mode = await act.read(work)
    return [] if reached is None else await examine(act.custody, reached, mode, act.clock)


def _tell_twins(twins: Sequence[Twin]) -> Finding:
    """Which other clusters of the account may let in the same credentials; of other accounts nothing is told."""
    named = ", ".join(f"{twin.name} ({twin.cluster_id})" for twin in twins)
    text = f"{named} trust the same client CA key, and may let in the same kubeconfigs."
    unmanaged = [twin.name for twin in twins if twin.mode != MANAGE]
    if unmanaged:
        text += f" Nothing is asked or proved in {', '.join(unmanaged)}, which this server does not manage."
    return Finding("shared_ca", True, text)


async def manage_cluster(act: Act, request: ManageClusterInput) -> ManageClusterOutput:
    """Show what managing would change, begin to manage, or only observe again.

    Raises ClusterNotFound, ClusterStateForbids where it is not reached, ClusterNotUsable, PlanChanged.
    """
    cluster = await act.read(lambda tx: find_cluster(tx, act.account_id, request.cluster_id))
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    if request.mode == OBSERVE:
        await act.change(lambda unit: set_mode(unit, cluster, OBSERVE))
        return ManageClusterOutput(OBSERVE, "", [], [])
    facts = await load_facts(act.custody, act.account_id, cluster.seq, int(act.clock()))
    if facts is None:
        raise ClusterStateForbids(cluster.cluster_id, "this server has no access to it; RegisterCluster gives one.")
    try:
        seen = await facts.reached.list_bindings()
        uid = await facts.reached.get_kube_system_uid()
    except ClusterError as error:
        raise ClusterNotUsable(str(error)) from error
    if uid != facts.reach.kube_system_uid:
        raise ClusterNotUsable("another cluster answers there; nothing is written to it.")
    plan = make_plan(facts, seen, act.account_id)
    plan_hash = hash_of(plan)
    mode = facts.reach.mode
    if request.plan_hash:
        if request.plan_hash != plan_hash:
            raise PlanChanged(cluster.cluster_id)
        await _take_ownership(act, facts)
        signs = await _may_sign(facts.reached)
        await act.change(lambda unit: _begin_to_manage(unit, cluster, signs=signs))
        await look_and_manage(
            act.custody, act.account_id, cluster.seq, act.clock, confirmed=plan_hash, author=act.author
        )
        mode = MANAGE
    warnings = [*tell_beyond_reach(seen)]
    warnings += [f"{clash.seen.name} is wanted, and one of that name is not ours." for clash in plan.clashes]
    warnings += await _tell_role_faults(facts)
    stopped = check_brake(plan, seen, await find_explained(act.custody, act.account_id, facts, seen))
    return ManageClusterOutput(
        mode, plan_hash, [_planned(step) for step in plan.steps], [*warnings, *([stopped] if stopped else [])]
    )


async def _tell_role_faults(facts: Facts) -> list[str]:
    try:
        return await find_role_faults(facts)
    except ClusterError as error:
        raise ClusterNotUsable(str(error)) from error


async def _take_ownership(act: Act, facts: Facts) -> None:
    """Mark the cluster as ours. Raises ClusterNotUsable where it is another's."""
    try:
        if not await take_ownership(act.custody, act.account_id, facts.reached):
            raise ClusterNotUsable(f"{NOT_OURS} It stays observed here.")
    except ClusterError as error:
        raise ClusterNotUsable(str(error)) from error


async def _may_sign(reached: Reached) -> bool:
    """Whether this server may have the cluster sign client certificates."""
    group = "certificates.k8s.io"
    try:
        return await reached.can_i("create", group, "certificatesigningrequests") and await reached.can_i(
            "approve", group, "signers", name="kubernetes.io/kube-apiserver-client"
        )
    except ClusterError:
        return False


async def _begin_to_manage(unit: Change, cluster: Cluster, *, signs: bool) -> None:
    """Manage the cluster; where nothing was ever said of what issues for it, it signs itself if it may be asked to."""
    await set_mode(unit, cluster, MANAGE)
    if signs and await find_signer(unit.tx, unit.account_id, cluster.seq) is None:
        await set_csr_signer(unit, cluster)


async def set_mode(unit: Change, cluster: Cluster, mode: str) -> None:
    """Manage a cluster, or only observe it. Raises ClusterStateForbids where it is not reached."""
    reach = await accesses.find_reach(unit.tx, unit.account_id, cluster.seq)
    if reach.mode == "none":
        raise ClusterStateForbids(cluster.cluster_id, "this server has no access to it; RegisterCluster gives one.")
    if reach.mode != mode:
        await accesses.set_reach(unit.tx, unit.account_id, cluster.seq, reach._replace(mode=mode))
        unit.record(
            "cluster_mode_set",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"mode": mode},
        )


def _planned(step: Step) -> PlannedStep:
    binding = step.seen if isinstance(step, Delete) else step.wanted
    name = "/".join(part for part in (binding.kind, binding.namespace, binding.name) if part)
    subjects = [] if isinstance(step, Delete) else [subject.name for subject in step.wanted.subjects]
    return PlannedStep(type(step).__name__.lower(), name, binding.role_name, subjects)


def _report(cluster_id: str, seen: Look) -> ClusterReportOutput:
    findings = [ClusterFinding(one.what, one.ok, one.text) for one in seen.findings]
    return ClusterReportOutput(cluster_id, seen.ok, findings)


def tell_findings(findings: list[Finding]) -> str:
    """What is not well, in sentences."""
    return " ".join(finding.text for finding in findings if not finding.ok)
