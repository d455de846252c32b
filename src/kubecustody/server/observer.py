"""Looks at every cluster that can be reached, now and then, in a worker, beside the requests.

Several workers share the work by leases. Clusters are looked at beside one another, so that a dead one delays nobody.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from kubecustody.core.errors import CustodyError
from kubecustody.custody.installation import Custody
from kubecustody.store.accesses import list_reached
from kubecustody.store.installation import list_accounts
from kubecustody.store.tasks import take_lease
from kubecustody.store.transactions import Transaction

_FIRST_PAUSE_SECONDS = 1.0
# Between two looks at what changes stirred, so that the changes of a busy moment share one.
_BREATH_SECONDS = 0.05
_AT_ONCE = 32

log = logging.getLogger("kubecustody.server")


class _Target(NamedTuple):
    account_id: str
    seq: int
    cluster_id: str
    mode: str


class Observer:
    """Looks at the clusters of an installation. `clock` gives unix seconds."""

    def __init__(self, custody: Custody, clock: Callable[[], float]) -> None:
        self._custody = custody
        self._clock = clock
        self._name = custody.random_bytes(8).hex()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._hurry = asyncio.Event()
        self._stirred: set[tuple[str, int]] = set()
        self._looks: dict[_Target, asyncio.Task[None]] = {}
        self._again: set[_Target] = set()

    async def keep(self) -> None:
        """Look at every cluster, again and again, for as long as the worker runs."""
        pause = self._custody.settings.observe_every_seconds
        if not pause:
            return
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._begin_looks(self._look_around)
                next_round = loop.time() + pause * random.uniform(0.9, 1.1)  # noqa: S311 - spreads the workers
                while (left := next_round - loop.time()) > 0:
                    if await self._is_hurried_within(left):
                        await self._begin_looks(self._look_at_stirred)
                        await asyncio.sleep(_BREATH_SECONDS)
        finally:
            looks = [*self._looks.values()]
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)  # while the store is still there

    def hurry(self, account_id: str, seqs: Collection[int]) -> None:
        """Look at these managed clusters of the account at once: something else is wanted there. 0: at all of them."""
        self._stirred.update((account_id, seq) for seq in seqs)
        self._hurry.set()

    async def _is_hurried_within(self, seconds: float) -> bool:
        # asyncio.wait_for of Python 3.11 swallows a cancellation that comes together with what it waits for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        return self._hurry.is_set()

    async def _begin_looks(self, begin: Callable[[], Awaitable[None]]) -> None:
        try:
            await begin()
        except CustodyError as error:
            log.warning("clusters could not be looked at: %s", error)
        except Exception:
            log.exception("looking at clusters failed in an unforeseen way")

    async def _look_around(self) -> None:
        """Begin to look at every cluster that no other worker has just looked at."""
        for target in await self._custody.store.read(_list_targets):
            if await self._take(target):
                self._begin(target)

    async def _look_at_stirred(self) -> None:
        """Begin to look at managed clusters in which something else is wanted now.

        Two workers may so look at one cluster; to write to it they take turns (`custody.turns`).
        """
        self._hurry.clear()  # before the reading, so that what is wanted after it is not missed
        stirred, self._stirred = self._stirred, set()
        for target in await self._custody.store.read(_list_targets):
            wanted = {(target.account_id, target.seq), (target.account_id, 0)}
            if target.mode == "manage" and wanted & stirred:
                self._begin(target)

    def _begin(self, target: _Target) -> None:
        """Look at a cluster beside all others; at one that is being looked at, once more afterwards."""
        if target in self._looks:
            self._again.add(target)
            return
        self._looks[target] = asyncio.get_running_loop().create_task(self._look_at(target))
        self._looks[target].add_done_callback(lambda _: self._end(target))

    def _end(self, target: _Target) -> None:
        ended = self._looks.pop(target)
        if target in self._again and not ended.cancelled():
            self._again.discard(target)
            self._begin(target)

    async def _take(self, target: _Target) -> bool:
        """Whether this worker is the one to look now. The lease is let run out, so that nobody else looks too soon."""
        now = int(self._clock())
        ends_at = now + max(1, int(self._custody.settings.observe_every_seconds * 0.8))
        name = f"look/{target.account_id}/{target.seq}"

        async def work(tx: Transaction) -> bool:
            return await take_lease(tx, name, self._name, now, ends_at)

        return await self._custody.store.write(work)

    async def _look_at(self, target: _Target) -> None:
        from kubecustody.custody.managing import look_and_manage  # only where there are clusters to look at
        from kubecustody.custody.observing import observe

        async with self._slots:
            try:
                act = observe if await self._custody.is_quarantined() else look_and_manage
                seen = await act(self._custody, target.account_id, target.seq, self._clock)
            except CustodyError as error:
                log.warning("cluster %s could not be looked at: %s", target.cluster_id, error)
                return
            except Exception:
                log.exception("looking at cluster %s failed in an unforeseen way", target.cluster_id)
                return
        for finding in seen.findings if seen is not None else ():
            if not finding.ok:
                # What a cluster says of itself may be made to look like another line of the log.
                log.warning("cluster %s: %s: %s", target.cluster_id, finding.what, ascii(finding.text)[1:-1])


async def _list_targets(tx: Transaction) -> list[_Target]:
    return [
        _Target(account.account_id, cluster.seq, cluster.cluster_id, cluster.mode)
        for account in await list_accounts(tx)
        for cluster in await list_reached(tx, account.account_id)
    ]
