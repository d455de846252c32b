"""Keeping a cluster's bindings as they are wanted here, and proving that what was removed is powerless.

Level-based: each pass computes what is wanted from the facts of now, looks at what the cluster has, and writes the
difference. A pass that is cut off anywhere is completed by the next.

1. What is recorded as to be removed goes first, from every binding of ours, whatever else is the matter.
2. The rest of the difference, unless the brake stops it (`core.bindings.check_brake`).
3. Evidence about each credential that is to be powerless (`core.bindings.decide_removal`), and what follows from it.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

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
    CLUSTER_ROLE,
    ROLE_TEMPLATES,
    USER,
    Create,
    Delete,
    Plan,
    Replace,
    SeenBinding,
    Step,
    WantedBinding,
)
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.csr_issuing import complete_pending
from kubecustody.custody.installation import Custody
from kubecustody.custody.observing import OBSERVER, Finding, Look, observe
from kubecustody.custody.proving import Prover, note_reads
from kubecustody.custody.renewing import renew_access
from kubecustody.custody.turns import take_turn
from kubecustody.custody.wanted import Facts, load_facts
from kubecustody.store import removing
from kubecustody.store.transactions import Transaction

MANAGE, OBSERVE = "manage", "observe"
_OBSERVER = Author(OBSERVER)

NOT_OURS = "Another installation or account manages this cluster (ConfigMap kubecustody-owner in kube-system)."

MENDS_ROLES = "An administrator of the cluster mends it with `kubecustody clusters bootstrap`."

_OWNER = "owner"


class Pass(NamedTuple):
    """What a pass did: how many steps were taken, what is not well, and how many removals were proved."""

    steps: int
    findings: tuple[Finding, ...]
    proved: int


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
    if facts is None:
        return seen
    if facts.reach.kube_system_uid and seen.kube_system_uid == facts.reach.kube_system_uid:
        seen.findings += await _renew(custody, account_id, facts, clock)
    if facts.reach.mode != MANAGE:
        return seen
    if seen.kube_system_uid != facts.reach.kube_system_uid:
        seen.findings.append(Finding("manage", False, "It is not who it was, so nothing is written to it."))
        return seen

    async def work() -> list[Finding]:
        return await _manage(custody, account_id, cluster_seq, seen, clock, confirmed)

    told = await take_turn(custody, f"pass/{account_id}/{cluster_seq}", clock, work)
    seen.findings += [Finding("manage", False, "Another worker is at it still.")] if told is None else told
    return seen


async def _manage(
    custody: Custody, account_id: str, cluster_seq: int, seen: Look, clock: Callable[[], float], confirmed: str
) -> list[Finding]:
    """Make a cluster as it is wanted now, in the turn that was waited for; what is not well."""
    facts = await load_facts(custody, account_id, cluster_seq, int(clock()))
    if facts is None or facts.reach.mode != MANAGE:
        return []
    try:
        if not await is_owner(custody, account_id, facts.reached):
            return [Finding("manage", False, f"{NOT_OURS} Nothing is written to it.")]
        return [*(await run_pass(custody, account_id, facts, seen, clock, confirmed)).findings]
    except ClusterError as error:
        return [Finding("manage", False, str(error))]


async def _renew(custody: Custody, account_id: str, facts: Facts, clock: Callable[[], float]) -> list[Finding]:
    """What became of this server's own access, where its renewal was due."""
    uid, may_write = facts.reach.kube_system_uid or "", facts.reach.mode == MANAGE
    renewed = await renew_access(custody, account_id, facts.cluster, facts.reached, uid, clock, may_write=may_write)
    return [] if renewed is None else [renewed]


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


async def release(custody: Custody, account_id: str, reached: Reached) -> None:
    """Take this account's mark off the cluster, where it bears it. Raises ClusterError."""
    marker = await reached.get_marker()
    if marker is not None and marker.data.get(_OWNER) == _owner_of(custody, account_id):
        with contextlib.suppress(NotFound):
            await reached.delete_marker(marker.resource_version)


async def run_pass(
    custody: Custody, account_id: str, facts: Facts, look: Look, clock: Callable[[], float], confirmed: str = ""
) -> Pass:
    """One pass over a managed cluster. Raises ClusterError where the cluster stops answering; the next pass goes on."""
    begun = time.monotonic()
    await complete_pending(custody, account_id, facts.cluster.seq, facts.reached, clock)
    found = await facts.reached.list_bindings()
    is_confirmed = bindings.hash_of(make_plan(facts, found, account_id)) == confirmed
    steps = _removals_first(facts, found, account_id)
    await note_reads(custody, account_id, facts, found, clock)
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
        findings += [Finding("roles", False, fault) for fault in await find_role_faults(facts)]
        findings += await _carry_out(facts.reached, plan.steps)
        await _record_steps(custody, account_id, facts, plan.steps, clock)
        steps = (*steps, *plan.steps)
        if plan.steps:
            found = await facts.reached.list_bindings()
            await note_reads(custody, account_id, facts, found, clock, anew=True)
    findings += [Finding("bindings", False, text) for text in bindings.tell_beyond_reach(found)]
    prover = Prover(custody, account_id, facts, look, found, clock, written=bool(steps))
    proved = [await prover.prove(one) for one in facts.removals]  # 3
    ours = sum(bindings.is_ours(one, account_id) for one in found)
    findings.append(
        Finding(
            "pass",
            True,
            f"A pass took {time.monotonic() - begun:.1f} s: {len(found)} bindings, {ours} of them ours; {len(steps)} "
            f"changed, {sum(proved)} removals proved.",
        )
    )
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


async def find_role_faults(facts: Facts) -> list[str]:
    """What is wrong with the predefined roles that bindings name, and what mends it.

    They are never written here: whoever may write any role is an administrator.
    """
    wanted = {grant.role for grant in facts.grants if not grant.is_custom and grant.uid in facts.names}
    faults = []
    for role, template in ROLE_TEMPLATES.items():
        if role not in wanted:
            continue
        try:
            rules = await facts.reached.get_role_rules(CLUSTER_ROLE, "", template.cluster_role)
            fault = bindings.find_template_fault(role, rules)
        except (Forbidden, RequestRejected) as error:
            fault = f"Whether the ClusterRole {template.cluster_role} is as it is meant cannot be read. {error}"
        if fault is not None:
            faults.append(f"{fault} {MENDS_ROLES}")
    return faults


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
