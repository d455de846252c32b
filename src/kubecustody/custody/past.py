"""The past: what the lists would have answered at a moment, from the events up to it and facts that never change.

Who asks is judged as of now; only what is answered is of then. Personal names stand in no event, so people have the
names that they have now. What is kept newest only (when a cluster was last seen, evidence of removal) is left out.
"""

import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from kubecustody.catalogue.shapes import UNSET
from kubecustody.catalogue.states import (
    ClusterKubeConfigState,
    ListClusterKubeconfigStatesInput,
    ListClusterKubeconfigStatesOutput,
    ListUserKubeConfigStatesInput,
    ListUserKubeConfigStatesOutput,
    Page,
    UserKubeConfigState,
)
from kubecustody.core.errors import ClusterNotFound, Fault, ParametersRefused, UserNotFound
from kubecustody.core.paging import PageRequest
from kubecustody.core.past import PastCluster, PastCredential, Recorded, cluster_then, credential_then, person_then
from kubecustody.core.states import CertState, RemovedBy, holding_of, state_of_row
from kubecustody.core.times import format_time, parse_time
from kubecustody.custody import kubeconfig_states as present
from kubecustody.custody.authentication import Caller
from kubecustody.store import past as stored
from kubecustody.store.clusters import find_cluster, find_purged_seq
from kubecustody.store.events import find_event_at, find_event_time, has_whole_history
from kubecustody.store.fleet import HeldCredential, ListedCluster, list_clusters
from kubecustody.store.issuing import HolderRow
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Transaction

_BY_AGE_AT_ONCE = 10
_NEWER_THAN_ALL = (2**62, 2**62)


class Moment(NamedTuple):
    """A moment of an account's past: unix seconds, and the last event that was recorded by then."""

    account_id: str
    at: int
    last_no: int


class Place(NamedTuple):
    """A cluster of the past."""

    seq: int
    cluster_id: str
    then: PastCluster

    @property
    def listed(self) -> ListedCluster:
        """As the lists show it."""
        return ListedCluster(self.seq, self.cluster_id, self.then.name, self.then.state, self.then.trust_epoch)


class _Held(NamedTuple):
    """A credential of the past with what is shown of it."""

    recorded: Recorded
    then: PastCredential


async def find_moment(tx: Transaction, account_id: str, text: str, now: float, parameter: str = "at") -> Moment:
    """The moment that the text (RFC 3339) names. Raises ParametersRefused unless something can be told of it."""
    at = parse_time(text)
    if at > now:
        raise _refused(parameter, f"is in the future: here it is {format_time(int(now))}.")
    if not await has_whole_history(tx, account_id):
        raise _refused(parameter, "asks what this account cannot tell: an older program recorded its first events.")
    last_no = await find_event_at(tx, account_id, at * 1000)
    if last_no == 0:
        first_ms = await find_event_time(tx, account_id, 1)
        since = math.ceil((first_ms or 0) / 1000)
        raise _refused(parameter, f"is before the account's first event: it can be told from {format_time(since)} on.")
    return Moment(account_id, at, last_no)


def _refused(parameter: str, text: str) -> ParametersRefused:
    return ParametersRefused((Fault(parameter, text),))


# --- ListUserKubeConfigStates


async def list_user_kubeconfig_states(
    tx: Transaction, caller: Caller, request: ListUserKubeConfigStatesInput, now: float
) -> ListUserKubeConfigStatesOutput:
    """The page as it would have been at `at`. Raises UserNotFound, ParametersRefused."""
    moment = await find_moment(tx, caller.account_id, request.at, now)
    uid = request.uid or caller.uid
    if uid != caller.uid and not await was_there(tx, moment, uid):
        raise UserNotFound(uid)
    page = PageRequest(request.page_number, request.page_size)
    places, total = await _page(tx, moment, caller, page)
    taken = await _list_taken(tx, moment, uid)
    states = []
    for place in places:
        held = await _list_held(tx, moment, place, uid, taken.get(place.seq, ()))
        states.append(_row(place, held, moment, detail=request.detail))
    return ListUserKubeConfigStatesOutput(states, Page(page.number, page.size, total))


async def was_there(tx: Transaction, moment: Moment, uid: str) -> bool:
    """Whether this person had been made."""
    return person_then(await stored.list_person_steps(tx, moment.account_id, uid, moment.last_no)) is not None


async def _page(tx: Transaction, moment: Moment, caller: Caller, page: PageRequest) -> tuple[list[Place], int]:
    """The clusters of a page as they were listed, and how many there were in all.

    They are those that are listed now, up to the last one that had been added, and those that were purged since.
    """
    account_id = moment.account_id
    last_seq = await stored.find_last_cluster_seq(tx, account_id, moment.last_no)
    purged = [one for one in await stored.list_purged_after(tx, account_id, moment.last_no) if one[0] <= last_seq]
    total = await stored.count_clusters_up_to(tx, account_id, last_seq) + len(purged)
    if page.offset >= total:
        return [], total

    async def place_of(index: int) -> int:
        return await stored.count_clusters_up_to(tx, account_id, purged[index][0]) + index

    before = await _count_below(len(purged), page.offset, place_of)
    found = list(purged[before : before + page.size])
    offset = page.offset - before
    if offset < caller.cluster_count:
        rows = await list_clusters(tx, account_id, caller.last_cluster_seq, offset, page.size)
        found += [(row[0], row[1]) for row in rows if row[0] <= last_seq]
    places = [await find_place(tx, moment, seq, cluster_id) for seq, cluster_id in sorted(found)[: page.size]]
    return [place for place in places if place is not None], total


async def _count_below(count: int, limit: int, place_of: Callable[[int], Awaitable[int]]) -> int:
    """How many of `count` growing places are smaller than the limit."""
    first, last = 0, count
    while first < last:
        middle = (first + last) // 2
        if await place_of(middle) < limit:
            first = middle + 1
        else:
            last = middle
    return first


async def find_place(tx: Transaction, moment: Moment, seq: int, cluster_id: str) -> Place | None:
    """The cluster as it stood; None where it was not listed."""
    steps = await stored.list_cluster_steps(tx, moment.account_id, seq, cluster_id, moment.last_no)
    then = cluster_then(steps)
    return Place(seq, cluster_id, then) if then is not None else None


async def _list_taken(tx: Transaction, moment: Moment, uid: str) -> dict[int, tuple[bytes, ...]]:
    """Fingerprints of credentials that were the person's before and are another's since, by cluster."""
    taken: dict[int, tuple[bytes, ...]] = {}
    for one in await stored.list_moved_after(tx, moment.account_id, moment.last_no):
        if one.before == uid:
            taken[one.cluster_seq] = (*taken.get(one.cluster_seq, ()), bytes.fromhex(one.fingerprint))
    return taken


async def _list_held(tx: Transaction, moment: Moment, place: Place, uid: str, taken: tuple[bytes, ...]) -> list[_Held]:
    """The person's credentials in a cluster that had not ended then, and the newest one; the rest decides nothing."""
    account_id, seq = moment.account_id, place.seq
    candidates = await stored.list_held_from(tx, account_id, uid, seq, moment.at)
    for fingerprint in taken:
        found = await stored.find_recorded(tx, account_id, seq, fingerprint)
        candidates += [found] if found is not None else []
    held = {one.recorded.number: one for one in await _then(tx, moment, place, uid, candidates)}
    newest = await _find_newest(tx, moment, place, uid)
    if newest is not None:
        held[newest.recorded.number] = newest
    return list(held.values())


async def _find_newest(tx: Transaction, moment: Moment, place: Place, uid: str) -> _Held | None:
    """The newest of what the person still holds and held then."""
    before = _NEWER_THAN_ALL
    while page := await stored.list_held_by_age(
        tx, moment.account_id, uid, place.seq, moment.at, before, _BY_AGE_AT_ONCE
    ):
        for one in page:
            if found := await _then(tx, moment, place, uid, [one]):
                return found[0]
        before = (page[-1].issued_at, page[-1].number)
    return None


async def _then(
    tx: Transaction, moment: Moment, place: Place, uid: str | None, candidates: list[Recorded]
) -> list[_Held]:
    """Those that had been recorded, and were the person's, as they stood. uid: None for anybody's."""
    found = []
    for one in candidates:
        steps = await stored.list_credential_steps(tx, moment.account_id, place.seq, one.fingerprint, moment.last_no)
        then = credential_then(one, steps, place.then)
        if then is not None and uid in (None, then.uid):
            found.append(_Held(one, then))
    return found


def _row(place: Place, held: list[_Held], moment: Moment, *, detail: bool) -> UserKubeConfigState:
    cluster = place.listed
    holding = holding_of([one.then.facts for one in held], cluster.trust_epoch)
    state, expires_at = state_of_row(holding, cluster.trust_epoch, moment.at)
    row = UserKubeConfigState(
        cluster.cluster_id,
        "" if expires_at is None else format_time(expires_at),
        state,
        cluster.state,
        cluster.name,
    )
    if detail:
        _add_details(row, place, held, moment.at)
    return row


def _add_details(row: UserKubeConfigState, place: Place, held: list[_Held], at: int) -> None:
    unended = [
        one
        for one in held
        if (one.then.facts.not_after is None or one.then.facts.not_after >= at)
        and one.then.facts.removed_by is not RemovedBy.PROVED
    ]
    shown = [
        HeldCredential(
            place.seq, one.then.facts, one.recorded.fingerprint, one.recorded.common_name, one.recorded.origin
        )
        for one in sorted(unended, key=_order)
    ]
    present.fill(row, place.listed, None, shown, at)
    row.can_get_in, row.observed_at, row.reachable = UNSET, UNSET, place.then.reachable
    if present.explain_live(row, place.listed, shown, at):
        return
    newest = max(held, key=lambda one: (one.recorded.issued_at, one.recorded.number), default=None)
    if newest is None:
        row.cert_state_reason, row.removal_requested_at = present.NOTHING_KNOWN, None
        return
    facts = newest.then.facts
    told = present.Removed(facts.removed_at, facts.removed_by, newest.then.removed_by_whom, newest.then.removal_reason)
    row.cert_state_reason = present.reason_of_dead(row.cert_state, row.cert_expire_time, told)
    row.removal_requested_at = present.time_or_none(facts.removal_requested_at)


def _order(one: _Held) -> tuple[bool, bool, bool, float, int]:
    """As the list of now orders what has not ended."""
    facts = one.then.facts
    ends = math.inf if facts.not_after is None else facts.not_after
    return facts.removed_at is not None, facts.vouched_until is None, not facts.masters, -ends, facts.number


# --- ListClusterKubeconfigStates


async def list_cluster_kubeconfig_states(
    tx: Transaction, caller: Caller, request: ListClusterKubeconfigStatesInput, now: float
) -> ListClusterKubeconfigStatesOutput:
    """The page as it would have been at `at`. Raises ClusterNotFound, ParametersRefused."""
    moment = await find_moment(tx, caller.account_id, request.at, now)
    place = await find_past_cluster(tx, moment, request.cluster_id)
    rows: list[ClusterKubeConfigState] = []
    if not request.cloud_service_kube_config:
        for uid, held in sorted((await _list_holders(tx, moment, place)).items()):
            rows += await _holder_rows(tx, moment, place, uid, held)
    page = PageRequest(request.page_number, request.page_size)
    return ListClusterKubeconfigStatesOutput(
        rows[page.offset : page.offset + page.size], Page(page.number, page.size, len(rows))
    )


async def find_past_cluster(tx: Transaction, moment: Moment, cluster_id: str) -> Place:
    """The cluster as it stood. Raises ClusterNotFound where it was not listed."""
    cluster = await find_cluster(tx, moment.account_id, cluster_id)
    seq = cluster.seq if cluster else await find_purged_seq(tx, moment.account_id, cluster_id)
    place = await find_place(tx, moment, seq, cluster_id) if seq is not None else None
    if place is None:
        raise ClusterNotFound(cluster_id)
    return place


async def _list_holders(tx: Transaction, moment: Moment, place: Place) -> dict[str, list[_Held]]:
    """By whom: what had not ended, what changed hands since, and the newest of the rest; more decides nothing."""
    moved = {
        bytes.fromhex(one.fingerprint)
        for one in await stored.list_moved_after(tx, moment.account_id, moment.last_no)
        if one.cluster_seq == place.seq
    }
    matched = await stored.list_matched_after(tx, moment.account_id, place.seq, moment.last_no)
    moved |= {bytes.fromhex(fingerprint) for fingerprint in matched}
    chosen: list[Recorded] = []
    dead: dict[str, list[Recorded]] = {}
    for uid, one in await stored.list_recorded_in(tx, moment.account_id, place.seq, moment.at):
        if one.not_after is None or one.not_after >= moment.at or one.fingerprint in moved:
            chosen.append(one)
        elif uid:
            dead.setdefault(uid, []).append(one)
    holders: dict[str, list[_Held]] = {}
    for held in await _then(tx, moment, place, None, chosen):
        holders.setdefault(held.then.uid, []).append(held)
    for uid, ended in dead.items():
        for one in sorted(ended, key=lambda one: (one.issued_at, one.number), reverse=True):
            if found := await _then(tx, moment, place, uid, [one]):
                holders.setdefault(uid, []).append(found[0])
                break
    holders.pop("", None)
    return holders


async def _holder_rows(
    tx: Transaction, moment: Moment, place: Place, uid: str, held: list[_Held]
) -> list[ClusterKubeConfigState]:
    """The person's row, or none where the list leaves them out."""
    epoch = place.then.trust_epoch
    holding = holding_of([one.then.facts for one in held], epoch)
    state, expires_at = state_of_row(holding, epoch, moment.at)
    person = person_then(await stored.list_person_steps(tx, moment.account_id, uid, moment.last_no))
    who = await find_principal(tx, moment.account_id, uid)
    if state in (CertState.REMOVED, CertState.UNISSUED) or holding is None or person is None or who is None:
        return []
    holder = HolderRow(
        uid,
        holding,
        who.kind,
        moment.at if person.disabled else None,
        moment.at if person.deleted else None,
        who.name,
        who.display_name,
    )
    return [present.holder_row(holder, state, expires_at)]
