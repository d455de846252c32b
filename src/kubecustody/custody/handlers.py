"""Which use case answers which operation. A test holds this against the catalogue."""

from collections.abc import Awaitable, Callable
from typing import Any

from kubecustody.catalogue.shapes import Shape
from kubecustody.custody.authentication import Caller
from kubecustody.custody.kubeconfig_states import list_user_kubeconfig_states
from kubecustody.store.transactions import Transaction

ReadHandler = Callable[[Transaction, Caller, Any, float], Awaitable[Shape]]

READ_HANDLERS: dict[str, ReadHandler] = {
    "ListUserKubeConfigStates": list_user_kubeconfig_states,
}
