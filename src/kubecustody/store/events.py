"""Events, the newest first, and where in their order a moment lies."""

from kubecustody.core.events import Event
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Row, Transaction

_LIST = statement("list_events")
_LIST_OF_PERSON = statement("list_events_of_person")
_LIST_OF_CLUSTER = statement("list_events_of_cluster")
_LIST_OF_KIND = statement("list_events_of_kind")
_FIND_TIME = statement("find_event_time")
_HAS_WHOLE = statement("has_whole_history")
_FIND_LAST = statement("find_last_event_no")
_FIND_CLUSTER = statement("find_first_event_of_cluster")

# Behind which and before which event_no, neither included.
Between = tuple[int, int]


async def list_events(tx: Transaction, account_id: str, between: Between, at_most: int) -> list[Event]:
    """At most `at_most` of the account's events, the newest first."""
    return _events(await tx.fetch_all(_LIST, account_id, *between, at_most))


async def list_events_of_person(
    tx: Transaction, account_id: str, uid: str, between: Between, at_most: int
) -> list[Event]:
    """At most `at_most` of the events about one person, the newest first."""
    return _events(await tx.fetch_all(_LIST_OF_PERSON, account_id, uid, *between, at_most))


async def list_events_of_cluster(
    tx: Transaction, account_id: str, cluster_seq: int, between: Between, at_most: int
) -> list[Event]:
    """At most `at_most` of the events about one cluster, the newest first."""
    return _events(await tx.fetch_all(_LIST_OF_CLUSTER, account_id, cluster_seq, *between, at_most))


async def list_events_of_kind(
    tx: Transaction, account_id: str, kind: str, between: Between, at_most: int
) -> list[Event]:
    """At most `at_most` of the events of one kind, the newest first."""
    return _events(await tx.fetch_all(_LIST_OF_KIND, account_id, kind, *between, at_most))


def _events(rows: list[Row]) -> list[Event]:
    return [Event._make(row) for row in rows]


async def find_event_at(tx: Transaction, account_id: str, at_ms: int) -> int:
    """The number of the account's last event that was recorded at this moment (unix milliseconds) or before; 0 where
    none was.

    Events are numbered without a gap in the order in which they were recorded, so a search in halves finds it. A clock
    that was set back leaves a stretch in which the answer is one of several.
    """
    first, last = 0, await find_last_event(tx, account_id)
    while first < last:
        middle = (first + last + 1) // 2
        recorded_at_ms = await find_event_time(tx, account_id, middle)
        if recorded_at_ms is not None and recorded_at_ms <= at_ms:
            first = middle
        else:
            last = middle - 1
    return first


async def has_whole_history(tx: Transaction, account_id: str) -> bool:
    """Whether the account's events tell all that the past is derived from."""
    return await tx.fetch_one(_HAS_WHOLE, account_id) is not None


async def find_event_time(tx: Transaction, account_id: str, event_no: int) -> int | None:
    """When an event was recorded (unix milliseconds)."""
    row = await tx.fetch_one(_FIND_TIME, account_id, event_no)
    return int(row[0]) if row is not None else None


async def find_last_event(tx: Transaction, account_id: str) -> int:
    """The number of the account's last event; 0 where there is none."""
    row = await tx.fetch_one(_FIND_LAST, account_id)
    return int(row[0]) if row is not None else 0


async def find_cluster_id(tx: Transaction, account_id: str, cluster_seq: int) -> str:
    """The id of the cluster of this number, also of a purged one; "" where no event tells it."""
    row = await tx.fetch_one(_FIND_CLUSTER, account_id, cluster_seq)
    return str(row[0]).removeprefix("cluster/") if row is not None else ""
