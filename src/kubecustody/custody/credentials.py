"""ListCredentials and DescribeCredential: one credential at a time, whoever holds it.

States are derived here and never asked of the store, so a filter by state looks at credentials one by one: at most
LOOKED_AT in one call, which then says where to go on.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from kubecustody.catalogue.credentials import (
    LIVE,
    CredentialEvent,
    CredentialEvidence,
    CredentialRemoval,
    CredentialRow,
    DescribeCredentialInput,
    DescribeCredentialOutput,
    ListCredentialsInput,
    ListCredentialsOutput,
)
from kubecustody.catalogue.states import EVIDENCE_KINDS
from kubecustody.core.errors import (
    ClusterNotFound,
    CredentialAmbiguous,
    CredentialNotFound,
    Fault,
    ParametersRefused,
    UserNotFound,
)
from kubecustody.core.prospects import foresee
from kubecustody.core.states import CertState, RemovedBy, can_get_in, is_live, state_of_credential
from kubecustody.core.times import format_time, parse_time
from kubecustody.custody.authentication import Caller
from kubecustody.custody.kubeconfig_states import reason_of_live
from kubecustody.custody.rehearsing import find_keeping
from kubecustody.store import finding
from kubecustody.store.clusters import find_cluster
from kubecustody.store.credentials import Removal
from kubecustody.store.finding import CredentialDetails, Scanned, ShownEvent
from kubecustody.store.fleet import Cluster
from kubecustody.store.principals import find_principal
from kubecustody.store.removing import list_evidence
from kubecustody.store.transactions import Transaction

R = TypeVar("R", bound=CredentialRow)

LOOKED_AT = 1000
_MOST_EVENTS = 100
_MOST_OF_A_SERIAL = 100
_EVERY_SEQ = 2**62

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]{1,64}")
_TOKEN = re.compile(r"-?[0-9]{1,18}(\.-?[0-9]{1,18}){0,2}", re.ASCII)


class Filters(NamedTuple):
    """What a list is limited to."""

    uid: str
    cluster_seq: int | None
    state: str
    expires_before: int | None
    deleted_holders: bool
    fingerprint: bytes | None
    serial: str | None

    @property
    def passes_over(self) -> bool:
        """Whether what a scan finds may not be meant."""
        more = bool(self.state or self.deleted_holders) or self.expires_before is not None
        return more or self.fingerprint is not None or self.serial is not None


async def list_credentials(
    tx: Transaction, caller: Caller, request: ListCredentialsInput, now: float
) -> ListCredentialsOutput:
    """Some credentials, and where to go on. Raises UserNotFound, ClusterNotFound, ParametersRefused."""
    if request.at:
        from kubecustody.custody import past_credentials  # which uses what stands here

        return await past_credentials.list_credentials(tx, caller, request, now)
    account_id = caller.account_id
    filters = await _filters(tx, account_id, request)
    after = parse_token(request.next_token, _token_length(filters))
    at_most = LOOKED_AT if filters.passes_over else request.max_results + 1
    scanned = await _scan(tx, account_id, filters, after, at_most)
    fitting: list[Scanned] = []
    last = None
    for one in scanned:
        if len(fitting) == request.max_results:
            break
        last = one
        if fits(one, filters, now):
            fitting.append(one)
    answer = ListCredentialsOutput([await _row(tx, account_id, one, now) for one in fitting])
    if last is not None and (last is not scanned[-1] or len(scanned) == at_most):
        answer.next_token = ".".join(map(str, _place_of(last, filters)))
    return answer


async def _filters(tx: Transaction, account_id: str, request: ListCredentialsInput) -> Filters:
    cluster = await find_cluster(tx, account_id, request.cluster_id) if request.cluster_id else None
    if request.cluster_id and cluster is None:
        raise ClusterNotFound(request.cluster_id)
    if request.uid and await find_principal(tx, account_id, request.uid) is None:
        raise UserNotFound(request.uid)
    return Filters(
        request.uid,
        None if cluster is None else cluster.seq,
        request.state,
        parse_time(request.expires_before) if request.expires_before else None,
        request.deleted_holders,
        parse_fingerprint(request.fingerprint),
        _parse_serial(request.serial),
    )


def parse_fingerprint(text: str) -> bytes | None:
    """The fingerprint that this hex, with colons or without, spells; None where it is none."""
    digits = text.replace(":", "").lower()
    return bytes.fromhex(digits) if _FINGERPRINT.fullmatch(digits) else None


def _parse_serial(text: str) -> str | None:
    digits = text.replace(":", "").lower()
    return (digits.lstrip("0") or "0") if _HEX.fullmatch(digits) else None


# --- the order, and places in it


def _token_length(filters: Filters) -> int:
    return 3 if filters.uid and not (filters.fingerprint or filters.serial) else 1


def _place_of(one: Scanned, filters: Filters) -> tuple[int, ...]:
    if filters.fingerprint:
        return (one.cluster_seq,)
    if filters.uid and not filters.serial:
        return one.cluster_seq, one.facts.issued_at, one.facts.number
    return (one.facts.number,)


def parse_token(text: str, length: int) -> tuple[int, ...] | None:
    """The place that a token of so many numbers means. Raises ParametersRefused."""
    if not text:
        return None
    numbers = tuple(map(int, text.split("."))) if _TOKEN.fullmatch(text) else ()
    if len(numbers) != length:
        raise ParametersRefused((Fault("NextToken", "is none that an answer to a call with these filters had."),))
    return numbers


async def _scan(
    tx: Transaction, account_id: str, filters: Filters, after: tuple[int, ...] | None, at_most: int
) -> list[Scanned]:
    if filters.fingerprint is not None:
        begin = after[0] if after else 0
        return await finding.scan_credentials_by_fingerprint(tx, account_id, filters.fingerprint, begin, at_most)
    if filters.serial is not None:
        begin = after[0] if after else 0
        return await finding.scan_credentials_by_serial(tx, account_id, filters.serial, begin, at_most)
    if filters.uid:
        seq = filters.cluster_seq
        first, last = (0, _EVERY_SEQ) if seq is None else (seq, seq)
        place = (after[0], after[1], after[2]) if after else (first, -_EVERY_SEQ, 0)
        return await finding.scan_credentials_of(tx, account_id, filters.uid, last, place, at_most)
    begin = after[0] if after else 0
    if filters.cluster_seq is not None:
        return await finding.scan_credentials_in_cluster(tx, account_id, filters.cluster_seq, begin, at_most)
    return await finding.scan_credentials(tx, account_id, begin, at_most)


def fits(one: Scanned, filters: Filters, now: float) -> bool:
    """Whether the filters let a credential through."""
    if filters.uid and one.uid != filters.uid:
        return False
    if filters.cluster_seq is not None and one.cluster_seq != filters.cluster_seq:
        return False
    if filters.deleted_holders and one.holder_deleted_at is None:
        return False
    not_after = one.facts.not_after
    if filters.expires_before is not None and (not_after is None or not_after >= filters.expires_before):
        return False
    if filters.state == LIVE:
        return is_live(one.facts, now)
    return not filters.state or state_of_credential(one.facts, one.trust_epoch, now) == filters.state


# --- one credential


async def _row(tx: Transaction, account_id: str, one: Scanned, now: float) -> CredentialRow:
    return row_of(one, await finding.get_credential_details(tx, account_id, one.facts.number), now, CredentialRow)


def row_of(one: Scanned, details: CredentialDetails, now: float, shape: Callable[..., R]) -> R:
    """What is shown of a credential."""
    facts = one.facts
    return shape(
        fingerprint=details.fingerprint.hex() if details.fingerprint else "",
        serial=details.serial or "",
        common_name=details.common_name,
        organizations=json.loads(details.organizations or "[]"),
        uid=one.uid,
        holder_name=details.holder_name or "",
        holder_state=_holder_state(one.uid, details),
        cluster_id=details.cluster_id,
        cluster_name=details.cluster_name,
        cluster_state=details.cluster_state,
        cert_state=state_of_credential(facts, one.trust_epoch, now),
        can_get_in=can_get_in([facts], one.trust_epoch, now),
        not_before=format_time(facts.not_before),
        cert_expire_time="" if facts.not_after is None else format_time(facts.not_after),
        issued_at=format_time(facts.issued_at),
        origin=details.origin,
        masters=facts.masters,
        removal_requested_at=_time_or_none(facts.removal_requested_at),
        removed_at=_time_or_none(facts.removed_at),
        removed_by=facts.removed_by or "",
    )


def _holder_state(uid: str, details: CredentialDetails) -> str:
    if not uid:
        return "Unmatched"
    if details.holder_deleted_at is not None:
        return "Deleted"
    return "Active" if details.holder_disabled_at is None else "InActive"


async def describe_credential(
    tx: Transaction, caller: Caller, request: DescribeCredentialInput, now: float
) -> DescribeCredentialOutput:
    """All that is known of one credential. Raises ClusterNotFound, CredentialNotFound, CredentialAmbiguous."""
    if request.at:
        from kubecustody.custody import past_credentials  # which uses what stands here

        return await past_credentials.describe_credential(tx, caller, request, now)
    account_id = caller.account_id
    cluster = await find_cluster(tx, account_id, request.cluster_id)
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    one = await get_credential(tx, account_id, cluster, request.credential)
    details = await finding.get_credential_details(tx, account_id, one.facts.number)
    answer = row_of(one, details, now, DescribeCredentialOutput)
    await add_history(tx, account_id, answer, one, now, finding.EVERY_EVENT)
    answer.prospect = foresee(one.facts, await find_keeping(tx, account_id, cluster.seq, cleans=False), now)
    answer.private_key = _private_key(details)
    answer.temporary_minutes = details.temporary_minutes
    answer.evidence = tuple(
        CredentialEvidence(*evidence[:4], format_time(evidence.observed_at))
        for evidence in await list_evidence(tx, account_id, one.facts.number)
        if evidence.kind in EVIDENCE_KINDS
    )
    return answer


async def add_history(
    tx: Transaction, account_id: str, answer: DescribeCredentialOutput, one: Scanned, at: float, last_no: int
) -> None:
    """Tell what happened to a credential until that moment, which is that event, and why its state is what it is."""
    steps = await finding.list_removals(tx, account_id, one.facts.number)
    removals = [step for step in steps if step.occurred_at <= at]
    subject = f"credential/{answer.fingerprint}" if answer.fingerprint else ""
    answer.cert_state_reason = _reason(one, removals, at)
    answer.removals = tuple(
        CredentialRemoval(step.kind, format_time(step.occurred_at), step.actor, step.reason) for step in removals
    )
    answer.events, answer.key_disclosures = [
        _shown(await finding.list_events_about(tx, account_id, one.cluster_seq, subject, _MOST_EVENTS, kind, last_no))
        for kind in ("", "private_key_disclosed")
    ]


async def get_credential(tx: Transaction, account_id: str, cluster: Cluster, credential: str) -> Scanned:
    """The credential of this fingerprint or serial number in the cluster.

    Raises CredentialNotFound, CredentialAmbiguous.
    """
    fingerprint, serial = parse_fingerprint(credential), _parse_serial(credential)
    if fingerprint is not None:
        found = await finding.scan_credentials_by_fingerprint(tx, account_id, fingerprint, cluster.seq - 1, 1)
    else:
        found = await _scan_serial(tx, account_id, cluster, serial) if serial is not None else []
    found = [one for one in found if one.cluster_seq == cluster.seq]
    if not found:
        raise CredentialNotFound(credential, cluster.cluster_id)
    if len(found) > 1:
        details = [await finding.get_credential_details(tx, account_id, one.facts.number) for one in found]
        names = ", ".join(one.fingerprint.hex() for one in details if one.fingerprint)
        raise CredentialAmbiguous(credential, cluster.cluster_id, names)
    return found[0]


async def _scan_serial(tx: Transaction, account_id: str, cluster: Cluster, serial: str) -> list[Scanned]:
    """The cluster's credentials of this serial number, as many as a message can name."""
    found: list[Scanned] = []
    after = 0
    while page := await finding.scan_credentials_by_serial(tx, account_id, serial, after, LOOKED_AT):
        found += (one for one in page if one.cluster_seq == cluster.seq)
        after = page[-1].facts.number
        if len(found) > 1:
            break
    return found[:_MOST_OF_A_SERIAL]


def _reason(one: Scanned, removals: list[Removal], now: float) -> str:
    state, facts = state_of_credential(one.facts, one.trust_epoch, now), one.facts
    if state is CertState.REMOVED:
        last = removals[-1] if removals else None
        told = f": {last.reason}" if last and last.reason else "."
        if facts.removed_by is RemovedBy.ATTESTED:
            who = last.actor if last else "an operator"
            return f"Removed on the word of {who} (attested, no cluster confirmed it){told}"
        return f"Removed, and proved so{told}"
    if state is CertState.EXPIRED:
        return f"The certificate ended at {format_time(facts.not_after or 0)}."
    return reason_of_live(state, facts, now)


def _private_key(details: CredentialDetails) -> str:
    if details.key_stored_at is None:
        return "not kept"
    return "kept" if details.key_destroyed_at is None else "destroyed"


def _shown(events: Iterable[ShownEvent]) -> tuple[CredentialEvent, ...]:
    return tuple(
        CredentialEvent(
            one.event_no, format_time(one.recorded_at_ms // 1000), one.kind, one.actor, one.request_id, one.reason
        )
        for one in events
    )


def _time_or_none(at: int | None) -> str | None:
    return None if at is None else format_time(at)
