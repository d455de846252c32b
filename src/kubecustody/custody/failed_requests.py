"""What went wrong in a request, told to who may know."""

from kubecustody.catalogue.errors import get_error_definition
from kubecustody.catalogue.requests import (
    FAILED_REQUESTS_KEPT_SECONDS,
    DescribeRequestErrorInput,
    DescribeRequestErrorOutput,
)
from kubecustody.core.errors import RequestNotKept
from kubecustody.core.names import PrincipalKind
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller
from kubecustody.store.failed_requests import find_failed_request
from kubecustody.store.transactions import Transaction


async def describe_request_error(
    tx: Transaction, caller: Caller, request: DescribeRequestErrorInput, now: float
) -> DescribeRequestErrorOutput:
    """What became of a failed request. Raises RequestNotKept, also where it is somebody else's."""
    failed = await find_failed_request(tx, caller.account_id, request.request_id.upper())
    if failed is None or failed.failed_at < now - FAILED_REQUESTS_KEPT_SECONDS or not _may_see(caller, failed.caller):
        raise RequestNotKept(request.request_id)
    error = get_error_definition(failed.code)
    return DescribeRequestErrorOutput(
        failed_request_id=failed.request_id,
        time=format_time(failed.failed_at),
        caller=failed.caller,
        operation=failed.operation,
        method=failed.method,
        path=failed.path,
        status=error.status,
        code=failed.code,
        message=failed.message,
        meaning=error.meaning,
        what_to_do=error.cure,
    )


def _may_see(caller: Caller, sent_by: str) -> bool:
    return caller.kind == PrincipalKind.ACCOUNT or caller.delegated_admin or caller.actor == sent_by
