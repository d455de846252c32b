"""DescribeUser: who has an id, a name or an e-mail address."""

from kubecustody.catalogue.users import DescribeUserInput, DescribeUserOutput
from kubecustody.core.errors import UserNotFound
from kubecustody.custody.authentication import Caller
from kubecustody.custody.principals import find_named
from kubecustody.store.transactions import Transaction


async def describe_user(tx: Transaction, caller: Caller, request: DescribeUserInput, _: float) -> DescribeUserOutput:
    """The user or role that is meant. Raises UserNotFound."""
    found = await find_named(tx, caller.account_id, request.who)
    if found is None:
        raise UserNotFound(request.who)
    state = "Deleted" if found.deleted_at else "InActive" if found.disabled_at else "Active"
    return DescribeUserOutput(found.uid, found.name or "", found.display_name or "", found.kind, state)
