"""The unit of work: one change of an account's data, with its events, as a whole or not at all."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from kubecustody.core.errors import OperatorError
from kubecustody.core.events import Event, seal
from kubecustody.store.installation import Counters, add_sealed_events, lock_account
from kubecustody.store.transactions import Store, Transaction

T = TypeVar("T")

# Events after which managed clusters should be otherwise than they are.
_STIRRING = frozenset(
    {"credential_issued", "removal_requested", "permissions_changed", "permissions_cleaned", "credential_restored"}
)

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts: `os:<uid>/<user>@<host>` for a command on the machine itself, else a principal's ARN."""

    actor: str
    request_id: str = ""
    reason: str = ""


class Ledger:
    """Where an account's numbers stand in a transaction, and the events that the changes in it leave: they are written
    and sealed together, once.
    """

    def __init__(self, tx: Transaction, account_id: str, counters: Counters) -> None:
        self.counters = counters
        self._tx = tx
        self._account_id = account_id
        self._before = counters
        self._events: list[Event] = []

    def take(self, events: Sequence[Event], counters: Counters) -> None:
        """Enter a change that is done."""
        self._events += events
        self.counters = counters

    def mark(self) -> tuple[int, Counters]:
        """How many events there are, and the numbers."""
        return len(self._events), self.counters

    def go_back(self, mark: tuple[int, Counters]) -> None:
        """Forget the changes after the mark."""
        count, self.counters = mark
        del self._events[count:]

    async def finish(self) -> None:
        """Write what was entered. Changes without events wrote nothing and leave nothing."""
        if self._events:
            seal_hash = seal(self._before.last_seal_hash, self._events)
            await add_sealed_events(self._tx, self._account_id, self._events, seal_hash, self.counters)


@dataclass(slots=True)
class Change:
    """A change in progress: its transaction, and the events that it will leave.

    `counters` are the account's as the change found them.
    """

    tx: Transaction
    account_id: str
    author: Author
    now: float
    counters: Counters
    _events: list[Event] = field(default_factory=list)
    _iam: bool = False
    _credentials: int = 0
    _clusters: int = 0

    @property
    def at(self) -> int:
        """The moment of the change in unix seconds."""
        return int(self.now)

    def record(
        self,
        kind: str,
        *,
        uid: str = "",
        cluster_seq: int = 0,
        subject: str = "",
        details: Mapping[str, Any] | None = None,
        occurred_at: int | None = None,
    ) -> None:
        """Note an event; it is written and sealed at the end of the transaction."""
        self._events.append(
            Event(
                self.account_id,
                self.counters.last_event_no + 1 + len(self._events),
                int(self.now * 1000),
                self.at if occurred_at is None else occurred_at,
                kind,
                self.author.actor,
                self.author.request_id,
                uid,
                cluster_seq,
                subject,
                self.author.reason,
                _encode(details).decode() if details else "{}",
            )
        )

    @property
    def stirred(self) -> frozenset[int]:
        """The clusters (seq) in which something else is wanted now than before; 0: in every one, as far as is known."""
        return frozenset(event.cluster_seq for event in self._events if event.kind in _STIRRING)

    def take_credential_number(self) -> int:
        """The number for the next credential that this change records."""
        self._credentials += 1
        return self.counters.last_credential_no + self._credentials

    def pass_credential_number(self, number: int) -> None:
        """Say that this number is given already, so that neither it nor a smaller one is given again."""
        self._credentials = max(self._credentials, number - self.counters.last_credential_no)

    def take_cluster_number(self) -> int:
        """The number (seq) for the next cluster that this change records."""
        self._clusters += 1
        return self.counters.last_cluster_seq + self._clusters

    def touch_permissions(self) -> None:
        """Say that principals, keys, groups or policies change, so that nothing remembered of them is used again."""
        self._iam = True

    def enter(self, ledger: Ledger) -> None:
        """Leave what was noted to the ledger. A change without events wrote nothing and leaves nothing."""
        if not self._events:
            return
        before = self.counters
        after = Counters(
            self._events[-1].event_no,
            before.last_seal_hash,
            before.last_cluster_seq + self._clusters,
            before.last_credential_no + self._credentials,
            before.iam_version + self._iam,
        )
        ledger.take(self._events, after)


async def change(
    store: Store,
    account_id: str,
    author: Author,
    now: float | Callable[[], float],
    work: Callable[[Change], Awaitable[T]],
) -> T:
    """What `work` returns, once its change and its events are on disk. OperatorError without the account.

    now: a time, or what tells it when the change's turn comes.
    """
    return await store.write(lambda tx: change_within(tx, account_id, author, now() if callable(now) else now, work))


async def change_within(
    tx: Transaction, account_id: str, author: Author, now: float, work: Callable[[Change], Awaitable[T]]
) -> T:
    """What `work` returns, as a part of a larger transaction."""
    ledger = tx.shared.get(account_id) or await _open_ledger(tx, account_id)
    assert isinstance(ledger, Ledger)
    unit = Change(tx, account_id, author, now, ledger.counters)
    result = await work(unit)
    unit.enter(ledger)
    return result


async def _open_ledger(tx: Transaction, account_id: str) -> Ledger:
    counters = await lock_account(tx, account_id)
    if counters is None:
        raise OperatorError(f"There is no account {account_id}. `kubecustody admin accounts list` shows them.")
    ledger = tx.shared[account_id] = Ledger(tx, account_id, counters)
    return ledger
