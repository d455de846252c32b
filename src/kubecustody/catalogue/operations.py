"""The operations: one record for each, which every reader derives its part from.

An odd operation is a field here, never an exception elsewhere. Facts about the provider's operations come from
its reference pages (api-cs-2015-12-15-<operation in lower case>) and its SDK alibabacloud-cs20151215 7.2.3,
read 2026-11-24.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.core.errors import RequestError, UserNotFound
from kubecustody.core.states import CanGetIn, CertState, ClusterState

API_VERSION = "2015-12-15"
LARGEST_INTEGER = 2**31 - 1


class Effect(StrEnum):
    """What an operation does, as a policy and a person must know it. "Only reads" means exactly {READS}."""

    READS = "reads"
    ISSUES = "issues"
    DISCLOSES_KEY = "discloses_key"
    REMOVES = "removes"
    GRANTS = "grants"
    RESTORES = "restores"
    ATTESTS = "attests"
    CHANGES_SETTINGS = "changes_settings"


class AccessLevel(StrEnum):
    """The access level that the provider's page of an operation gives."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an operation's change history: the day (YYYY-MM-DD) and what changed."""

    day: str
    summary: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    path has its parameters as {WireName}. action_names: every RAM action that stands for it, the one of its
    page first. resource: the ARN that a policy must match, with {region_id} and {account_id}; `*` at the end
    where the provider knows no resource level. errors: what it can raise beyond what every operation can.
    """

    name: str
    method: str
    path: str
    summary: str
    description: str
    action_names: tuple[str, ...]
    access_level: AccessLevel
    resource: str
    effects: frozenset[Effect]
    input: type[Shape]
    output: type[Shape]
    errors: tuple[type[RequestError], ...] = ()
    changes: tuple[Change, ...] = ()
    ours: bool = False
    folded_actions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folded_actions", frozenset(name.lower() for name in self.action_names))


ALL_RESOURCES = "acs:cs:{region_id}:{account_id}:*"

CERT_STATES = {
    CertState.UNISSUED: "The certificate is not issued.",
    CertState.UNEXPIRED: "The certificate is not expired.",
    CertState.EXPIRED: "The certificate is expired.",
    CertState.REMOVED: "The certificate is removed; there is a record that it was issued.",
    CertState.UNKNOWN: "The certificate may live, but nothing here vouches for it.",
}

CLUSTER_STATES = {
    ClusterState.INITIAL: "The cluster is being created.",
    ClusterState.FAILED: "The cluster failed to be created.",
    ClusterState.RUNNING: "The cluster is running.",
    ClusterState.UPDATING: "The cluster is being upgraded.",
    ClusterState.UPDATING_FAILED: "The cluster failed to be updated.",
    ClusterState.SCALING: "The cluster is being scaled.",
    ClusterState.STOPPED: "The cluster is stopped.",
    ClusterState.DELETING: "The cluster is being deleted.",
    ClusterState.DELETED: "The cluster is deleted.",
    ClusterState.DELETE_FAILED: "The cluster failed to be deleted.",
}

CAN_GET_IN = {
    CanGetIn.YES: "An API server accepted a certificate of theirs, or its group passes every authorizer.",
    CanGetIn.NO: "Not by a certificate known here.",
    CanGetIn.UNPROVEN: "A certificate may be good; no API server was asked.",
}


class ListUserKubeConfigStatesInput(Shape):
    """Whose states, and which page of them."""

    uid: Annotated[
        str,
        Member(
            "The ID of the specified RAM user or RAM role within the account. Left empty, it is the caller's own.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.PATH,
            may_be_empty=True,
        ),
    ] = ""
    page_number: Annotated[
        int,
        Member("The page number.", example="1", location=Location.QUERY, minimum=1, maximum=LARGEST_INTEGER),
    ] = 1
    page_size: Annotated[
        int,
        Member("The number of entries per page.", example="10", location=Location.QUERY, minimum=1, maximum=100),
    ] = 50
    detail: Annotated[
        bool,
        Member(
            "Whether to add why each state is what it is, and which credentials may still get in.",
            example="true",
            location=Location.QUERY,
            ours=True,
        ),
    ] = False


class LiveCredential(Shape):
    """One credential that may still get in."""

    fingerprint: Annotated[
        str,
        Member("Lower-case hex SHA-256 of the DER certificate; empty for a record without certificate.", ours=True),
    ]
    common_name: Annotated[str, Member("The certificate's common name: the user that Kubernetes sees.", ours=True)]
    cert_state: Annotated[CertState, Member("The state of this one certificate.", values=CERT_STATES, ours=True)]
    not_before: Annotated[str, Member("When it begins to be valid (RFC 3339, UTC).", ours=True)]
    not_after: Annotated[str, Member("When it ends (RFC 3339, UTC); empty where that is not known.", ours=True)]
    removal_requested_at: Annotated[
        str | None, Member("When its removal was asked for; null where nobody has.", ours=True)
    ]


class UserKubeConfigState(Shape):
    """The status of the kubeconfig files of one person in one cluster."""

    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e")]
    cert_expire_time: Annotated[
        str,
        Member(
            "The expiration date of the certificate used in a kubeconfig file: the UTC time in the RFC 3339 format. "
            "Empty where no certificate decided the state.",
            example="2026-11-30T07:41:50Z",
        ),
    ]
    cert_state: Annotated[
        CertState,
        Member(
            "The current status of the certificate used in a kubeconfig file.",
            example="Unexpired",
            values=CERT_STATES,
        ),
    ]
    cluster_state: Annotated[str, Member("The status of the cluster.", example="running", values=CLUSTER_STATES)]
    cluster_name: Annotated[
        str,
        Member(
            "The name of the cluster: 1 to 63 letters, digits, underscores and hyphens, "
            "beginning with a letter or digit.",
            example="cluster-demo",
        ),
    ]
    can_get_in: Annotated[
        CanGetIn | UnsetType,
        Member("Whether the person can get in, as far as is known here.", values=CAN_GET_IN, ours=True),
    ] = UNSET
    cert_state_reason: Annotated[str | UnsetType, Member("One sentence: why the state is what it is.", ours=True)] = (
        UNSET
    )
    removal_requested_at: Annotated[
        str | None | UnsetType,
        Member("When removal was last asked for, of what decided the state; null where nobody has.", ours=True),
    ] = UNSET
    observed_at: Annotated[
        str | None | UnsetType, Member("When the cluster was last seen; null before the first contact.", ours=True)
    ] = UNSET
    reachable: Annotated[
        bool | None | UnsetType,
        Member("Whether it answered then; null before the first contact.", ours=True),
    ] = UNSET
    live_credentials: Annotated[
        list[LiveCredential] | UnsetType,
        Member("Those that may still get in, the one that ends last first; at most 100.", ours=True),
    ] = UNSET
    live_credential_count: Annotated[
        int | UnsetType, Member("How many may still get in, also beyond those listed.", ours=True)
    ] = UNSET


class Page(Shape):
    """The pagination information."""

    page_number: Annotated[int, Member("The page number of the returned page.", example="1")]
    page_size: Annotated[int, Member("The number of entries per page.", example="10")]
    total_count: Annotated[int, Member("The total number of entries.", example="100")]


class ListUserKubeConfigStatesOutput(Shape):
    """One row for each cluster of the account on this page."""

    states: Annotated[list[UserKubeConfigState], Member("The status of the kubeconfig files.")]
    page: Annotated[Page, Member("The pagination information.")]


LIST_USER_KUBECONFIG_STATES = Operation(
    name="ListUserKubeConfigStates",
    method="GET",
    path="/users/{Uid}/kubeconfig/states",
    summary="Query the status of the kubeconfig files of a user in all clusters of the account.",
    description=(
        "One row for each cluster of the account, in the order in which clusters were registered. A cluster in which "
        "the person never held a kubeconfig is Unissued. A page past the end is empty. The state is derived from "
        "the certificates at the moment of the call."
    ),
    action_names=("cs:ListUserKubeConfigStates",),
    access_level=AccessLevel.NONE,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.READS}),
    input=ListUserKubeConfigStatesInput,
    output=ListUserKubeConfigStatesOutput,
    errors=(UserNotFound,),
)

OPERATIONS: tuple[Operation, ...] = (LIST_USER_KUBECONFIG_STATES,)


def get_operation(name: str) -> Operation:
    """The operation of this name, without regard to case. KeyError without one."""
    for operation in OPERATIONS:
        if operation.name.lower() == name.lower():
            return operation
    raise KeyError(name)
