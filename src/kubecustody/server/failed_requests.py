"""Failed requests whose signature held: noted after their answer, and written down together, half a second later.

So a flood of them costs one transaction each half second, and a request that succeeds nothing.
"""

import asyncio
import logging
import re
from collections.abc import Callable

import msgspec

from kubecustody.catalogue.requests import FAILED_REQUESTS_KEPT, FAILED_REQUESTS_KEPT_SECONDS
from kubecustody.core.errors import CustodyError
from kubecustody.store.failed_requests import FailedRequest, add_failed_requests
from kubecustody.store.transactions import Store, Transaction

_PAUSE_SECONDS = 0.5
_MOST_AT_ONCE = 500
_SHOWN_MESSAGE = 1000
# What the fault of a parameter quotes: its value could be anything, a secret in the wrong place too.
_QUOTED = re.compile(r"""\bis (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")

log = logging.getLogger("kubecustody.server")


class _Told(msgspec.Struct):
    """What an error answer tells."""

    message: str


_read = msgspec.json.Decoder(_Told).decode


class FailedRequests:
    """The failed requests of one worker that are not written down yet. `clock`: unix seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[str, list[FailedRequest]] = {}
        self._count = 0
        self._some = asyncio.Event()

    def note(self, account_id: str, failed: FailedRequest, body: bytes) -> None:
        """Note a failed request and the body of its answer. Beyond what can be written at once, nothing is noted."""
        if self._count < _MOST_AT_ONCE:
            self._count += 1
            message = _QUOTED.sub("is '****'", _read(body).message)
            self._noted.setdefault(account_id, []).append(failed._replace(message=message[:_SHOWN_MESSAGE]))
            self._some.set()

    async def keep(self) -> None:
        """Write down what is noted, for as long as the worker runs."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_PAUSE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write down what was noted. Where the store cannot be written to, it is lost."""
        noted, self._noted, self._count = self._noted, {}, 0
        self._some.clear()
        if not noted:
            return
        since = int(self._clock()) - FAILED_REQUESTS_KEPT_SECONDS

        async def work(tx: Transaction) -> None:
            for account_id, failed in noted.items():
                await add_failed_requests(tx, account_id, failed, at_most=FAILED_REQUESTS_KEPT, since=since)

        try:
            await self._store.write(work)
        except CustodyError as error:
            log.warning("failed requests could not be written down: %s", error)
