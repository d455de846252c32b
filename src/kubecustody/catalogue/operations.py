"""The operations: every one that is spoken here."""

from kubecustody.catalogue.account import ACCOUNT_OPERATIONS
from kubecustody.catalogue.clusters import CLUSTER_OPERATIONS
from kubecustody.catalogue.credentials import CREDENTIAL_OPERATIONS
from kubecustody.catalogue.events import EVENT_OPERATIONS
from kubecustody.catalogue.kubeconfigs import KUBECONFIG_OPERATIONS
from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.permissions import PERMISSION_OPERATIONS
from kubecustody.catalogue.registering import REGISTERING_OPERATIONS
from kubecustody.catalogue.removing_clusters import REMOVE_CLUSTER
from kubecustody.catalogue.requests import DESCRIBE_REQUEST_ERROR
from kubecustody.catalogue.restoring import RESTORING_OPERATIONS
from kubecustody.catalogue.states import LIST_CLUSTER_KUBECONFIG_STATES, LIST_USER_KUBECONFIG_STATES
from kubecustody.catalogue.tasks import TASK_OPERATIONS
from kubecustody.catalogue.users import USER_OPERATIONS

OPERATIONS: tuple[Operation, ...] = (
    LIST_USER_KUBECONFIG_STATES,
    LIST_CLUSTER_KUBECONFIG_STATES,
    *KUBECONFIG_OPERATIONS,
    *CREDENTIAL_OPERATIONS,
    *RESTORING_OPERATIONS,
    *USER_OPERATIONS,
    *PERMISSION_OPERATIONS,
    *TASK_OPERATIONS,
    *CLUSTER_OPERATIONS,
    *ACCOUNT_OPERATIONS,
    *REGISTERING_OPERATIONS,
    REMOVE_CLUSTER,
    *EVENT_OPERATIONS,
    DESCRIBE_REQUEST_ERROR,
)


def get_operation(name: str) -> Operation:
    """The operation of this name, without regard to case. KeyError without one."""
    for operation in OPERATIONS:
        if operation.name.lower() == name.lower():
            return operation
    raise KeyError(name)
