"""What people are permitted in clusters, as the account records it: what a request may ask, and who may grant what.

The provider's words (its pages GrantPermissions and UpdateUserPermissions, read 2026-11-24): a permission is for one
cluster, for one namespace of it, or for all clusters, those to come too; its role is predefined, or a ClusterRole.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from kubecustody.core.errors import Fault, GrantForbidden, ParametersRefused

ADMIN = "admin"
PREDEFINED_ROLES = (ADMIN, "admin-view", "ops", "dev", "restricted")
CLUSTER_ADMIN = "cluster-admin"
MOST_PERMISSIONS = 500

_SHOWN = 40

# A namespace: an RFC 1123 label. A ClusterRole: narrower than Kubernetes, which takes whatever may stand in a path.
NAMESPACE_PATTERN = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
ROLE_NAME_PATTERN = "[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?"
_NAMESPACE = re.compile(NAMESPACE_PATTERN)
_ROLE_NAME = re.compile(ROLE_NAME_PATTERN)


class RoleType(StrEnum):
    """How far a permission reaches."""

    CLUSTER = "cluster"
    NAMESPACE = "namespace"
    ALL_CLUSTERS = "all-clusters"


# Which predefined roles are granted how far.
GRANTED: Final[Mapping[RoleType, tuple[str, ...]]] = MappingProxyType(
    {
        RoleType.CLUSTER: PREDEFINED_ROLES,
        RoleType.NAMESPACE: ("dev", "restricted"),
        RoleType.ALL_CLUSTERS: (ADMIN, "ops", "dev", "restricted"),
    }
)


class Mode(StrEnum):
    """What becomes of the permissions that there are: replaced by those named, added to, or reduced by them."""

    APPLY = "apply"
    PATCH = "patch"
    DELETE = "delete"


class AskedPermission(NamedTuple):
    """A permission as a request names it, unchecked."""

    cluster: str
    role_type: str
    role_name: str
    namespace: str = ""
    is_custom: bool = False


class Permission(NamedTuple):
    """A permission. cluster_id: "" for all clusters; namespace: "" for the whole cluster.

    role: one of PREDEFINED_ROLES, or with is_custom the name of a ClusterRole.
    """

    cluster_id: str
    namespace: str
    role: str
    is_custom: bool

    def __str__(self) -> str:
        """For a message: the role, and where."""
        role = f"the ClusterRole {self.role}" if self.is_custom else self.role
        within = f"the namespace {self.namespace} of " if self.namespace else ""
        return f"{role} in {within}{self.cluster_id or 'all clusters'}"


def read_permissions(asked: Sequence[AskedPermission], mode: str = Mode.APPLY) -> tuple[Mode, tuple[Permission, ...]]:
    """The mode and the permissions that a request names. Raises ParametersRefused with every fault and its place."""
    faults = [] if mode in list(Mode) else [Fault("mode", f"is {_shown(mode)}; it must be {_one_of(Mode)}.")]
    for place, one in enumerate(asked):
        faults += [Fault(f"[{place}].{member}", text) for member, text in _faults(one)]
    faults += _doubled(asked)
    if faults:
        raise ParametersRefused(tuple(faults))
    return Mode(mode), tuple(Permission(one.cluster, one.namespace, one.role_name, one.is_custom) for one in asked)


def _faults(one: AskedPermission) -> Iterator[tuple[str, str]]:
    """What is wrong with one item: the member, and what it must be instead."""
    if one.role_type not in list(RoleType):
        yield "role_type", f"is {_shown(one.role_type)}; it must be {_one_of(RoleType)}."
    elif one.role_type == RoleType.ALL_CLUSTERS and one.cluster:
        yield "cluster", "is given; with role_type all-clusters it must be empty."
    elif one.role_type != RoleType.ALL_CLUSTERS and not one.cluster:
        yield "cluster", "is empty; name a cluster, or say role_type all-clusters."
    yield from _faults_of_namespace(one)
    yield from _faults_of_role(one)


def _faults_of_namespace(one: AskedPermission) -> Iterator[tuple[str, str]]:
    if one.role_type == RoleType.NAMESPACE and not _NAMESPACE.fullmatch(one.namespace):
        text = "it must be the name of a namespace: 1 to 63 lower-case letters, digits or '-'"
        yield "namespace", f"is {_shown(one.namespace)}; {text}."
    if one.role_type in (RoleType.CLUSTER, RoleType.ALL_CLUSTERS) and one.namespace:
        yield "namespace", f"is given; with role_type {one.role_type} it must be empty."


def _faults_of_role(one: AskedPermission) -> Iterator[tuple[str, str]]:
    if one.is_custom:
        if not _ROLE_NAME.fullmatch(one.role_name):
            text = "it must be the name of a ClusterRole: 1 to 253 letters, digits, '.', '_', ':' or '-'"
            yield "role_name", f"is {_shown(one.role_name)}; {text}."
        elif one.role_name.startswith("system:"):
            yield "role_name", f"is {_shown(one.role_name)}; Kubernetes' own roles (system:) are granted to nobody."
    elif one.role_name not in PREDEFINED_ROLES:
        text = f"it must be {_one_of(PREDEFINED_ROLES)}, or a ClusterRole with is_custom true"
        yield "role_name", f"is {_shown(one.role_name)}; {text}."
    elif one.role_type == RoleType.NAMESPACE and one.role_name not in GRANTED[RoleType.NAMESPACE]:
        yield "role_name", f"is {one.role_name}, which is not granted in a namespace."
    elif one.role_type == RoleType.ALL_CLUSTERS and one.role_name not in GRANTED[RoleType.ALL_CLUSTERS]:
        yield "role_name", f"is {one.role_name}, which is not granted for all clusters."


def _doubled(asked: Sequence[AskedPermission]) -> list[Fault]:
    first: dict[AskedPermission, int] = {}
    faults = []
    for place, one in enumerate(asked):
        before = first.setdefault(one, place)
        if before != place:
            faults.append(Fault(f"[{place}]", f"is the same as [{before}]; name each once."))
    return faults


def _one_of(values: Iterable[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}"


def _shown(text: str) -> str:
    """The value for a message: quoted, short, and without anything that a terminal or page would act on."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def permissions_after(before: Collection[Permission], mode: Mode, named: Iterable[Permission]) -> frozenset[Permission]:
    """What a person is permitted after a change: no more than one request could name. Raises ParametersRefused."""
    if mode is Mode.PATCH:
        after = frozenset(before) | frozenset(named)
        if len(after) > MOST_PERMISSIONS:
            text = f"makes it {len(after)} permissions of one user; at most {MOST_PERMISSIONS} are kept."
            raise ParametersRefused((Fault("body", text),))
        return after
    if mode is Mode.DELETE:
        return frozenset(before) - frozenset(named)
    return frozenset(named)


# --- who may grant what


def covers(held: Iterable[Permission], wanted: Permission) -> bool:
    """Whether somebody who holds these may grant that: nobody grants more than they hold.

    What is held for all clusters, or in a whole cluster, is held in each part of it. admin holds every predefined role,
    but no ClusterRole, since what those allow is not known here.
    """
    return any(_reaches(one, wanted) and _includes(one, wanted) for one in held)


def _reaches(held: Permission, wanted: Permission) -> bool:
    return held.cluster_id in ("", wanted.cluster_id) and held.namespace in ("", wanted.namespace)


def _includes(held: Permission, wanted: Permission) -> bool:
    if (held.role, held.is_custom) == (wanted.role, wanted.is_custom):
        return True
    return not held.is_custom and held.role == ADMIN and not wanted.is_custom


def check_may_grant(
    held: Collection[Permission], added: Iterable[Permission], proved: Collection[Permission] = ()
) -> None:
    """Raise GrantForbidden where somebody who is not the account, and holds these, may not grant one of those.

    proved: of which the cluster itself showed that the grantor holds them.
    """
    for one in sorted(added):
        check_is_granted(one)
        if one not in proved and not covers(held, one):
            raise GrantForbidden(f"nobody grants more than they hold, and the caller does not hold {one}.")


def check_is_granted(one: Permission) -> None:
    """Raise GrantForbidden for what nobody but the account itself grants."""
    if one.is_custom and one.role == CLUSTER_ADMIN:
        raise GrantForbidden(f"only the account itself grants {one}.")


def makes_admin(one: Permission) -> bool:
    """Whether who is permitted this is an administrator of a whole cluster."""
    return not one.namespace and (one.role, one.is_custom) in ((ADMIN, False), (CLUSTER_ADMIN, True))


def is_admin_of(held: Iterable[Permission], cluster_id: str) -> bool:
    """Whether somebody who holds these is admin of this cluster; of "": of all clusters."""
    return any(
        one.role == ADMIN and not one.is_custom and not one.namespace and one.cluster_id in ("", cluster_id)
        for one in held
    )


# --- namespaces


def namespaces_of(held: Iterable[Permission], cluster_id: str) -> list[str] | None:
    """The namespaces in which somebody who holds these is permitted something, sorted; None where that is every one."""
    here = [one for one in held if one.cluster_id in ("", cluster_id)]
    if any(not one.namespace for one in here):
        return None
    return sorted({one.namespace for one in here})
