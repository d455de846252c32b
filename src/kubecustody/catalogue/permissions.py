"""What people are permitted in clusters: granting it, changing it, and asking for it.

Facts: the provider's reference pages of each, and its SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24.
"""

from collections.abc import Mapping
from typing import Annotated

from kubecustody.catalogue.forms import Form
from kubecustody.catalogue.members import ALLOW_LAST_ADMIN, CLUSTER_ID
from kubecustody.catalogue.model import ALL_RESOURCES, ONE_CLUSTER, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape, Variant
from kubecustody.core.errors import (
    BodyMalformed,
    ClusterNotFound,
    ClusterStateForbids,
    GrantForbidden,
    LastAdmin,
    NamespaceQueryForbidden,
    UserNotFound,
)
from kubecustody.core.permissions import (
    GRANTED,
    MOST_PERMISSIONS,
    NAMESPACE_PATTERN,
    ROLE_NAME_PATTERN,
    RoleType,
)

ROLE_TYPES = {
    "cluster": "The permission is for one cluster.",
    "namespace": "The permission is for one namespace of a cluster.",
    "all-clusters": "The permission is for all clusters, those to come too.",
}
MODES = {
    "apply": "The permissions named replace all that the user has.",
    "patch": "The permissions named are added.",
    "delete": "The permissions named are taken away.",
}
RESOURCE_TYPES = {
    "cluster": "One cluster.",
    "namespace": "One namespace of a cluster.",
    "console": "All clusters.",
}
ROLES = {
    "admin": "Administrator: everything.",
    "admin-view": "Administrator who only reads; neither secrets nor custom resources.",
    "ops": "Operations: what runs in every namespace, and reads the nodes and volumes below it.",
    "dev": "Developer: what runs in the namespaces, or in the cluster, that the permission is for.",
    "restricted": "Reads what runs there.",
    "custom": "A ClusterRole of the cluster's own.",
}

_UID = Member("The ID of the RAM user or RAM role.", example="200000000000000001", location=Location.PATH)
_CLUSTER = Member(
    "The cluster ID; empty with role_type all-clusters.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", most=128
)
_ROLE_NAME = Member(
    "admin, admin-view, ops, dev or restricted, or with is_custom the name of a ClusterRole. admin, admin-view and ops "
    "are not granted in a namespace, admin-view not for all clusters.",
    example="ops",
    most=253,
)
_ROLE_TYPE = Member("How far the permission reaches.", example="cluster", values=ROLE_TYPES)
_NAMESPACE = Member("The namespace; empty unless role_type is namespace.", example="default", most=63)
_IS_CUSTOM = Member("Whether role_name is a ClusterRole of the cluster's own.", example="false")
_IS_RAM_ROLE = Member("Whether the ID is that of a RAM role. Passed over: the ID tells it.", example="false")


# What goes together, as core.permissions judges it; by wire name.
_CLUSTER_ROLE = Form("the name of a ClusterRole", f"(?!system:)(?:{ROLE_NAME_PATTERN})")
_NAMED = Form("not empty", r"[\s\S]+")
_REACHES: Mapping[RoleType, Mapping[str, tuple[str, ...] | Form]] = {
    RoleType.CLUSTER: {"cluster": _NAMED, "namespace": ("",)},
    RoleType.NAMESPACE: {"cluster": _NAMED, "namespace": Form("the name of a namespace", NAMESPACE_PATTERN)},
    RoleType.ALL_CLUSTERS: {"cluster": ("",), "namespace": ("",)},
}
PERMISSION_VARIANTS = tuple(
    Variant(
        (
            *("role_type", "role_name"),
            *(name for name, what in members.items() if isinstance(what, Form)),
            *(("is_custom",) if is_custom else ()),
        ),
        {
            "role_type": (reach.value,),
            "role_name": _CLUSTER_ROLE if is_custom else GRANTED[reach],
            "is_custom": (is_custom,),
            **members,
        },
    )
    for reach, members in _REACHES.items()
    for is_custom in (False, True)
)


class GrantedPermission(Shape):
    """One permission."""

    variants = PERMISSION_VARIANTS
    cluster: Annotated[str, _CLUSTER]
    role_name: Annotated[str, _ROLE_NAME]
    role_type: Annotated[str, _ROLE_TYPE]
    namespace: Annotated[str, _NAMESPACE] = ""
    is_custom: Annotated[bool, _IS_CUSTOM] = False
    is_ram_role: Annotated[bool, _IS_RAM_ROLE] = False


class ChangedPermission(Shape):
    """One permission. The provider calls every member optional; without a role and its type none is named."""

    variants = PERMISSION_VARIANTS
    cluster: Annotated[str, _CLUSTER] = ""
    role_name: Annotated[str, _ROLE_NAME] = ""
    role_type: Annotated[str, _ROLE_TYPE] = ""
    namespace: Annotated[str, _NAMESPACE] = ""
    is_custom: Annotated[bool, _IS_CUSTOM] = False
    is_ram_role: Annotated[bool, _IS_RAM_ROLE] = False


class GrantPermissionsInput(Shape):
    """Whose permissions, and all of them."""

    uid: Annotated[str, _UID]
    body: Annotated[
        list[GrantedPermission],
        Member(
            "Every permission that the user is to have: the body is this array itself. An empty one takes all away.",
            wire_name="body",
            most=MOST_PERMISSIONS,
            whole=True,
        ),
    ]
    allow_last_admin: Annotated[bool, ALLOW_LAST_ADMIN] = False


class UpdateUserPermissionsInput(Shape):
    """Whose permissions, and what becomes of them."""

    uid: Annotated[str, _UID]
    body: Annotated[
        list[ChangedPermission],
        Member(
            "The permissions that are meant: the body is this array itself.",
            wire_name="body",
            most=MOST_PERMISSIONS,
            whole=True,
        ),
    ]
    mode: Annotated[
        str,
        Member(
            "What becomes of the permissions that there are.", example="patch", location=Location.QUERY, values=MODES
        ),
    ] = "apply"
    allow_last_admin: Annotated[bool, ALLOW_LAST_ADMIN] = False


_GRANTING_ERRORS = (BodyMalformed, UserNotFound, ClusterNotFound, ClusterStateForbids, GrantForbidden, LastAdmin)
_GRANTING_CHANGES = (
    Change("2026-11-24", "AllowLastAdmin."),
    Change("2026-11-24", "Who grants must hold it in the cluster itself, rule by rule, where that is reached."),
    Change("2026-11-25", "OpenAPI says what goes together in a permission."),
    Change("2026-11-25", "For all clusters: in each that is reached."),
)
_WHO_GRANTS = (
    "Who is not the account itself grants no more than they hold in that cluster, and nothing to the account or to "
    "themselves. Where this server reaches the cluster, that is judged there, rule by rule, over all bindings of the "
    "caller's kubeconfigs; elsewhere by what is recorded. What is for all clusters is judged in each that is reached, "
    "and by what is recorded, since clusters to come are meant as well; where one cannot be read, only the account "
    "grants it."
)

GRANT_PERMISSIONS = Operation(
    name="GrantPermissions",
    method="POST",
    path="/permissions/users/{uid}",
    summary="Replace all permissions of a RAM user or role.",
    description="The array is all that the user is permitted afterwards, so whatever it leaves out is taken away; "
    f"UpdateUserPermissions adds and takes away. {_WHO_GRANTS}",
    action_names=("cs:GrantPermission", "cs:GrantPermissions"),
    access_level=AccessLevel.WRITE,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.GRANTS}),
    input=GrantPermissionsInput,
    output=None,
    errors=_GRANTING_ERRORS,
    changes=_GRANTING_CHANGES,
)

UPDATE_USER_PERMISSIONS = Operation(
    name="UpdateUserPermissions",
    method="POST",
    path="/permissions/users/{uid}/update",
    summary="Replace, add or take away permissions of a RAM user or role.",
    description=f"With the mode apply it does what GrantPermissions does. {_WHO_GRANTS}",
    action_names=("cs:UpdateUserPermissions",),
    access_level=AccessLevel.WRITE,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.GRANTS}),
    input=UpdateUserPermissionsInput,
    output=None,
    errors=_GRANTING_ERRORS,
    changes=_GRANTING_CHANGES,
)


class DescribeUserPermissionInput(Shape):
    """Whose permissions."""

    uid: Annotated[str, _UID]


class UserPermission(Shape):
    """One permission of a user."""

    resource_id: Annotated[
        str,
        Member(
            "What it is for: the cluster ID, the cluster ID and a namespace with a slash between, or all-clusters.",
            example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e/default",
        ),
    ]
    resource_type: Annotated[str, Member("How far it reaches.", example="namespace", values=RESOURCE_TYPES)]
    role_name: Annotated[str, Member("The predefined role, or the name of the ClusterRole.", example="dev")]
    role_type: Annotated[str, Member("The predefined role, or custom.", example="dev", values=ROLES)]
    is_owner: Annotated[int, Member("Whether it is the account's own: 0 or 1.", example="0")]
    is_ram_role: Annotated[int, Member("Whether the user is a RAM role: 0 or 1.", example="0")]


DESCRIBE_USER_PERMISSION = Operation(
    name="DescribeUserPermission",
    method="GET",
    path="/permissions/users/{uid}",
    summary="Query the permissions of a RAM user or role.",
    description="As they are recorded. Who is not the account itself sees their own, and those of others in the "
    "clusters in which they are admin.",
    action_names=("cs:GetUserPermissions", "cs:DescribeUserPermission"),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.READS}),
    input=DescribeUserPermissionInput,
    output=UserPermission,
    returns_list=True,
    errors=(UserNotFound,),
)


class DescribeUserClusterNamespacesInput(Shape):
    """Of which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]


class DescribeUserClusterNamespacesOutput(Shape):
    """The namespaces."""

    namespaces: Annotated[
        list[str],
        Member("The names of the namespaces, in order: the answer is this array itself.", wire_name="body", whole=True),
    ]


DESCRIBE_USER_CLUSTER_NAMESPACES = Operation(
    name="DescribeUserClusterNamespaces",
    method="GET",
    path="/api/v2/k8s/{ClusterId}/namespaces",
    summary="Query the namespaces of a cluster in which the caller is permitted something.",
    description="Those of the caller's permissions. Where one of them is for the whole cluster the answer is an error, "
    "since which namespaces a cluster has is not recorded.",
    action_names=("cs:DescribeUserClusterNamespaces",),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.READS}),
    input=DescribeUserClusterNamespacesInput,
    output=DescribeUserClusterNamespacesOutput,
    errors=(ClusterNotFound, ClusterStateForbids, NamespaceQueryForbidden),
)

PERMISSION_OPERATIONS = (
    GRANT_PERMISSIONS,
    UPDATE_USER_PERMISSIONS,
    DESCRIBE_USER_PERMISSION,
    DESCRIBE_USER_CLUSTER_NAMESPACES,
)
