"""Carries tasks on in a worker, beside the requests: at once when a call begins one, and now and then those that
another worker left.
"""

import asyncio
import logging
from collections.abc import Callable

from kubecustody.core.errors import ServiceUnavailable
from kubecustody.custody.installation import Custody
from kubecustody.store.installation import list_accounts
from kubecustody.store.tasks import list_running_tasks
from kubecustody.store.transactions import Transaction

_PAUSE_SECONDS = 15.0
_PAUSE_BETWEEN_SECONDS = 0.002

log = logging.getLogger("kubecustody.server")


class TaskRunner:
    """Works on the tasks of an installation, one at a time. `clock` gives unix seconds; `after_task` is told of
    each task that was worked on, by its account.
    """

    def __init__(self, custody: Custody, clock: Callable[[], float], after_task: Callable[[str], None]) -> None:
        self._custody = custody
        self._after_task = after_task
        self._clock = clock
        self._working: asyncio.Task[None] | None = None
        self._again = False
        self._name = custody.random_bytes(8).hex()

    def wake(self) -> None:
        """Look for tasks that are due, now."""
        self._again = True
        if self._working is None or self._working.done():
            self._working = asyncio.get_running_loop().create_task(self._work())

    async def keep(self) -> None:
        """Look for tasks now and then, for as long as the worker runs."""
        while True:
            self.wake()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def close(self) -> None:
        """Stop after the cluster that is being worked on; another worker carries on when the lease ends."""
        if self._working is not None and not self._working.done():
            self._working.cancel()
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._again:
            self._again = False
            try:
                while await self._work_on_one():
                    pass
            except ServiceUnavailable as error:  # the store is busy; the lease ends, and the task is due again
                log.warning("tasks wait: %s (%s)", error.reason, error.__cause__)

    async def _work_on_one(self) -> bool:
        """Whether there was a task to work on."""
        if not await self._custody.store.read(_is_any_running):
            return False
        from kubecustody.custody.tasks import carry_on, give_up_on_next, lease_due_task  # X.509 only where it is needed

        due = await lease_due_task(self._custody, self._name, self._clock())
        left = due is not None
        while due is not None and left:
            try:
                left = await carry_on(self._custody, due, self._clock())
                await asyncio.sleep(_PAUSE_BETWEEN_SECONDS)  # SQLite's lock is not fair: others write now
            except ServiceUnavailable:
                raise
            except Exception:
                log.exception("task %s failed in an unforeseen way in one cluster", due.task_id)
                if not await give_up_on_next(self._custody, due, self._clock()):
                    return False  # not at once again, without end; it is due when somebody looks next
        if due is not None:
            self._after_task(due.account_id)
        return due is not None


async def _is_any_running(tx: Transaction) -> bool:
    return any([await list_running_tasks(tx, account.account_id, 1) for account in await list_accounts(tx)])
