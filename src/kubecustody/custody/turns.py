"""One at a time, over all workers: a lease that is renewed while its holder lives, and ends soon after it died."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kubecustody.custody.installation import Custody
from kubecustody.store.tasks import drop_lease, take_lease

T = TypeVar("T")

LEASE_SECONDS = 10
_BEAT_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.25


async def take_turn(
    custody: Custody, name: str, clock: Callable[[], float], work: Callable[[], Awaitable[T]]
) -> T | None:
    """What `work` returns, done while nobody else does anything under this name; None where the turn did not come in
    time, or was lost to somebody else because this worker stood still for too long.
    """
    holder = custody.random_bytes(8).hex()
    ends = asyncio.get_running_loop().time() + _LONGEST_WAIT_SECONDS
    while not await _take(custody, name, holder, clock):
        if asyncio.get_running_loop().time() > ends:
            return None
        await asyncio.sleep(_POLL_SECONDS)
    doing = asyncio.ensure_future(work())
    beating = asyncio.create_task(_beat(custody, name, holder, clock, doing))
    try:
        return await doing
    except asyncio.CancelledError:
        if beating.done() and not beating.cancelled():
            return None  # the lease was lost
        raise
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        await custody.store.write(lambda tx: drop_lease(tx, name, holder))


async def _beat(
    custody: Custody, name: str, holder: str, clock: Callable[[], float], doing: "asyncio.Future[T]"
) -> None:
    """Renew the lease for as long as it is held; stop what is done under it once it is somebody else's."""
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        if not await _take(custody, name, holder, clock):
            doing.cancel()
            return


async def _take(custody: Custody, name: str, holder: str, clock: Callable[[], float]) -> bool:
    now = int(clock())
    return await custody.store.write(lambda tx: take_lease(tx, name, holder, now, now + LEASE_SECONDS))
