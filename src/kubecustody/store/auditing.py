"""The chain of an account's events: events and seals in their order, and where it ends."""

from typing import NamedTuple

from kubecustody.core.events import Event
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Seal(NamedTuple):
    """The seal over the events of one transaction."""

    first_event_no: int
    last_event_no: int
    hash: bytes


class ChainEnd(NamedTuple):
    """Where the account says that its chain ends."""

    last_event_no: int
    last_seal_hash: bytes


_LIST_EVENTS = statement("list_events_from")
_LIST_SEALS = statement("list_seals_from")
_FIND_SEAL_BEFORE = statement("find_seal_before")
_FIND_END = statement("find_chain_end")


async def list_events_from(tx: Transaction, account_id: str, first_no: int, at_most: int) -> list[Event]:
    """At most `at_most` events from this number on, in order."""
    return [Event._make(row) for row in await tx.fetch_all(_LIST_EVENTS, account_id, first_no, at_most)]


async def list_seals_from(tx: Transaction, account_id: str, event_no: int, at_most: int) -> list[Seal]:
    """At most `at_most` seals, in order, from the one over this event on."""
    return [Seal._make(row) for row in await tx.fetch_all(_LIST_SEALS, account_id, event_no, at_most)]


async def find_seal_before(tx: Transaction, account_id: str, event_no: int) -> bytes | None:
    """The hash of the last seal before this event; None where it is the account's first."""
    row = await tx.fetch_one(_FIND_SEAL_BEFORE, account_id, event_no)
    return bytes(row[0]) if row is not None else None


async def find_chain_end(tx: Transaction, account_id: str) -> ChainEnd | None:
    """Where the chain ends; None without the account."""
    row = await tx.fetch_one(_FIND_END, account_id)
    return ChainEnd._make(row) if row is not None else None
