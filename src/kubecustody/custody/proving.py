"""Proof that a credential which was removed is powerless, in its cluster and wherever else its CA is trusted.

Evidence of each kind is gathered without a transaction; in one it is then recorded, and what follows from all that is
known (`core.bindings.decide_removal`). What cannot be asked proves nothing.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from kubecustody.cluster.client import AnswerKind
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core import bindings
from kubecustody.core.bindings import (
    ACCESS_REVIEW,
    ALLOWED,
    AUTHENTICATED_GROUP,
    BINDING_SCAN,
    CA_GONE,
    GROUP,
    REFUSED,
    ROLE_TEMPLATES,
    RULES_REVIEW,
    SHARED_CA,
    UNPROVEN,
    USED,
    USER,
    Evidence,
    SeenBinding,
    Subject,
)
from kubecustody.core.names import is_uid
from kubecustody.core.rules import ReadRequest, Rule, find_read_request, parts_beyond_defaults
from kubecustody.core.states import RemovedBy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.custody.observing import OBSERVER, Look, open_cluster
from kubecustody.custody.rights import Roles
from kubecustody.custody.verdicts import load_bundle_once, split_chain
from kubecustody.custody.wanted import Facts
from kubecustody.pki.certificates import format_ders
from kubecustody.pki.der import elements
from kubecustody.pki.trust import assess, root_keys
from kubecustody.store import removing
from kubecustody.store.credentials import Removal, add_removal, destroy_private_key, set_removed, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.removing import AllowedRead, KnownTrust, StoredEvidence, WantedRemoval
from kubecustody.store.transactions import Transaction

ALLOWED_READ = "allowed_read"  # kind of what is remembered beside evidence: the request that a binding allowed

_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_NOT_TRUSTED = "unknown_authority"
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_AFTER_AUTHORIZATION = (404, 405)  # there is no such thing, or it cannot be done to it: whoever hears that was let ask
_SHOWN = 5
_KUBE_SYSTEM = ReadRequest("get", "", "namespaces", "", "kube-system")
_AGAIN = 3  # an API server learns of a changed binding a moment after it took the change
_AGAIN_SECONDS = 0.3


# --- what a credential may do while it lives


async def note_reads(
    custody: Custody,
    account_id: str,
    facts: Facts,
    found: Sequence[SeenBinding],
    clock: Callable[[], float],
    *,
    anew: bool = False,
) -> None:
    """Remember of each user name a request that a binding allows it and that only reads: only where there was such a
    one says a refusal something. anew: also of those of whom one is known.
    """
    at = int(clock())
    known = await custody.store.read(lambda tx: removing.list_allowed_reads(tx, account_id, facts.cluster.seq, at))
    lacking = {one.cn: one for one in known if anew or one.told is None}
    bound: dict[str, list[SeenBinding]] = {}
    for one in found:
        for subject in one.subjects:
            if subject.kind == USER and subject.name in lacking:
                bound.setdefault(subject.name, []).append(one)
    roles = Roles(facts.reached)
    reads = [(lacking[name], await _find_read(roles, bound[name])) for name in sorted(bound)]
    changed = [(one, json.dumps(read)) for one, read in reads if read is not None and json.dumps(read) != one.told]
    if changed:
        await custody.store.write(lambda tx: _set_reads(tx, account_id, changed, at))


async def _set_reads(tx: Transaction, account_id: str, reads: Sequence[tuple[AllowedRead, str]], at: int) -> None:
    for one, told in reads:
        evidence = StoredEvidence(ALLOWED_READ, "", ALLOWED, told, at)
        await removing.set_evidence(tx, account_id, one.credential_no, evidence)


async def _find_read(roles: Roles, bound: Sequence[SeenBinding]) -> ReadRequest | None:
    """A request that one of these bindings allows, of one for the whole cluster where there is such."""
    for one in sorted(bound, key=lambda one: bool(one.namespace)):
        read = find_read_request(await _rules_of(roles, one), one.namespace)
        if read is not None:
            return read
    return None


async def _rules_of(roles: Roles, binding: SeenBinding) -> Sequence[Rule]:
    """What a binding's role permits; of a predefined one that cannot be read, what it is meant to."""
    try:
        return await roles.find(binding.role_kind, binding.namespace, binding.role_name) or ()
    except ClusterError:
        meant = {template.cluster_role: template.rules for template in ROLE_TEMPLATES.values()}
        return meant.get(binding.role_name, ())


# --- one pass


class _Gathered(NamedTuple):
    kind: str
    api_server: str
    outcome: str
    told: str
    status: int = 0


class _Twin(NamedTuple):
    """Another cluster that takes the same client certificates. reached: None where nothing is managed there."""

    cluster_id: str
    reached: Reached | None


class Prover:
    """Gathers and records evidence about the credentials that are to be powerless, in one pass over a cluster.

    found: the bindings that it has now; written: whether this pass changed some.
    """

    def __init__(
        self,
        custody: Custody,
        account_id: str,
        facts: Facts,
        look: Look,
        found: Sequence[SeenBinding],
        clock: Callable[[], float],
        *,
        written: bool,
    ) -> None:
        self._custody = custody
        self._account_id = account_id
        self._facts = facts
        self._look = look
        self._found = found
        self._clock = clock
        self._written = written
        self._trusts: list[KnownTrust] | None = None
        self._elsewhere: dict[str, Sequence[SeenBinding] | str] = {}  # or why they are not known

    async def prove(self, one: WantedRemoval) -> bool:
        """Gather evidence about one credential and record what follows; whether its removal was proved just now."""
        twins = await self._twins(one)
        asked = [self._scan_twin(one, twin) for twin in twins if twin.reached]
        scans = [_scan(one, "", self._found), *await asyncio.gather(*asked)]
        if one.removed_by == RemovedBy.PROVED and not any(scan.outcome == ALLOWED for scan in scans):
            return False  # it stays proved; to ask anew of everybody who ever left would delay whoever leaves now
        read = await self._custody.store.read(lambda tx: _find_noted_read(tx, self._account_id, one.credential_no))
        gathered = await self._gather(one, scans, twins, read)
        places = {"", *self._servers, *(twin.cluster_id for twin in twins)}

        async def work(unit: Change) -> bool:
            at = unit.at
            for evidence in gathered:
                stored = StoredEvidence(*evidence[:3], evidence.told, at)
                await removing.set_evidence(unit.tx, self._account_id, one.credential_no, stored)
            known = await removing.list_evidence(unit.tx, self._account_id, one.credential_no)
            known = [each for each in known if each.api_server in places and each.kind != ALLOWED_READ]
            verdict = bindings.decide_removal(
                [Evidence(each.kind, each.api_server, each.outcome) for each in known],
                api_servers=self._servers,
                key_kept=one.sealed_key is not None,
                was_ever_allowed=read is not None,
                masters=bool(one.masters),
            )
            proved = await _conclude(unit, self._facts.cluster, one, verdict.removed, verdict.text, known)
            if proved and self._custody.settings.destroy_private_keys == "after_proof":
                await _destroy_key(unit, self._facts.cluster, one)
            return proved

        proved = await change(self._custody.store, self._account_id, Author(OBSERVER), self._clock, work)
        if proved:
            await self._custody.store.truncate_log()
        return proved

    async def _gather(
        self, one: WantedRemoval, scans: Sequence[_Gathered], twins: Sequence[_Twin], read: ReadRequest | None
    ) -> list[_Gathered]:
        gathered = [*scans, *_tell_unmanaged(twins)]
        reviews = [self._review_twin(one, twin, read) for twin in twins if twin.reached]
        gathered += await asyncio.gather(*reviews)
        asked = await self._ask(one, read)
        for _ in range(_AGAIN if self._written and scans[0].outcome == REFUSED else 0):
            if all(each.outcome != ALLOWED for each in asked):
                break
            await asyncio.sleep(_AGAIN_SECONDS)
            asked = await self._ask(one, read)
        return [*gathered, *asked, *self._ca_gone(one, asked, twins)]

    async def _ask(self, one: WantedRemoval, read: ReadRequest | None) -> list[_Gathered]:
        """What the cluster and each API server answer about the credential, and to it."""
        asked = [await _review(self._facts.reached, one, "", read)]
        if one.sealed_key is not None and one.removed_by != RemovedBy.PROVED:
            key = self._custody.open_private_key(self._account_id, one.credential_no, one.sealed_key)
            asked += [await _use(self._facts, one, key, server, read or _KUBE_SYSTEM) for server in self._servers]
            asked.append(await _review_rules(self._facts.reached, one, key, read))
        return asked

    @property
    def _servers(self) -> tuple[str, ...]:
        """The API servers on which a use must be refused: those that the cluster names, else its own address ("")."""
        named = self._look.api_servers or ("",)
        declared = self._facts.reach.declared_api_servers or 0
        return (*named, *(f"declared #{number}" for number in range(len(named) + 1, declared + 1)))

    def _ca_gone(self, one: WantedRemoval, asked: Sequence[_Gathered], twins: Sequence[_Twin]) -> Iterator[_Gathered]:
        """That the cluster trusts no CA of it any more; where its key is kept, each API server must say so (401)."""
        trusted_elsewhere = [
            _Gathered(CA_GONE, twin.cluster_id, UNPROVEN, f"{twin.cluster_id} trusts a CA that it chains to.")
            for twin in twins
            if twin.reached
        ]
        uses = [each for each in asked if each.kind == USED]
        if one.verdict != _NOT_TRUSTED or self._look.client_ca is None:
            text = "The cluster trusts a CA that it chains to, as far as is known."
            yield _Gathered(CA_GONE, "", UNPROVEN, text)
        elif any(each.status != _UNAUTHORIZED for each in uses):
            yield _Gathered(CA_GONE, "", UNPROVEN, "The bundle has no CA of it, and an API server did not answer 401.")
        else:
            yield _Gathered(CA_GONE, "", REFUSED, "The cluster's client CA bundle has no CA that it chains to.")
        yield from trusted_elsewhere

    # --- wherever else its CA is trusted

    async def _twins(self, one: WantedRemoval) -> list[_Twin]:
        """The other clusters of the account that take the certificate, or that trust the key of the CA which signed it,
        in whatever certificate of that CA.
        """
        if self._trusts is None:
            self._trusts = await self._custody.store.read(lambda tx: removing.list_client_cas(tx, self._account_id))
        chain = split_chain(one.chain)
        own = self._facts.cluster.seq
        bundles = {trust.seq: load_bundle_once(trust.client_ca) for trust in self._trusts}
        keys = root_keys(chain.leaf, chain.intermediates, bundles.pop(own, ()))
        found = {
            seq
            for seq, bundle in bundles.items()
            if any(member.key_sha256 in keys for member in bundle)
            or assess(chain.leaf, chain.intermediates, bundle).vouched
        }
        return [await self._open_twin(trust) for trust in self._trusts if trust.seq in found]

    async def _open_twin(self, trust: KnownTrust) -> _Twin:
        if trust.mode != "manage":
            return _Twin(trust.cluster_id, None)
        reached = await self._custody.store.read(
            lambda tx: open_cluster(self._custody, tx, self._account_id, trust.seq)
        )
        return _Twin(trust.cluster_id, reached)

    async def _scan_twin(self, one: WantedRemoval, twin: _Twin) -> _Gathered:
        assert twin.reached is not None
        if twin.cluster_id not in self._elsewhere:
            try:
                self._elsewhere[twin.cluster_id] = await twin.reached.list_bindings()
            except ClusterError as error:
                self._elsewhere[twin.cluster_id] = str(error)
        found = self._elsewhere[twin.cluster_id]
        if isinstance(found, str):
            return _Gathered(BINDING_SCAN, twin.cluster_id, UNPROVEN, found)
        return _scan(one, twin.cluster_id, found)

    async def _review_twin(self, one: WantedRemoval, twin: _Twin, read: ReadRequest | None) -> _Gathered:
        """An access review there; one that did not answer just now is not waited for again."""
        assert twin.reached is not None
        silent = self._elsewhere.get(twin.cluster_id)
        if isinstance(silent, str):
            return _Gathered(ACCESS_REVIEW, twin.cluster_id, UNPROVEN, silent)
        return await _review(twin.reached, one, twin.cluster_id, read)


async def _find_noted_read(tx: Transaction, account_id: str, credential_no: int) -> ReadRequest | None:
    known = await removing.list_evidence(tx, account_id, credential_no)
    told = next((each.told for each in known if each.kind == ALLOWED_READ), None)
    return None if told is None else ReadRequest(*json.loads(told))


def _tell_unmanaged(twins: Sequence[_Twin]) -> Iterator[_Gathered]:
    """Of clusters that are not managed nothing is asked, and nothing there is claimed."""
    for twin in twins:
        text = f"{twin.cluster_id} trusts the same client CA" + (
            "; it is asked too." if twin.reached else ", and is not managed: whether it lives there is not known."
        )
        yield _Gathered(SHARED_CA, twin.cluster_id, UNPROVEN, text)


# --- evidence


def _groups(one: WantedRemoval) -> list[str]:
    groups: list[str] = json.loads(one.organizations)
    return groups


def _certificate(one: WantedRemoval) -> bytes:
    return format_ders(element.whole for element in elements(one.chain))


def _scan(one: WantedRemoval, place: str, found: Sequence[SeenBinding]) -> _Gathered:
    """Whether a binding reaches it, but for those that Kubernetes itself has for whoever is authenticated."""
    beyond_defaults = {binding.name for binding, _ in bindings.wide_bindings(found)}
    reaching = {
        _tell_reaching(binding, subject)
        for binding, subject in bindings.bindings_that_reach(one.cn, _groups(one), found)
        if (subject.kind, subject.name) != (GROUP, AUTHENTICATED_GROUP) or binding.name in beyond_defaults
    }
    if not reaching:
        return _Gathered(BINDING_SCAN, place, REFUSED, "No binding names it or a group of it.")
    shown = [*sorted(reaching)[:_SHOWN], *([f"{len(reaching) - _SHOWN} more"] if len(reaching) > _SHOWN else [])]
    return _Gathered(BINDING_SCAN, place, ALLOWED, f"It is reached by {', '.join(shown)}.")


def _tell_reaching(binding: SeenBinding, subject: Subject) -> str:
    told = bindings.tell_binding(binding)
    if subject.kind == GROUP:
        return f"{told} through the group {subject.name}, so that unbinding is not effective"
    if is_uid(subject.name):
        return f"{told} through the bare uid, so that unbinding is not effective"
    return told


async def _review(reached: Reached, one: WantedRemoval, place: str, read: ReadRequest | None) -> _Gathered:
    extra = {_CREDENTIAL_ID: [f"X509SHA256={one.fingerprint.hex()}"]} if one.fingerprint else {}
    groups = [*_groups(one), AUTHENTICATED_GROUP]
    everything, pods = ReadRequest("*", "*", "*", ""), ReadRequest("list", "", "pods", "")
    questions = {everything, ReadRequest("get", "", "namespaces", ""), pods, *([read] if read else [])}
    try:
        answers = [
            await reached.review(
                one.cn, groups, extra, asked.verb, asked.group, asked.resource, asked.namespace, name=asked.name
            )
            for asked in sorted(questions)
        ]
    except ClusterError as error:
        return _Gathered(ACCESS_REVIEW, place, UNPROVEN, str(error))
    if any(answer.allowed for answer in answers):
        return _Gathered(ACCESS_REVIEW, place, ALLOWED, "A review says that it may still do something.")
    also = ", and what its binding allowed" if read else ""
    return _Gathered(ACCESS_REVIEW, place, REFUSED, f"Reviews refuse it everything, get namespaces, list pods{also}.")


async def _use(facts: Facts, one: WantedRemoval, key: bytes, server: str, read: ReadRequest) -> _Gathered:
    """Use the credential on an API server, between two requests of our own that must be answered by this cluster."""
    try:
        there = facts.reached if not server else facts.reached.at(server)
        before = await there.get_kube_system_uid()
        probe = await there.probe_as(_certificate(one), key, read.path)
        after = await there.get_kube_system_uid()
    except ClusterError as error:
        return _Gathered(USED, server, UNPROVEN, str(error))
    if {before, after} != {facts.reach.kube_system_uid}:
        return _Gathered(USED, server, UNPROVEN, "Another cluster answers there.")
    if not probe.by_cluster_ca:
        return _Gathered(USED, server, UNPROVEN, "The server is not vouched for by the cluster's own CA.")
    if probe.status == _FORBIDDEN and probe.names_user == one.cn:
        return _Gathered(USED, server, REFUSED, "Used, and refused by name (403).", probe.status)
    if probe.kind is AnswerKind.OBJECT:
        return _Gathered(USED, server, ALLOWED, "Used, and answered.", probe.status)
    if probe.kind is AnswerKind.STATUS and probe.status in _AFTER_AUTHORIZATION:
        return _Gathered(USED, server, ALLOWED, f"Used, and let ask ({probe.status}).", probe.status)
    return _Gathered(USED, server, UNPROVEN, f"Used, and answered {probe.status}, which proves nothing.", probe.status)


async def _review_rules(reached: Reached, one: WantedRemoval, key: bytes, read: ReadRequest | None) -> _Gathered:
    """What it may still do, as it is told itself. That nothing is told proves nothing."""
    try:
        review = await reached.list_rules_as(_certificate(one), key, (read and read.namespace) or "default")
    except ClusterError as error:
        return _Gathered(RULES_REVIEW, "", UNPROVEN, str(error))
    left = [str(part) for part in parts_beyond_defaults(review.rules)]
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        return _Gathered(RULES_REVIEW, "", ALLOWED, f"It may still {', '.join(left[:_SHOWN])}{more}.")
    if review.incomplete:
        return _Gathered(RULES_REVIEW, "", UNPROVEN, "An authorizer of the cluster cannot tell what it may do.")
    return _Gathered(RULES_REVIEW, "", REFUSED, "It is told that it may do nothing but what everybody may.")


# --- that one lives


class SignOfLife(NamedTuple):
    """What shows that a credential works. kind: used, access_review or unproven; text: a sentence."""

    kind: str
    text: str


async def find_sign_of_life(custody: Custody, account_id: str, facts: Facts, credential_no: int) -> SignOfLife:
    """Whether a credential may do what a binding allows it: used where its key is kept, else by the cluster's word."""

    async def load(tx: Transaction) -> tuple[WantedRemoval | None, ReadRequest | None]:
        one = await removing.find_provable(tx, account_id, credential_no)
        return one, await _find_noted_read(tx, account_id, credential_no)

    one, read = await custody.store.read(load)
    if one is None or read is None:
        return SignOfLife(UNPROVEN, "No binding allows it to read anything, so nothing could be tried.")
    for attempt in range(1 + _AGAIN):
        if attempt:
            await asyncio.sleep(_AGAIN_SECONDS)
        if one.sealed_key is not None:
            key = custody.open_private_key(account_id, credential_no, one.sealed_key)
            kind, tried = USED, await _use(facts, one, key, "", read)
        else:
            kind, tried = ACCESS_REVIEW, await _review(facts.reached, one, "", read)
        if tried.outcome == ALLOWED:
            return SignOfLife(kind, tried.told)
    return SignOfLife(UNPROVEN, tried.told)


# --- what follows


async def _destroy_key(unit: Change, cluster: Cluster, one: WantedRemoval) -> None:
    """Keep the key of a credential no longer: nobody is given it again, and it has done its last service as proof."""
    if await destroy_private_key(unit.tx, unit.account_id, one.credential_no, unit.at):
        subject = f"credential/{one.fingerprint.hex()}" if one.fingerprint else ""
        unit.record("private_key_destroyed", uid=one.uid, cluster_seq=cluster.seq, subject=subject)


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
