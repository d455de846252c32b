"""The last failed requests of each account."""

from collections.abc import Sequence
from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class FailedRequest(NamedTuple):
    """One request that failed after its signature held. caller: the ARN, of a session with its name."""

    request_id: str
    failed_at: int
    caller: str
    operation: str
    method: str
    path: str
    code: str
    message: str


_FIND_NEWEST = statement("find_newest_failed_request")
_ADD = statement("add_failed_request")
_FIND = statement("find_failed_request")
_FORGET_UP_TO = statement("forget_failed_requests_up_to")
_FORGET_BEFORE = statement("forget_failed_requests_before")


async def add_failed_requests(
    tx: Transaction, account_id: str, failed: Sequence[FailedRequest], *, at_most: int, since: int
) -> None:
    """Keep failed requests: of the account's, the newest `at_most`, and none from before `since`."""
    row = await tx.fetch_one(_FIND_NEWEST, account_id)
    newest = 0 if row is None else row[0]
    await tx.execute_many(_ADD, [(account_id, newest + number, *one) for number, one in enumerate(failed, 1)])
    await tx.execute(_FORGET_UP_TO, account_id, newest + len(failed) - at_most)
    await tx.execute(_FORGET_BEFORE, account_id, since)


async def find_failed_request(tx: Transaction, account_id: str, request_id: str) -> FailedRequest | None:
    """The failed request of this id."""
    row = await tx.fetch_one(_FIND, account_id, request_id)
    return None if row is None else FailedRequest._make(row)
