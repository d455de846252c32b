"""The course of one call, without sending: sign, send, look at what came, perhaps wait and sign anew.

It is a generator, so that a blocking and an asynchronous client run the same: each carries out a step and hands in what
came of it. Retries respect effects:

- What was surely not carried out is tried again, whatever the operation: no connection, Throttling, ServiceUnavailable.
- What may have been carried out (the connection broke, or the server failed) is tried again only where the operation
  only reads.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubecustody.catalogue.model import Effect, Operation
from kubecustody.client.wire import CallFailed, Endpoint, Incoming, Outgoing, sign

_FIRST_WAIT_SECONDS = 0.2
_SERVER_FAILED = 500
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried in all, and how long it may wait before it is tried again."""

    attempts: int = 4
    longest_wait_seconds: float = 20.0


NO_RETRIES = Retries(attempts=1)


class Send(NamedTuple):
    """Send this. fresh: by a connection of its own, so that one that the server closed is not mistaken for a fault."""

    outgoing: Outgoing
    fresh: bool


class Wait(NamedTuple):
    """Wait so long."""

    seconds: float


class Broken(NamedTuple):
    """There is no answer. sent: the server may have had the request."""

    sent: bool
    text: str


Step = Send | Wait
Outcome = Incoming | Broken | None
Flow = Generator[Step, Outcome, Incoming]


def call_flow(
    endpoint: Endpoint,
    operation: Operation,
    values: Mapping[str, Any],
    *,
    retries: Retries,
    clock: Callable[[], float],
    new_nonce: Callable[[], str],
) -> Flow:
    """The steps of a call; it returns the last answer, an error's too. Raises CallFailed where none came."""
    only_reads = operation.effects == {Effect.READS}
    attempt = 1
    while True:
        came = yield Send(sign(endpoint, operation, values, clock(), new_nonce()), fresh=not only_reads)
        assert came is not None
        wait = _wait_before_next(came, attempt, only_reads=only_reads)
        if wait is None or attempt >= retries.attempts or wait > retries.longest_wait_seconds:
            break
        yield Wait(wait)
        attempt += 1
    if isinstance(came, Broken):
        raise CallFailed(came.text)
    return came


def _wait_before_next(came: Incoming | Broken, attempt: int, *, only_reads: bool) -> float | None:
    """In how many seconds to try again; None: not at all."""
    pause = _FIRST_WAIT_SECONDS * (1 << attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads clients
    if isinstance(came, Broken):
        return pause if only_reads or not came.sent else None
    if came.retry_after_ms is not None:  # Throttling.User, ServiceUnavailable: nothing was done
        return max(pause, came.retry_after_ms / 1000)
    if came.status == _UNAVAILABLE or (came.status >= _SERVER_FAILED and only_reads):
        return pause
    return None
