"""Figures of the store for the metrics: how many of what, and what ends when."""

from collections import Counter
from typing import NamedTuple

from kubecustody.core.states import CertState
from kubecustody.store.events import find_last_event
from kubecustody.store.installation import Account, find_installation, list_accounts
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction

_COUNT_CREDENTIALS = statement("count_credentials")
_LIST_SOONEST_ENDS = statement("list_soonest_ends")
_LIST_REACHED = statement("list_reached_figures")
_LIST_EVENT_KINDS = statement("list_event_kinds_after")

LISTED_ENDS = 1000
LISTED_REACHED = 2000
_EVENTS_AT_ONCE = 100_000


class ReachedFigures(NamedTuple):
    """The figures of one cluster that is reached; None for what is not known or not there."""

    cluster_id: str
    up: int
    reached_at: int | None
    own_access_expires_at: int | None
    clock_skew_seconds: int | None
    waiting_since: int | None


class AccountFigures(NamedTuple):
    """The figures of one account.

    credentials: how many, by state; waiting: how many live although their removal is asked, the first since
    waiting_since; ends: when the first person of a cluster is left without a good certificate, by the cluster's id,
    those first that end soonest; events: how many of each kind since the last reading, or of the first 100,000 of them;
    last_event_no: up to which; reached: of the first clusters that are reached.
    """

    account_id: str
    clusters: int
    credentials: dict[str, int]
    waiting: int
    waiting_since: int | None
    ends: dict[str, int]
    events: Counter[str]
    last_event_no: int
    reached: list[ReachedFigures]


class Figures(NamedTuple):
    """The figures of the store."""

    quarantined: bool
    accounts: list[AccountFigures]


async def read_figures(tx: Transaction, now: int, events_read: dict[str, int]) -> Figures:
    """The figures at `now`. events_read: up to which number the events of each account were counted before; those of an
    account that is not in it are counted from now on.
    """
    found = await find_installation(tx)
    quarantined = found is not None and bool(found.quarantined)
    accounts = [await _read_account(tx, account, now, events_read) for account in await list_accounts(tx)]
    return Figures(quarantined, accounts)


async def _read_account(tx: Transaction, account: Account, now: int, events_read: dict[str, int]) -> AccountFigures:
    account_id = account.account_id
    ends = await tx.fetch_all(_LIST_SOONEST_ENDS, account_id, now, LISTED_ENDS)
    event_no = events_read.get(account_id)
    if event_no is None:
        event_no = await find_last_event(tx, account_id)
    events = await tx.fetch_all(_LIST_EVENT_KINDS, account_id, event_no, _EVENTS_AT_ONCE)
    return AccountFigures(
        account_id,
        account.cluster_count,
        *await _count_credentials(tx, account_id, now),
        {row[0]: row[1] for row in ends},
        Counter(row[1] for row in events),
        events[-1][0] if events else event_no,
        [ReachedFigures._make(row) for row in await tx.fetch_all(_LIST_REACHED, account_id, now, LISTED_REACHED)],
    )


async def _count_credentials(tx: Transaction, account_id: str, now: int) -> tuple[dict[str, int], int, int | None]:
    """How many there are by state, how many of them wait for their removal, and since when the first one does."""
    row = await tx.fetch_one(_COUNT_CREDENTIALS, account_id, now)
    assert row is not None  # an aggregate has one row
    total, removed, expired, unexpired, waiting, waiting_since = row
    states = {
        CertState.REMOVED: removed,
        CertState.EXPIRED: expired,
        CertState.UNEXPIRED: unexpired,
        CertState.UNKNOWN: total - removed - expired - unexpired,
    }
    return {state.value: count for state, count in states.items()}, waiting, waiting_since
