"""Keeping a cluster's bindings as they are wanted here, and proving that what was removed is powerless.

Level-based: each pass computes what is wanted from the facts of now, looks at what the cluster has, and writes the
difference. A pass that is cut off anywhere is completed by the next.

1. What is recorded as to be removed goes first, from every binding of ours, whatever else is the matter.
2. The rest of the difference, unless the brake stops it (`core.bindings.check_brake`).
3. Evidence about each credential that is to be powerless (`core.bindings.decide_removal`), and what follows from it.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kubecustody.cluster.client import AnswerKind
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import (
    AlreadyThere,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    RequestRejected,
)
from kubecustody.core import bindings
from kubecustody.core.bindings import (
    ACCESS_REVIEW,
    ALLOWED,
    AUTHENTICATED_GROUP,
    BINDING_SCAN,
    CA_GONE,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    GROUP,
    REFUSED,
    ROLE_TEMPLATES,
    UNPROVEN,
    USED,
    USER,
    Create,
    Delete,
    Evidence,
    Grant,
    Plan,
    Replace,
    SeenBinding,
    Step,
    WantedBinding,
)
from kubecustody.core.states import RemovedBy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.csr_issuing import complete_pending
from kubecustody.custody.installation import Custody
from kubecustody.custody.observing import OBSERVER, Finding, Look, observe, open_cluster
from kubecustody.pki.certificates import format_ders
from kubecustody.pki.der import elements
from kubecustody.store import accesses, removing
from kubecustody.store.accesses import Reach
from kubecustody.store.clusters import find_cluster_by_seq
from kubecustody.store.credentials import Removal, add_removal, destroy_private_key, set_removed, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.removing import StoredEvidence, WantedRemoval
from kubecustody.store.transactions import Transaction

MANAGE, OBSERVE = "manage", "observe"
_OBSERVER = Author(OBSERVER)
BOUND = "bound"  # evidence that a binding to a role in the whole cluster once reached a credential

NOT_OURS = "Another installation or account manages this cluster (ConfigMap kubecustody-owner in kube-system)."

_OWNER = "owner"
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_NOT_TRUSTED = "unknown_authority"
_UNAUTHORIZED = 401


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


class Pass(NamedTuple):
    """What a pass did: how many steps were taken, what is not well, and how many removals were proved."""

    steps: int
    findings: tuple[Finding, ...]
    proved: int


async def load_facts(custody: Custody, account_id: str, cluster_seq: int, now: int) -> Facts | None:
    """What is wanted in a cluster; None where it is not reached, or not there any more."""

    async def work(tx: Transaction) -> Facts | None:
        cluster = await find_cluster_by_seq(tx, account_id, cluster_seq)
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
            tuple(await removing.list_wanted_removals(tx, account_id, cluster_seq, now)),
        )

    return await custody.store.read(work)


def make_plan(facts: Facts, seen: Sequence[SeenBinding], account_id: str) -> Plan:
    """What makes the cluster's bindings the wanted ones."""
    wanted = bindings.wanted_bindings(facts.grants, facts.names, account_id)
    return bindings.plan(wanted, seen, account_id)


async def look_and_manage(
    custody: Custody,
    account_id: str,
    cluster_seq: int,
    clock: Callable[[], float],
    *,
    confirmed: str = "",
    author: Author = _OBSERVER,
) -> Look | None:
    """Look at a cluster; where it is managed, make it as it is wanted. None where it is not reached.

    confirmed: hash of a plan that somebody saw and wants carried out, whatever the brake says.
    """
    seen = await observe(custody, account_id, cluster_seq, clock, author)
    if seen is None or not seen.reachable:
        return seen
    facts = await load_facts(custody, account_id, cluster_seq, int(clock()))
    if facts is None or facts.reach.mode != MANAGE:
        return seen
    if seen.kube_system_uid != facts.reach.kube_system_uid:
        seen.findings.append(Finding("manage", False, "It is not who it was, so nothing is written to it."))
        return seen
    try:
        if not await is_owner(custody, account_id, facts.reached):
            seen.findings.append(Finding("manage", False, f"{NOT_OURS} Nothing is written to it."))
            return seen
        done = await run_pass(custody, account_id, facts, seen, clock, confirmed)
        seen.findings.extend(done.findings)
    except ClusterError as error:
        seen.findings.append(Finding("manage", False, str(error)))
    return seen


def _owner_of(custody: Custody, account_id: str) -> str:
    """What marks a cluster as this account's of this installation, without telling anybody which those are."""
    return hashlib.sha256(f"{custody.sealer.installation_id}/{account_id}".encode()).hexdigest()


async def is_owner(custody: Custody, account_id: str, reached: Reached) -> bool:
    """Whether the cluster bears this account's mark. Raises ClusterError."""
    marker = await reached.get_marker()
    return marker is not None and marker.data.get(_OWNER) == _owner_of(custody, account_id)


async def take_ownership(custody: Custody, account_id: str, reached: Reached) -> bool:
    """Whether the cluster bears this account's mark now: it did, or it bore none. Raises ClusterError."""
    if await reached.get_marker() is None:
        with contextlib.suppress(AlreadyThere):  # somebody else was faster; who, is looked at below
            await reached.put_marker({_OWNER: _owner_of(custody, account_id)}, None)
    return await is_owner(custody, account_id, reached)


async def run_pass(
    custody: Custody, account_id: str, facts: Facts, look: Look, clock: Callable[[], float], confirmed: str = ""
) -> Pass:
    """One pass over a managed cluster. Raises ClusterError where the cluster stops answering; the next pass goes on."""
    await complete_pending(custody, account_id, facts.cluster.seq, facts.reached, clock)
    found = await facts.reached.list_bindings()
    is_confirmed = bindings.hash_of(make_plan(facts, found, account_id)) == confirmed
    steps = _removals_first(facts, found, account_id)
    await _note_bound(custody, account_id, facts, found, clock)
    findings = await _carry_out(facts.reached, steps)  # 1
    await _record_steps(custody, account_id, facts, steps, clock)
    if steps:
        found = await facts.reached.list_bindings()
    plan = make_plan(facts, found, account_id)
    findings += [
        Finding("manage", False, f"{clash.seen.name} is wanted, and one of that name is not ours; it is left alone.")
        for clash in plan.clashes
    ]
    explained = await find_explained(custody, account_id, facts, found)
    stopped = bindings.check_brake(plan, found, explained)
    if stopped is not None and not is_confirmed:
        findings.append(Finding("manage", False, f"Nothing was changed. {stopped}"))
    else:  # 2
        findings += await _apply_roles(facts)
        findings += await _carry_out(facts.reached, plan.steps)
        await _record_steps(custody, account_id, facts, plan.steps, clock)
        steps = (*steps, *plan.steps)
        if plan.steps:
            found = await facts.reached.list_bindings()
            await _note_bound(custody, account_id, facts, found, clock)
    proved = [await _prove(custody, account_id, facts, one, found, look, clock) for one in facts.removals]  # 3
    return Pass(len(steps), tuple(findings), sum(proved))


def _removals_first(facts: Facts, found: Sequence[SeenBinding], account_id: str) -> tuple[Step, ...]:
    """Steps that take every removed name out of every binding of ours."""
    steps: list[Step] = []
    for one in found:
        kept = tuple(subject for subject in one.subjects if subject.name not in facts.removed_names)
        if not bindings.is_ours(one, account_id) or len(kept) == len(one.subjects):
            continue
        if kept:
            wanted = WantedBinding(one.kind, one.namespace, one.name, one.role_name, kept, one.labels)
            steps.append(Replace(wanted, one))
        else:
            steps.append(Delete(one))
    return tuple(steps)


async def _carry_out(reached: Reached, steps: Sequence[Step]) -> list[Finding]:
    """Do each step. What is not as it was seen is left to the next pass."""
    findings = []
    for step in steps:
        try:
            await _do(reached, step)
        except (Conflict, AlreadyThere, NotFound) as error:
            findings.append(Finding("manage", False, f"Somebody else changed it meanwhile; it is tried again. {error}"))
        except (Forbidden, RequestRejected) as error:  # it keeps no other step waiting
            findings.append(_refused_step(error))
    return findings


def _refused_step(error: ClusterError) -> Finding:
    return Finding("manage", False, f"The cluster does not let this server do a step; the others are done. {error}")


async def _do(reached: Reached, step: Step) -> None:
    if isinstance(step, Create):
        wanted = step.wanted
        await reached.create_binding(
            wanted.kind,
            wanted.namespace,
            wanted.name,
            role_kind=CLUSTER_ROLE,
            role_name=wanted.role_name,
            subjects=wanted.subjects,
            labels=wanted.labels,
        )
    elif isinstance(step, Replace):
        await reached.replace_binding(
            step.seen.kind,
            step.seen.namespace,
            step.seen.name,
            resource_version=step.resource_version,
            subjects=step.wanted.subjects,
            labels=step.wanted.labels,
        )
    else:
        seen = step.seen
        await reached.delete_binding(
            seen.kind, seen.namespace, seen.name, uid=seen.uid, resource_version=seen.resource_version
        )


async def find_explained(
    custody: Custody, account_id: str, facts: Facts, found: Sequence[SeenBinding]
) -> frozenset[str]:
    """User names in bindings of ours that go by our own records: of credentials that ended or are to be removed, and
    those that a grant gave which was taken away. That these go is no drift.
    """
    current = {name for names in facts.names.values() for name in names}
    gone = {bindings.binding_name(*grant) for grant in facts.dropped - set(facts.grants)}
    ours = [one for one in found if bindings.is_ours(one, account_id)]
    taken = {subject.name for one in ours if one.name in gone for subject in one.subjects if subject.kind == USER}
    rest = {subject.name for one in ours for subject in one.subjects if subject.kind == USER} - current - taken

    async def work(tx: Transaction) -> set[str]:
        seq = facts.cluster.seq
        return {name for name in rest if await removing.find_number_by_name(tx, account_id, seq, name) is not None}

    return facts.removed_names | taken | await custody.store.read(work)


async def _apply_roles(facts: Facts) -> list[Finding]:
    """Let the predefined roles that bindings name be there, as they are meant; what is refused."""
    findings = []
    wanted = {grant.role for grant in facts.grants if not grant.is_custom and grant.uid in facts.names}
    for role, template in ROLE_TEMPLATES.items():
        if role in wanted:
            labels = {bindings.MANAGED_BY_LABEL: bindings.MANAGER}
            try:
                await facts.reached.apply_cluster_role(template.cluster_role, template.rules, labels)
            except (Forbidden, RequestRejected) as error:
                findings.append(_refused_step(error))
    return findings


async def _record_steps(
    custody: Custody, account_id: str, facts: Facts, steps: Sequence[Step], clock: Callable[[], float]
) -> None:
    if not steps:
        return

    async def work(unit: Change) -> None:
        unit.record(
            "bindings_changed",
            cluster_seq=facts.cluster.seq,
            subject=f"cluster/{facts.cluster.cluster_id}",
            details={"steps": len(steps), "plan": bindings.hash_of(Plan(account_id, tuple(steps)))},
        )

    await change(custody.store, account_id, Author(OBSERVER), clock, work)


async def _note_bound(
    custody: Custody, account_id: str, facts: Facts, found: Sequence[SeenBinding], clock: Callable[[], float]
) -> None:
    """Remember of each user name that a binding in the whole cluster reaches: only of such says a refusal something."""
    ours = {name for names in facts.names.values() for name in names} | facts.removed_names
    bound = {
        subject.name
        for one in found
        if one.kind == CLUSTER_ROLE_BINDING
        for subject in one.subjects
        if subject.kind == USER and subject.name in ours
    }
    if not bound:
        return
    at = int(clock())

    async def work(tx: Transaction) -> None:
        for name in sorted(bound):
            number = await removing.find_number_by_name(tx, account_id, facts.cluster.seq, name)
            if number is not None:
                evidence = StoredEvidence(BOUND, "", ALLOWED, "A binding in the whole cluster reached it.", at)
                await removing.set_evidence(tx, account_id, number, evidence)

    await custody.store.write(work)


# --- proof


async def _prove(
    custody: Custody,
    account_id: str,
    facts: Facts,
    one: WantedRemoval,
    found: Sequence[SeenBinding],
    look: Look,
    clock: Callable[[], float],
) -> bool:
    """Gather evidence about one credential and record what follows; whether its removal was proved just now."""
    servers = _api_servers(facts, look)
    scan = _scan(one, found)
    if one.removed_by == RemovedBy.PROVED and scan.outcome == REFUSED:
        return False  # it stays proved; to ask anew of everybody who ever left would delay whoever leaves now
    gathered = [scan, await _review(facts.reached, one)]
    key = None
    if one.sealed_key is not None and one.removed_by != RemovedBy.PROVED:
        key = custody.open_private_key(account_id, one.credential_no, one.sealed_key)
        gathered += [await _use(facts, one, key, server) for server in servers]
    if one.verdict == _NOT_TRUSTED and look.client_ca is not None:
        gathered += _ca_gone(gathered, key_kept=key is not None)
    else:
        gathered.append(
            _Gathered(CA_GONE, "", UNPROVEN, "The cluster trusts a CA that it chains to, as far as is known.")
        )
    at = int(clock())

    async def work(unit: Change) -> bool:
        for evidence in gathered:
            stored = StoredEvidence(*evidence[:3], evidence.told, at)
            await removing.set_evidence(unit.tx, account_id, one.credential_no, stored)
        known = await removing.list_evidence(unit.tx, account_id, one.credential_no)
        verdict = bindings.decide_removal(
            [Evidence(each.kind, each.api_server, each.outcome) for each in known if each.kind != BOUND],
            api_servers=servers,
            key_kept=one.sealed_key is not None,
            was_ever_allowed=any(each.kind == BOUND for each in known),
            masters=bool(one.masters),
        )
        proved = await _conclude(unit, facts.cluster, one, verdict.removed, verdict.text, known)
        if proved and custody.settings.destroy_private_keys == "after_proof":
            await _destroy_key(unit, facts.cluster, one)
        return proved

    proved = await change(custody.store, account_id, Author(OBSERVER), clock, work)
    if proved:
        await custody.store.truncate_log()
    return proved


async def _destroy_key(unit: Change, cluster: Cluster, one: WantedRemoval) -> None:
    """Keep the key of a credential no longer: nobody is given it again, and it has done its last service as proof."""
    if await destroy_private_key(unit.tx, unit.account_id, one.credential_no, unit.at):
        subject = f"credential/{one.fingerprint.hex()}" if one.fingerprint else ""
        unit.record("private_key_destroyed", uid=one.uid, cluster_seq=cluster.seq, subject=subject)


class _Gathered(NamedTuple):
    kind: str
    api_server: str
    outcome: str
    told: str
    status: int = 0


def _api_servers(facts: Facts, look: Look) -> tuple[str, ...]:
    """The API servers on which a use must be refused: those that the cluster names, else its own address ("")."""
    named = look.api_servers or ("",)
    declared = facts.reach.declared_api_servers or 0
    return (*named, *(f"declared #{number}" for number in range(len(named) + 1, declared + 1)))


def _groups(one: WantedRemoval) -> list[str]:
    groups: list[str] = json.loads(one.organizations)
    return groups


def _scan(one: WantedRemoval, found: Sequence[SeenBinding]) -> _Gathered:
    """Whether a binding reaches it, but for those that Kubernetes itself has for whoever is authenticated."""
    beyond_defaults = {binding.name for binding, _ in bindings.wide_bindings(found)}
    reaching = {
        binding.name
        for binding, subject in bindings.bindings_that_reach(one.cn, _groups(one), found)
        if (subject.kind, subject.name) != (GROUP, AUTHENTICATED_GROUP) or binding.name in beyond_defaults
    }
    if not reaching:
        return _Gathered(BINDING_SCAN, "", REFUSED, "No binding names it or a group of it.")
    return _Gathered(BINDING_SCAN, "", ALLOWED, f"It is reached by {', '.join(sorted(reaching)[:5])}.")


async def _review(reached: Reached, one: WantedRemoval) -> _Gathered:
    extra = {_CREDENTIAL_ID: [f"X509SHA256={one.fingerprint.hex()}"]} if one.fingerprint else {}
    groups = [*_groups(one), AUTHENTICATED_GROUP]
    try:
        answers = [
            await reached.review(one.cn, groups, extra, verb, group, resource)
            for verb, group, resource in (("*", "*", "*"), ("get", "", "namespaces"), ("list", "", "pods"))
        ]
    except ClusterError as error:
        return _Gathered(ACCESS_REVIEW, "", UNPROVEN, str(error))
    if any(answer.allowed for answer in answers):
        return _Gathered(ACCESS_REVIEW, "", ALLOWED, "A review says that it may still do something.")
    return _Gathered(ACCESS_REVIEW, "", REFUSED, "Reviews refuse it everything, get namespaces and list pods.")


async def _use(facts: Facts, one: WantedRemoval, key: bytes, server: str) -> _Gathered:
    """Use the credential on an API server, between two requests of our own that must be answered by this cluster."""
    try:
        there = facts.reached if not server else facts.reached.at(server)
        before = await there.get_kube_system_uid()
        certificate = format_ders(element.whole for element in elements(one.chain)).encode()
        probe = await there.probe_as(certificate, key)
        after = await there.get_kube_system_uid()
    except ClusterError as error:
        return _Gathered(USED, server, UNPROVEN, str(error))
    if {before, after} != {facts.reach.kube_system_uid}:
        return _Gathered(USED, server, UNPROVEN, "Another cluster answers there.")
    if not probe.by_cluster_ca:
        return _Gathered(USED, server, UNPROVEN, "The server is not vouched for by the cluster's own CA.")
    if probe.status == 403 and probe.names_user == one.cn:
        return _Gathered(USED, server, REFUSED, "Used, and refused by name (403).", probe.status)
    if probe.kind is AnswerKind.OBJECT:
        return _Gathered(USED, server, ALLOWED, "Used, and answered.", probe.status)
    return _Gathered(USED, server, UNPROVEN, f"Used, and answered {probe.status}, which proves nothing.", probe.status)


def _ca_gone(gathered: Sequence[_Gathered], *, key_kept: bool) -> list[_Gathered]:
    """That the cluster trusts no CA of it any more; where its key is kept, each API server must say so (401)."""
    uses = [one for one in gathered if one.kind == USED]
    if key_kept and any(one.status != _UNAUTHORIZED for one in uses):
        return [_Gathered(CA_GONE, "", UNPROVEN, "The bundle has no CA of it, and an API server did not answer 401.")]
    return [_Gathered(CA_GONE, "", REFUSED, "The cluster's client CA bundle has no CA that it chains to.")]


async def _conclude(
    unit: Change, cluster: Cluster, one: WantedRemoval, removed: bool, text: str, known: Sequence[StoredEvidence]
) -> bool:
    """Mark a credential as removed by proof, or take that back where it is powerless no more."""
    was = one.removed_by == RemovedBy.PROVED
    reached_again = [each.told for each in known if each.kind == BINDING_SCAN and each.outcome == ALLOWED]
    if removed and not was:
        await set_removed(
            unit.tx, unit.account_id, one.credential_no, unit.at, RemovedBy.PROVED, one.removal_requested_at
        )
        await _append(unit, cluster, one, "proved", "removal_proved", text, known)
    elif was and reached_again and not removed:
        await set_removed(unit.tx, unit.account_id, one.credential_no, None, None, one.removal_requested_at)
        await _append(unit, cluster, one, "lapsed", "removal_lapsed", " ".join(reached_again), known)
    else:
        return False
    if one.uid:
        await update_holding(unit.tx, unit.account_id, one.uid, cluster.seq, cluster.trust_epoch)
    return removed


async def _append(
    unit: Change,
    cluster: Cluster,
    one: WantedRemoval,
    kind: str,
    event: str,
    text: str,
    known: Sequence[StoredEvidence],
) -> None:
    evidence = [{"kind": each.kind, "api_server": each.api_server, "told": each.told} for each in known]
    removal = Removal(kind, unit.author.actor, text, json.dumps({"kind": kind, "evidence": evidence}), unit.at)
    await add_removal(unit.tx, unit.account_id, one.credential_no, removal)
    subject = f"credential/{one.fingerprint.hex()}" if one.fingerprint else ""
    unit.record(event, uid=one.uid, cluster_seq=cluster.seq, subject=subject, details={"text": text})
