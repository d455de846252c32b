"""When access keys were last used: noted for each request, written down once a minute."""

import asyncio
import logging

from kubecustody.core.errors import CustodyError
from kubecustody.custody.authentication import Caller
from kubecustody.store.principals import note_access_key_uses
from kubecustody.store.transactions import Store, Transaction

_PAUSE_SECONDS = 60.0

log = logging.getLogger("kubecustody.server")


class KeyUses:
    """The uses of one worker that are not written down yet. What is lost when it is killed is a minute's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: dict[tuple[str, str], int] = {}

    def note(self, caller: Caller, at: float) -> None:
        """Note that a key signed a request. A temporary key is none that anybody lists."""
        if caller.session is None:
            self._noted[caller.account_id, caller.access_key_id] = int(at)

    async def keep(self) -> None:
        """Write the uses down, again and again, for as long as the worker runs."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write down what was noted. Where the store cannot be written to, it is noted still."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        rows = [(account_id, access_key_id, at) for (account_id, access_key_id), at in noted.items()]

        async def work(tx: Transaction) -> None:
            await note_access_key_uses(tx, rows)

        try:
            await self._store.write(work)
        except CustodyError as error:
            log.warning("the last uses of access keys could not be written down: %s", error)
            self._noted = {**noted, **self._noted}
