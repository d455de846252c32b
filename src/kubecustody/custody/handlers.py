"""Which use case answers which operation. A test holds this against the catalogue.

What only reads runs in the request's own snapshot; the rest in one transaction. Modules of the latter are loaded when
they are first needed, so that a worker that answers reads alone does not carry X.509.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import import_module
from typing import Any

from kubecustody.catalogue.shapes import Shape
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody
from kubecustody.custody.kubeconfig_states import list_cluster_kubeconfig_states, list_user_kubeconfig_states
from kubecustody.store.transactions import Transaction

ReadHandler = Callable[[Transaction, Caller, Any, float], Awaitable[Shape]]
ChangeHandler = Callable[[Custody, Change, Caller, Any], Awaitable[Shape | None]]

READ_HANDLERS: dict[str, ReadHandler] = {
    "ListUserKubeConfigStates": list_user_kubeconfig_states,
    "ListClusterKubeconfigStates": list_cluster_kubeconfig_states,
}

CHANGE_HANDLERS: dict[str, tuple[str, str]] = {
    "DescribeClusterUserKubeconfig": ("issuing", "describe_cluster_user_kubeconfig"),
    "DescribeClusterV2UserKubeconfig": ("issuing", "describe_cluster_v2_user_kubeconfig"),
    "DescribeSubaccountK8sClusterUserConfig": ("issuing", "describe_subaccount_user_config"),
    "UpdateK8sClusterUserConfigExpire": ("issuing", "update_user_config_expire"),
    "RevokeK8sClusterKubeConfig": ("issuing", "revoke_kubeconfig"),
    "CleanClusterUserPermissions": ("cleaning", "clean_cluster_user_permissions"),
}


@cache
def get_change_handler(operation: str) -> ChangeHandler:
    """The use case of an operation that does more than read. KeyError without one."""
    module, name = CHANGE_HANDLERS[operation]
    handler: ChangeHandler = getattr(import_module(f"kubecustody.custody.{module}"), name)
    return handler
