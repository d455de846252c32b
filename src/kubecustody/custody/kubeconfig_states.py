"""ListUserKubeConfigStates: what one person holds in each cluster of the account."""

import math
from typing import NamedTuple

from kubecustody.catalogue.states import (
    EVIDENCE_KINDS,
    ClusterKubeConfigState,
    ListClusterKubeconfigStatesInput,
    ListClusterKubeconfigStatesOutput,
    ListUserKubeConfigStatesInput,
    ListUserKubeConfigStatesOutput,
    LiveCredential,
    Page,
    RemovalEvidence,
    UserKubeConfigState,
)
from kubecustody.core.bindings import ALLOWED, CA_GONE, REFUSED, SHARED_CA, USED
from kubecustody.core.clocks import seconds_behind
from kubecustody.core.errors import ClusterNotFound, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.paging import PageRequest
from kubecustody.core.states import (
    CanGetIn,
    CertState,
    Credential,
    RemovedBy,
    can_get_in,
    is_live,
    state_of_credential,
    state_of_row,
)
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller
from kubecustody.custody.rehearsing import why_not_written
from kubecustody.store.clusters import find_cluster
from kubecustody.store.credentials import find_newest_removal
from kubecustody.store.fleet import (
    HeldCredential,
    ListedCluster,
    Observation,
    count_live,
    find_newest_credential,
    list_clusters,
    list_holdings,
    list_observations,
    list_unended,
)
from kubecustody.store.issuing import HolderRow, list_holders
from kubecustody.store.principals import find_principal
from kubecustody.store.removing import list_evidence
from kubecustody.store.transactions import Transaction

MOST_LIVE_CREDENTIALS = 100
NOTHING_KNOWN = "No kubeconfig of this person in this cluster is known here."

_CLOCK_BEHIND = "The cluster's clock is {} s behind this server's: it is taken there for so much longer."
_WHY_UNKNOWN = {
    "chains": "it was last checked against a client CA bundle that the cluster no longer trusts, "
    "or a certificate above it has ended",
    "no_client_ca": "the client CA that the cluster trusts is not known here",
    "unknown_authority": "it does not chain to the client CA that the cluster trusts",
    "unfit_authority": "what signed it may not sign client certificates",
    "wrong_key_usage": "its extended key usage is not for clients, so an API server refuses it",
    "no_common_name": "it has no common name, so an API server takes it for anonymous",
    "weak_signature": "it is signed with an algorithm that API servers refuse",
    "unsupported": "it has something that API servers do not understand",
    "no_certificate": "only a record of it is known, not the certificate",
}


class Removed(NamedTuple):
    """When and by what evidence the newest credential was removed, and who said so with which words."""

    at: int | None
    by: str | None
    who: str
    why: str


async def list_user_kubeconfig_states(
    tx: Transaction, caller: Caller, request: ListUserKubeConfigStatesInput, now: float
) -> ListUserKubeConfigStatesOutput:
    """One page of the account's clusters with the person's state in each. Raises UserNotFound, ParametersRefused."""
    if request.at:
        from kubecustody.custody import past  # what only reads the present does not carry it

        return await past.list_user_kubeconfig_states(tx, caller, request, now)
    account_id, uid = caller.account_id, request.uid or caller.uid
    if uid != caller.uid and await find_principal(tx, account_id, uid) is None:
        raise UserNotFound(uid)
    offset = PageRequest(request.page_number, request.page_size).offset
    page = Page(request.page_number, request.page_size, caller.cluster_count)
    if offset >= caller.cluster_count:
        return ListUserKubeConfigStatesOutput([], page)
    rows = await list_clusters(tx, account_id, caller.last_cluster_seq, offset, request.page_size)
    holdings = await list_holdings(tx, account_id, uid, rows[0][0], rows[-1][0])
    states = []
    for seq, cluster_id, name, cluster_state, trust_epoch in rows:
        state, expires_at = state_of_row(holdings.get(seq), trust_epoch, now)
        states.append(
            UserKubeConfigState(
                cluster_id,
                "" if expires_at is None else format_time(expires_at),
                state,
                cluster_state,
                name,
            )
        )
    if request.detail:
        await _add_details(tx, account_id, uid, [ListedCluster._make(row) for row in rows], states, now)
    return ListUserKubeConfigStatesOutput(states, page)


async def list_cluster_kubeconfig_states(
    tx: Transaction, caller: Caller, request: ListClusterKubeconfigStatesInput, now: float
) -> ListClusterKubeconfigStatesOutput:
    """One page of the people who hold a kubeconfig of a cluster. Raises ClusterNotFound, ParametersRefused."""
    if request.at:
        from kubecustody.custody import past

        return await past.list_cluster_kubeconfig_states(tx, caller, request, now)
    cluster = await find_cluster(tx, caller.account_id, request.cluster_id)
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    rows = []
    for holder in await list_holders(tx, caller.account_id, cluster.seq):
        state, expires_at = state_of_row(holder.holding, cluster.trust_epoch, now)
        if state not in (CertState.REMOVED, CertState.UNISSUED) and not request.cloud_service_kube_config:
            rows.append(holder_row(holder, state, expires_at))
    page = PageRequest(request.page_number, request.page_size)
    return ListClusterKubeconfigStatesOutput(
        rows[page.offset : page.offset + page.size], Page(request.page_number, request.page_size, len(rows))
    )


_ACCOUNT_TYPES = {PrincipalKind.ACCOUNT: "RootAccount", PrincipalKind.USER: "RamUser", PrincipalKind.ROLE: "RamRole"}


def holder_row(holder: HolderRow, state: CertState, expires_at: int | None) -> ClusterKubeConfigState:
    """What the list says of one person."""
    account_state = "Deleted" if holder.deleted_at else "InActive" if holder.disabled_at else "Active"
    return ClusterKubeConfigState(
        account_id=holder.uid,
        account_name=holder.name or holder.uid,
        account_display_name=holder.display_name or holder.uid,
        account_type=_ACCOUNT_TYPES[PrincipalKind(holder.kind)],
        account_state=account_state,
        cert_expire_time="" if expires_at is None else format_time(expires_at),
        cert_state=state,
        revokable=state is not CertState.EXPIRED,
    )


# --- detail=true


async def _add_details(
    tx: Transaction,
    account_id: str,
    uid: str,
    clusters: list[ListedCluster],
    states: list[UserKubeConfigState],
    now: float,
) -> None:
    seen = await list_observations(tx, account_id, clusters[0].seq, clusters[-1].seq)
    at = math.ceil(now)
    for cluster, state in zip(clusters, states, strict=True):
        behind = _seconds_behind(seen.get(cluster.seq))
        held: list[HeldCredential] = []
        if state.cert_state is not CertState.UNISSUED:
            held = await list_unended(tx, account_id, uid, cluster.seq, at - behind, MOST_LIVE_CREDENTIALS)
        fill(state, cluster, seen.get(cluster.seq), held, now)
        if len(held) >= MOST_LIVE_CREDENTIALS:
            state.live_credential_count = await count_live(tx, account_id, uid, cluster.seq, at)
        await _explain(tx, account_id, uid, cluster, state, held, now)
        if behind and state.cert_state is CertState.EXPIRED and any(_has_ended(one.facts, now) for one in held):
            state.cert_state_reason = f"{state.cert_state_reason} {_CLOCK_BEHIND.format(behind)}"
        await _add_evidence(tx, account_id, cluster, state, held)


async def _add_evidence(
    tx: Transaction, account_id: str, cluster: ListedCluster, state: UserKubeConfigState, held: list[HeldCredential]
) -> None:
    """Add what is known of the removal of each credential of which it was asked for, and why it is not Removed yet."""
    numbers = {one.fingerprint.hex(): one.facts.number for one in held if one.fingerprint}
    asked = [one for one in state.live_credentials or () if one.removal_requested_at and one.fingerprint in numbers]
    if not asked:
        return
    for one in asked:
        evidence = await list_evidence(tx, account_id, numbers[one.fingerprint])
        one.removal_evidence = [
            RemovalEvidence(each.kind, each.api_server, each.outcome, each.told, format_time(each.observed_at))
            for each in evidence
            if each.kind in EVIDENCE_KINDS
        ]
    if any((each.kind, each.outcome) == (USED, ALLOWED) for one in asked for each in one.removal_evidence):
        state.can_get_in = CanGetIn.YES
    if state.removal_requested_at is not None:
        unwritten = await why_not_written(tx, account_id, cluster.seq)
        why = unwritten or _why_not_removed(asked[0].removal_evidence)
        state.cert_state_reason = f"{state.cert_state_reason} Its removal was asked for. Not removed: {why}"


def _why_not_removed(evidence: list[RemovalEvidence]) -> str:
    open_ones = [one for one in evidence if one.outcome != REFUSED and one.kind not in (CA_GONE, SHARED_CA)]
    if not open_ones:
        return "it is not proved yet."
    return " ".join(f"{one.kind}{f' on {one.place}' if one.place else ''}: {one.text}" for one in open_ones)


def fill(
    state: UserKubeConfigState,
    cluster: ListedCluster,
    seen: Observation | None,
    held: list[HeldCredential],
    now: float,
) -> None:
    """Add what may still get in. held: what has not ended and is not proved to be powerless."""
    facts = [credential.facts for credential in held]
    live = [credential for credential in held if is_live(credential.facts, now)]
    live.sort(key=lambda credential: credential.facts.not_after or math.inf, reverse=True)
    state.can_get_in = can_get_in(facts, cluster.trust_epoch, now)
    if state.can_get_in is CanGetIn.NO and (behind := _seconds_behind(seen)):
        state.can_get_in = can_get_in(facts, cluster.trust_epoch, now - behind)
    state.observed_at = format_time(seen.observed_at) if seen else None
    state.reachable = seen.reachable if seen else None
    state.live_credential_count = len(live)
    state.live_credentials = [
        LiveCredential(
            credential.fingerprint.hex() if credential.fingerprint else "",
            credential.common_name,
            state_of_credential(credential.facts, cluster.trust_epoch, now),
            format_time(credential.facts.not_before),
            _time_or_empty(credential.facts.not_after),
            time_or_none(credential.facts.removal_requested_at),
            [],
        )
        for credential in live[:MOST_LIVE_CREDENTIALS]
    ]


def _has_ended(credential: Credential, now: float) -> bool:
    return credential.not_after is not None and now > credential.not_after


def _seconds_behind(seen: Observation | None) -> int:
    return seconds_behind(seen.clock_skew_seconds if seen else None)


async def _explain(
    tx: Transaction,
    account_id: str,
    uid: str,
    cluster: ListedCluster,
    state: UserKubeConfigState,
    held: list[HeldCredential],
    now: float,
) -> None:
    """Add the sentence that says why, and since when removal is wished, of what decided the state."""
    if not explain_live(state, cluster, held, now):
        state.cert_state_reason, state.removal_requested_at = await _reason_of_dead(
            tx, account_id, uid, cluster, state.cert_state, state.cert_expire_time
        )


def explain_live(state: UserKubeConfigState, cluster: ListedCluster, held: list[HeldCredential], now: float) -> bool:
    """Whether something that lives decided the state; then that is told in it."""
    deciding = [
        credential.facts
        for credential in held
        if state_of_credential(credential.facts, cluster.trust_epoch, now) == state.cert_state
        and is_live(credential.facts, now)
    ]
    if deciding:
        requested = [one.removal_requested_at for one in deciding if one.removal_requested_at is not None]
        state.removal_requested_at = time_or_none(max(requested, default=None))
        vouched = state.cert_state is CertState.UNEXPIRED
        latest = max(deciding, key=lambda one: (one.vouched_until if vouched else one.not_after) or math.inf)
        state.cert_state_reason = reason_of_live(state.cert_state, latest, now)
    return bool(deciding)


def reason_of_live(state: CertState, latest: Credential, now: float) -> str:
    """Why a credential that may still get in is in this state, in a sentence."""
    if state is CertState.UNEXPIRED:
        if now < latest.not_before:
            return f"A certificate is vouched for and will be valid from {format_time(latest.not_before)} on."
        return (
            "A certificate chains to the client CA that the cluster trusts and is valid until "
            f"{_time_or_empty(latest.vouched_until)}."
        )
    why = _WHY_UNKNOWN.get(latest.verdict, latest.verdict)
    return f"A certificate may live, but nothing here vouches for it: {why}."


async def _reason_of_dead(
    tx: Transaction, account_id: str, uid: str, cluster: ListedCluster, state: CertState, expired_at: str
) -> tuple[str, str | None]:
    newest = await find_newest_credential(tx, account_id, uid, cluster.seq)
    if newest is None:
        return NOTHING_KNOWN, None
    removal = None if state is CertState.EXPIRED else await find_newest_removal(tx, account_id, newest.credential_no)
    who, why = (removal.actor, removal.reason) if removal else ("an operator", "")
    told = Removed(newest.removed_at, newest.removed_by, who, why)
    return reason_of_dead(state, expired_at, told), time_or_none(newest.removal_requested_at)


def reason_of_dead(state: CertState, expired_at: str, removed: Removed) -> str:
    """Why a person has this state of whose credentials none lives, in a sentence."""
    if state is CertState.EXPIRED:
        return f"The newest certificate known here ended at {expired_at}, and no other one lives."
    at = _time_or_empty(removed.at)
    if removed.by == RemovedBy.ATTESTED:
        return f"Removed on the word of {removed.who} at {at} (attested, no cluster confirmed it): {removed.why}"
    return f"Removed, and proved so at {at}."


def time_or_none(at: int | None) -> str | None:
    """RFC 3339 text of unix seconds."""
    return None if at is None else format_time(at)


def _time_or_empty(at: int | None) -> str:
    return "" if at is None else format_time(at)
