"""Bindings: what a cluster's RBAC should hold for people, what it holds, and what is to be done about the difference.

A person is permitted through the User names (CNs) of their current credentials, each a subject of its own: without the
subject that one credential is powerless (Kubernetes, "Using RBAC Authorization", read 2026-11-24).
"""

from collections.abc import Mapping
from typing import NamedTuple

CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
ROLE_BINDING = "RoleBinding"


class Subject(NamedTuple):
    """Whom a binding names. kind: User, Group or ServiceAccount; namespace: of a ServiceAccount, else ""."""

    kind: str
    name: str
    namespace: str = ""


class SeenBinding(NamedTuple):
    """A binding as a cluster has it.

    kind: ClusterRoleBinding or RoleBinding; namespace: of a RoleBinding, else ""; role_kind: ClusterRole or Role;
    managers: who wrote its fields, by the names that they gave.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]
    labels: Mapping[str, str]
    managers: tuple[str, ...] = ()
