"""The course of one call, without sending: sign, send, look at what came, perhaps wait and sign anew.

It is a generator, so that a blocking and an asynchronous client run the same: each carries out a step and hands in what
came of it. Retries respect effects:

- What was surely not carried out is tried again, whatever the operation: no connection, Throttling, status 503.
- What may have been carried out (the connection broke, or the server failed) is tried again only where the operation
  only reads.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubecustody.catalogue.model import Effect, Operation
from kubecustody.client.wire import ApiError, CallFailed, Endpoint, Incoming, Outgoing, sign

_FIRST_WAIT_SECONDS = 0.2
_MOST_DOUBLINGS = 16
_MOVED, _REFUSED, _TOO_MANY = 300, 400, 429
_SERVER_FAILED = 500
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried in all, and how long it may wait before it is tried again.

    Where the server asks for a longer wait, the call ends with its answer at once.
    """

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
        wait = _wait_before_next(came, attempt, retries.longest_wait_seconds, only_reads=only_reads)
        if wait is None or attempt >= retries.attempts or wait > retries.longest_wait_seconds:
            break
        yield Wait(wait)
        attempt += 1
    if isinstance(came, Broken):
        raise CallFailed(came.text)
    if _MOVED <= came.status < _REFUSED:
        raise CallFailed(
            f"{endpoint.url} sends elsewhere (status {came.status}), which is not followed; is it this API? "
            "Name the address that it leads to as the endpoint, if that is to be trusted."
        )
    return came


def _wait_before_next(came: Incoming | Broken, attempt: int, longest: float, *, only_reads: bool) -> float | None:
    """In how many seconds to try again; None: not at all."""
    doubled = _FIRST_WAIT_SECONDS * (1 << min(attempt - 1, _MOST_DOUBLINGS))
    pause = min(doubled * random.uniform(0.5, 1.5), longest)  # noqa: S311 - spreads clients
    if isinstance(came, Broken):
        return pause if only_reads or not came.sent else None
    if _was_not_done(came) or (came.status >= _SERVER_FAILED and only_reads):
        return max(pause, (came.retry_after_ms or 0) / 1000)
    return None


def _was_not_done(came: Incoming) -> bool:
    """Whether an answer says that nothing was done, and that it may be asked again."""
    if came.status in (_TOO_MANY, _UNAVAILABLE):
        return True
    if not _REFUSED <= came.status < _SERVER_FAILED:
        return False
    try:
        return ApiError(came).code.startswith("Throttling")
    except CallFailed:  # no JSON
        return False
