"""Acts: operations between whose transactions something outside the store happens, such as a call to a cluster.

No transaction is open meanwhile. In each one the caller is judged anew, since a key, a user or a policy may have gone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.store.transactions import Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Act:
    """One act in progress. judge: the caller as they stand in a change, or an error where they may not any more."""

    custody: Custody
    caller: Caller
    author: Author
    clock: Callable[[], float]
    judge: Callable[[Change], Awaitable[Caller]]

    @property
    def account_id(self) -> str:
        """Whose data the act is about."""
        return self.caller.account_id

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `work` returns, run in one snapshot."""
        return await self.custody.store.read(work)

    async def change(self, work: Callable[[Change], Awaitable[T]]) -> T:
        """What `work` returns, once its change and its events are on disk."""

        async def judged(unit: Change) -> T:
            await self.judge(unit)
            return await work(unit)

        return await change(self.custody.store, self.account_id, self.author, self.clock, judged)


@dataclass(frozen=True, slots=True)
class After:
    """What a change answers where something outside the store is still to be done: it is run after the commit."""

    run: Callable[[Act], Awaitable[Any]]
