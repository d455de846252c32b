"""Which use case answers which operation. A test holds this against the catalogue.

What only reads runs in the request's own snapshot; the rest in one transaction, or, where clusters are called, in
several (`custody.acts`). Modules are loaded when they are first
needed, so that a worker that answers the lists alone does not carry X.509.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from kubecustody.catalogue.shapes import Shape
from kubecustody.custody.acts import Act, After
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody
from kubecustody.custody.kubeconfig_states import list_cluster_kubeconfig_states, list_user_kubeconfig_states
from kubecustody.store.transactions import Transaction

Result = Shape | list[Any] | None
Changed = Result | After
ReadHandler = Callable[[Transaction, Caller, Any, float], Awaitable[Result]]
ChangeHandler = Callable[[Custody, Change, Caller, Any], Awaitable[Changed]]

ActHandler = Callable[[Act, Any], Awaitable[Result]]

READ_HANDLERS: dict[str, tuple[str, str]] = {
    "ListUserKubeConfigStates": ("kubeconfig_states", "list_user_kubeconfig_states"),
    "ListClusterKubeconfigStates": ("kubeconfig_states", "list_cluster_kubeconfig_states"),
    "ListCredentials": ("credentials", "list_credentials"),
    "DescribeCredential": ("credentials", "describe_credential"),
    "DescribeUser": ("users", "describe_user"),
    "DescribeClustersV1": ("cluster_lists", "describe_clusters_v1"),
    "DescribeClusters": ("cluster_lists", "describe_clusters"),
    "DescribeClustersForRegion": ("cluster_lists", "describe_clusters_for_region"),
    "DescribeClusterDetail": ("cluster_lists", "describe_cluster_detail"),
    "DescribeUserQuota": ("cluster_lists", "describe_user_quota"),
    "DescribeRegions": ("cluster_lists", "describe_regions"),
    "CheckServiceRole": ("cluster_lists", "check_service_role"),
    "DescribeUserPermission": ("permissions", "describe_user_permission"),
    "DescribeUserClusterNamespaces": ("permissions", "describe_user_cluster_namespaces"),
    "ListRestorableCredentials": ("restoring", "list_restorable_credentials"),
    "DescribeTaskInfo": ("tasks", "describe_task_info"),
    "DescribeClusterTasks": ("tasks", "describe_cluster_tasks"),
    "DescribeRequestError": ("failed_requests", "describe_request_error"),
    "DescribeUserClusterActivityState": ("tasks", "describe_activity_state"),
    "ListEvents": ("events", "list_events"),
    "ListOwnEvents": ("events", "list_own_events"),
}

CHANGE_HANDLERS: dict[str, tuple[str, str]] = {
    "DescribeClusterUserKubeconfig": ("issuing", "describe_cluster_user_kubeconfig"),
    "DescribeClusterV2UserKubeconfig": ("issuing", "describe_cluster_v2_user_kubeconfig"),
    "DescribeSubaccountK8sClusterUserConfig": ("issuing", "describe_subaccount_user_config"),
    "UpdateK8sClusterUserConfigExpire": ("issuing", "update_user_config_expire"),
    "RevokeK8sClusterKubeConfig": ("issuing", "revoke_kubeconfig"),
    "IssueCredential": ("issuing", "issue_credential"),
    "RevokeCredential": ("revoking", "revoke_credential"),
    "GrantPermissions": ("permissions", "grant_permissions"),
    "UpdateUserPermissions": ("permissions", "update_user_permissions"),
    "CleanClusterUserPermissions": ("cleaning", "clean_cluster_user_permissions"),
    "CleanUserPermissions": ("tasks", "clean_user_permissions"),
}

# Those between whose transactions something outside the store happens.
ACT_HANDLERS: dict[str, tuple[str, str]] = {
    "RestoreCredential": ("restoring", "restore_credential"),
    "RestoreRemoval": ("restoring_removals", "restore_removal"),
    "RegisterCluster": ("registering", "register_cluster"),
    "ApplyClusters": ("applying", "apply_clusters"),
    "TestCluster": ("registering", "test_cluster"),
    "ManageCluster": ("registering", "manage_cluster"),
    "RemoveCluster": ("removing_clusters", "remove_cluster"),
}

_readers: dict[str, ReadHandler] = {
    "ListUserKubeConfigStates": list_user_kubeconfig_states,
    "ListClusterKubeconfigStates": list_cluster_kubeconfig_states,
}
_changers: dict[str, ChangeHandler] = {}
_actors: dict[str, ActHandler] = {}


def find_read_handler(operation: str) -> ReadHandler | None:
    """The use case of an operation that only reads."""
    handler = _readers.get(operation)
    if handler is None and operation in READ_HANDLERS:
        handler = _readers[operation] = _load(*READ_HANDLERS[operation])
    return handler


def get_change_handler(operation: str) -> ChangeHandler:
    """The use case of an operation that does more than read. KeyError without one."""
    handler = _changers.get(operation)
    if handler is None:
        handler = _changers[operation] = _load(*CHANGE_HANDLERS[operation])
    return handler


def find_act_handler(operation: str) -> ActHandler | None:
    """The use case of an operation between whose transactions something outside the store happens."""
    handler = _actors.get(operation)
    if handler is None and operation in ACT_HANDLERS:
        handler = _actors[operation] = _load(*ACT_HANDLERS[operation])
    return handler


def _load(module: str, name: str) -> Any:
    return getattr(import_module(f"kubecustody.custody.{module}"), name)
