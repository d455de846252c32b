"""ListUserKubeConfigStates and ListClusterKubeconfigStates: who holds what, by person and by cluster.

Facts: the provider's reference pages of both, and its SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24.
"""

from typing import Annotated

import msgspec

from kubecustody.catalogue.members import CLUSTER_ID, past_time
from kubecustody.catalogue.model import (
    ALL_RESOURCES,
    FORMS_SAID,
    LARGEST_INTEGER,
    ONE_CLUSTER,
    AccessLevel,
    Change,
    Effect,
    Operation,
)
from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.core.bindings import (
    ACCESS_REVIEW,
    ALLOWED,
    BINDING_SCAN,
    CA_GONE,
    REFUSED,
    RULES_REVIEW,
    SHARED_CA,
    UNPROVEN,
    USED,
)
from kubecustody.core.errors import ClusterNotFound, UserNotFound
from kubecustody.core.states import CanGetIn, CertState, ClusterState

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

EVIDENCE_KINDS = {
    BINDING_SCAN: "The cluster's bindings were read for one that reaches it.",
    ACCESS_REVIEW: "The cluster was asked what it would permit.",
    USED: "It was used on an API server, to read.",
    RULES_REVIEW: "It was used to ask what it may still do.",
    CA_GONE: "Whether the cluster's client CAs still vouch for it.",
    SHARED_CA: "Another cluster takes the same certificate.",
}

EVIDENCE_OUTCOMES = {
    REFUSED: "It is powerless in this respect.",
    ALLOWED: "It may do something.",
    UNPROVEN: "It could not be told.",
}


AT = past_time(", as far as events tell it.", "at")


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
    at: Annotated[str, AT] = ""


class RemovalEvidence(Shape):
    """The newest that is known of one kind about a credential whose removal was asked for."""

    kind: Annotated[str, Member("What was done to find out.", example="used", values=EVIDENCE_KINDS, ours=True)]
    place: Annotated[
        str,
        Member("The API server, or the other cluster, that was asked; empty for the cluster's own address.", ours=True),
    ]
    outcome: Annotated[
        str, Member("What it says of the credential.", example="refused", values=EVIDENCE_OUTCOMES, ours=True)
    ]
    text: Annotated[str, Member("What was answered.", example="Used, and refused by name (403).", ours=True)]
    observed_at: Annotated[str, Member("When (RFC 3339, UTC).", ours=True)]


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
    removal_evidence: Annotated[
        list[RemovalEvidence], Member("What is known of its removal, where that was asked for.", ours=True)
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
    changes=(
        Change(
            "2026-11-24", "detail=true tells of each credential that is to be removed what is known of its removal."
        ),
        Change("2026-11-24", "at answers for a past time."),
        FORMS_SAID,
    ),
    input=ListUserKubeConfigStatesInput,
    output=ListUserKubeConfigStatesOutput,
    errors=(UserNotFound,),
)


class ListClusterKubeconfigStatesInput(Shape):
    """Which cluster, and which page of the people in it. The query is camelCase here, as the provider has it."""

    cluster_id: Annotated[str, CLUSTER_ID]
    page_number: Annotated[
        int,
        Member(
            "The page number.",
            example="1",
            wire_name="pageNumber",
            location=Location.QUERY,
            minimum=1,
            maximum=LARGEST_INTEGER,
        ),
    ] = 1
    page_size: Annotated[
        int,
        Member(
            "The number of entries per page.",
            example="10",
            wire_name="pageSize",
            location=Location.QUERY,
            minimum=1,
            maximum=50,
        ),
    ] = 10
    cloud_service_kube_config: Annotated[
        bool,
        Member(
            "Whether to list the roles of cloud services instead of people. There are none here.",
            example="false",
            wire_name="cloudServiceKubeConfig",
            location=Location.QUERY,
        ),
    ] = False
    at: Annotated[str, AT] = ""


ACCOUNT_TYPES = {
    "RootAccount": "The account itself.",
    "RamUser": "A RAM user.",
    "RamRole": "A RAM role.",
}

ACCOUNT_STATES = {
    "Active": "The user or role is in use.",
    "InActive": "The user or role is disabled.",
    "Deleted": "The user or role was deleted; what they hold lives on until it is removed.",
}


class CloudServiceRole(Shape):
    """A role that a cloud service has in the cluster."""

    role_name: Annotated[str, Member("The name of the role.")]
    role_namespace: Annotated[str, Member("The namespace that it is limited to.")]
    type: Annotated[str, Member("The kind of the role.")]
    is_default_template: Annotated[bool, Member("Whether it is one of the templates.")]


class ClusterKubeConfigState(Shape):
    """What one person holds in this cluster."""

    account_id: Annotated[str, Member("The ID of the account, RAM user or RAM role.", example="200000000000000001")]
    account_name: Annotated[str, Member("The logon name, or the name of the role.", example="alice")]
    account_display_name: Annotated[str, Member("The display name, or the name of the role.", example="Alice")]
    account_type: Annotated[str, Member("What it is.", example="RamUser", values=ACCOUNT_TYPES)]
    account_state: Annotated[str, Member("How it stands.", example="Active", values=ACCOUNT_STATES)]
    cert_expire_time: Annotated[
        str,
        Member(
            "When the certificate ends (RFC 3339, UTC); empty where that is not known.",
            example="2027-03-15T00:20:15Z",
        ),
    ]
    cert_state: Annotated[
        str,
        Member(
            "The state of the certificate. Who holds none, or none any more, is not listed.",
            example="Unexpired",
            values={state: CERT_STATES[state] for state in (CertState.UNEXPIRED, CertState.EXPIRED, CertState.UNKNOWN)},
        ),
    ]
    revokable: Annotated[bool, Member("Whether it can be revoked.", example="true")]
    cloud_service_name: Annotated[str, Member("The cloud service whose role it is; empty here.", example="")] = ""
    cloud_service_roles: Annotated[list[CloudServiceRole], Member("The roles of the cloud service; none here.")] = (
        msgspec.field(default_factory=list)
    )


class ListClusterKubeconfigStatesOutput(Shape):
    """One row for each person who holds a kubeconfig of this cluster, by uid."""

    states: Annotated[list[ClusterKubeConfigState], Member("The people and what they hold.")]
    page: Annotated[Page, Member("The pagination information.")]


LIST_CLUSTER_KUBECONFIG_STATES = Operation(
    name="ListClusterKubeconfigStates",
    method="GET",
    path="/clusters/{ClusterId}/kubeconfig/states",
    summary="Query the status of the kubeconfig files of all users in one cluster.",
    description="One row for each user or role who holds a kubeconfig of the cluster that is Unexpired, Expired or "
    "Unknown, deleted ones included, by uid.",
    action_names=("cs:ListClusterKubeconfigStates",),
    access_level=AccessLevel.NONE,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.READS}),
    changes=(Change("2026-11-24", "at answers for a past time."), FORMS_SAID),
    input=ListClusterKubeconfigStatesInput,
    output=ListClusterKubeconfigStatesOutput,
    errors=(ClusterNotFound,),
)
