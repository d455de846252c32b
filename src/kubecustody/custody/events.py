"""ListEvents and ListOwnEvents: what happened, from any point on."""

from typing import NamedTuple

from kubecustody.catalogue.events import ListedEvent, ListEventsInput, ListEventsOutput, ListOwnEventsInput
from kubecustody.core.errors import ClusterNotFound, Fault, ParametersRefused, UserNotFound
from kubecustody.core.events import Event
from kubecustody.core.times import format_time, parse_time
from kubecustody.custody.authentication import Caller
from kubecustody.store import events as stored
from kubecustody.store.clusters import find_cluster, find_purged_seq
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Transaction

LOOKED_AT = 1000
_AFTER_ALL = 2**62


class _Filters(NamedTuple):
    """What a list is limited to. between: behind and before which numbers."""

    uid: str
    cluster_seq: int
    kind: str
    between: stored.Between

    def fits(self, event: Event) -> bool:
        return (
            (not self.uid or event.uid == self.uid)
            and (not self.cluster_seq or event.cluster_seq == self.cluster_seq)
            and (not self.kind or event.kind == self.kind)
        )


async def list_events(tx: Transaction, caller: Caller, request: ListEventsInput, _: float) -> ListEventsOutput:
    """Some events of the account, and where to go on. Raises UserNotFound, ClusterNotFound, ParametersRefused."""
    uid = request.uid
    if uid and uid != caller.uid and await find_principal(tx, caller.account_id, uid) is None:
        raise UserNotFound(uid)
    return await _list(tx, caller.account_id, uid, request)


async def list_own_events(tx: Transaction, caller: Caller, request: ListOwnEventsInput, _: float) -> ListEventsOutput:
    """Some events about the caller, and where to go on. Raises ClusterNotFound, ParametersRefused."""
    return await _list(tx, caller.account_id, caller.uid, request)


async def _list(
    tx: Transaction, account_id: str, uid: str, request: ListEventsInput | ListOwnEventsInput
) -> ListEventsOutput:
    filters = await _filters(tx, account_id, uid, request)
    filtered = sum(map(bool, (filters.uid, filters.cluster_seq, filters.kind)))
    looked_at = LOOKED_AT if filtered > 1 else request.max_results
    found = await _scan(tx, account_id, filters, looked_at)
    chosen: list[Event] = []
    last = None
    for last in found:
        if filters.fits(last):
            chosen.append(last)
        if len(chosen) == request.max_results:
            break
    more = last is not None and (last is not found[-1] or len(found) == looked_at)
    ids = {seq: await stored.find_cluster_id(tx, account_id, seq) for seq in {one.cluster_seq for one in chosen} - {0}}
    return ListEventsOutput(
        [_shown(one, ids.get(one.cluster_seq, "")) for one in chosen], str(last.event_no) if last and more else ""
    )


async def _scan(tx: Transaction, account_id: str, filters: _Filters, at_most: int) -> list[Event]:
    if filters.uid:
        return await stored.list_events_of_person(tx, account_id, filters.uid, filters.between, at_most)
    if filters.cluster_seq:
        return await stored.list_events_of_cluster(tx, account_id, filters.cluster_seq, filters.between, at_most)
    if filters.kind:
        return await stored.list_events_of_kind(tx, account_id, filters.kind, filters.between, at_most)
    return await stored.list_events(tx, account_id, filters.between, at_most)


async def _filters(
    tx: Transaction, account_id: str, uid: str, request: ListEventsInput | ListOwnEventsInput
) -> _Filters:
    start, end, token = _check(request)
    after = 0 if start is None else await stored.find_event_at(tx, account_id, start * 1000 - 1)
    before = _AFTER_ALL if end is None else 1 + await stored.find_event_at(tx, account_id, end * 1000 - 1)
    seq = await _find_seq(tx, account_id, request.cluster_id) if request.cluster_id else 0
    return _Filters(uid, seq, request.kind, (after, before if token is None else min(before, token)))


def _check(request: ListEventsInput | ListOwnEventsInput) -> tuple[int | None, int | None, int | None]:
    """Start, end and the number to go on from. Raises ParametersRefused."""
    start = parse_time(request.start_time) if request.start_time else None
    end = parse_time(request.end_time) if request.end_time else None
    if start is not None and end is not None and start > end:
        raise ParametersRefused((Fault("EndTime", "is before StartTime."),))
    return start, end, int(request.next_token) if request.next_token else None


async def _find_seq(tx: Transaction, account_id: str, cluster_id: str) -> int:
    cluster = await find_cluster(tx, account_id, cluster_id)
    seq = cluster.seq if cluster else await find_purged_seq(tx, account_id, cluster_id)
    if seq is None:
        raise ClusterNotFound(cluster_id)
    return seq


def _shown(event: Event, cluster_id: str) -> ListedEvent:
    return ListedEvent(
        event.event_no,
        format_time(event.recorded_at_ms // 1000),
        format_time(event.occurred_at),
        event.kind,
        event.actor,
        event.request_id,
        event.uid,
        cluster_id,
        event.subject,
        event.reason,
        event.details,
    )
