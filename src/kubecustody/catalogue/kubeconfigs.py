"""Getting, renewing, revoking and cleaning kubeconfigs.

Facts: the provider's reference pages of each, and its SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24.
"""

from typing import Annotated

from kubecustody.catalogue.forms import CERTIFICATE_REQUEST
from kubecustody.catalogue.members import ALLOW_LAST_ADMIN, CLUSTER_ID, COMPROMISED
from kubecustody.catalogue.model import FORMS_SAID, ONE_CLUSTER, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.rehearsing import DRY_RUN, REHEARSAL, Rehearsal
from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.core.errors import (
    AuditNotReadable,
    BeyondDelegation,
    BodyMalformed,
    CertificateRequestRefused,
    CleanForbidden,
    ClusterNotFound,
    ClusterStateForbids,
    LastAdmin,
    TooManyCredentials,
    UserNotFound,
)
from kubecustody.core.issuing import (
    LONGEST_EXPIRE_HOURS,
    LONGEST_TEMPORARY_MINUTES,
    SHORTEST_TEMPORARY_MINUTES,
)

# What a delegated administrator must be allowed beside the operation that gives them somebody else's private key.
DISCLOSE_OTHERS_KEY = "kubecustody:DisclosePrivateKeyOfOthers"

_UID = Member(
    "The ID of the RAM user or RAM role.", example="200000000000000001", wire_name="Uid", location=Location.PATH
)
_PRIVATE_IP_ADDRESS = Member(
    "Whether the kubeconfig names the intranet address: true, only that; false, only the public one.",
    example="false",
    wire_name="PrivateIpAddress",
    location=Location.QUERY,
)
_TEMPORARY_MINUTES = Member(
    "The validity of a temporary kubeconfig in minutes. Left out, a long-lived one is given.",
    example="15",
    wire_name="TemporaryDurationMinutes",
    location=Location.QUERY,
    minimum=SHORTEST_TEMPORARY_MINUTES,
    maximum=LONGEST_TEMPORARY_MINUTES,
)
_FORCE = Member(
    "Whether to clean without looking at the access records of the last 7 days.",
    example="true",
    wire_name="Force",
    location=Location.QUERY,
)


class UserKubeconfigInput(Shape):
    """Of which cluster, by which address, and for how long."""

    cluster_id: Annotated[str, CLUSTER_ID]
    private_ip_address: Annotated[bool, _PRIVATE_IP_ADDRESS] = False
    temporary_duration_minutes: Annotated[int | None, _TEMPORARY_MINUTES] = None


class SubaccountKubeconfigInput(Shape):
    """Whose, of which cluster, by which address, and for how long."""

    cluster_id: Annotated[str, CLUSTER_ID]
    uid: Annotated[str, _UID]
    private_ip_address: Annotated[bool, _PRIVATE_IP_ADDRESS] = False
    temporary_duration_minutes: Annotated[int | None, _TEMPORARY_MINUTES] = None


_CONFIG = Member("The kubeconfig: YAML, with certificate and private key in it.", secret=True)


class KubeconfigOutput(Shape):
    """A kubeconfig and when its certificate ends."""

    config: Annotated[str, _CONFIG]
    expiration: Annotated[str, Member("When the certificate ends (RFC 3339, UTC).", example="2027-03-10T09:56:17Z")]


class BareKubeconfigOutput(Shape):
    """A kubeconfig."""

    config: Annotated[str, _CONFIG]


class ClusterInput(Shape):
    """Which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]


class ExpireInput(Shape):
    """Whose kubeconfig of which cluster is to live how long."""

    cluster_id: Annotated[str, CLUSTER_ID]
    expire_hour: Annotated[
        int,
        Member("The validity in hours.", example="720", minimum=1, maximum=LONGEST_EXPIRE_HOURS),
    ]
    user: Annotated[str, Member("The ID of the RAM user.", example="200000000000000001")]


class CleanInput(Shape):
    """Whose permissions in which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]
    uid: Annotated[str, _UID]
    force: Annotated[bool, _FORCE] = False
    dry_run: Annotated[bool, DRY_RUN] = False
    compromised: Annotated[bool, COMPROMISED] = False
    allow_last_admin: Annotated[bool, ALLOW_LAST_ADMIN] = False


class CleanOutput(Shape):
    """Nothing, or a rehearsal."""

    rehearsal: Annotated[Rehearsal | UnsetType, REHEARSAL] = UNSET


class RevokeInput(ClusterInput):
    """In which cluster."""

    dry_run: Annotated[bool, DRY_RUN] = False


class RevokeOutput(Shape):
    """Nothing, or a rehearsal."""

    rehearsal: Annotated[Rehearsal | UnsetType, REHEARSAL] = UNSET


class IssueCredentialInput(Shape):
    """In which cluster, for which key, by which address, and for how long."""

    cluster_id: Annotated[str, CLUSTER_ID]
    csr: Annotated[
        str,
        Member(
            "A PKCS#10 certificate request, made with the key that is to be certified: P-256, P-384, Ed25519 or "
            "RSA of 2048 to 4096 bits. Only the key is taken from it; subject and extensions are not.",
            example="-----BEGIN CERTIFICATE REQUEST-----...",
            wire_name="Csr",
            form=CERTIFICATE_REQUEST,
            most=16_384,
            ours=True,
        ),
    ]
    private_ip_address: Annotated[
        bool,
        Member(
            "Whether the kubeconfig names the intranet address: true, only that; false, only the public one.",
            example="false",
            wire_name="PrivateIpAddress",
            ours=True,
        ),
    ] = False
    temporary_duration_minutes: Annotated[
        int | None,
        Member(
            "The validity of a temporary certificate in minutes. Left out, a long-lived one is given.",
            example="15",
            wire_name="TemporaryDurationMinutes",
            minimum=SHORTEST_TEMPORARY_MINUTES,
            maximum=LONGEST_TEMPORARY_MINUTES,
            ours=True,
        ),
    ] = None


class IssueCredentialOutput(Shape):
    """A certificate, and a kubeconfig that lacks only the key."""

    certificate: Annotated[str, Member("The certificate: PEM, what it needs above it behind it.", ours=True)]
    config: Annotated[
        str,
        Member("A kubeconfig: YAML, with the certificate and without a key; put client-key-data beside it.", ours=True),
    ]
    expiration: Annotated[
        str, Member("When the certificate ends (RFC 3339, UTC).", example="2027-03-10T09:56:17Z", ours=True)
    ]
    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]


_REHEARSED = Change("2026-11-24", "DryRun, and rehearsal in its answer.")
_COMPROMISED = Change("2026-11-24", "Compromised.")
_LAST_ADMIN = Change("2026-11-24", "AllowLastAdmin.")
_MINUTES = ("cs:KubeConfigDurationMinutes",)
_DISCLOSES = frozenset({Effect.ISSUES, Effect.DISCLOSES_KEY})
_ISSUING_ERRORS = (ClusterNotFound, ClusterStateForbids, TooManyCredentials)

DESCRIBE_CLUSTER_USER_KUBECONFIG = Operation(
    name="DescribeClusterUserKubeconfig",
    method="GET",
    path="/k8s/{ClusterId}/user_config",
    summary="Get the kubeconfig of the caller in a cluster.",
    description="Issues a certificate where the caller has no current one, or where the current one is due for renewal "
    "(the last third of its life, 180 days at most); the one before lives on until it ends. With "
    "TemporaryDurationMinutes a temporary one.",
    action_names=("cs:DescribeClusterUserKubeconfig", "cs:GetUserConfig"),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=_DISCLOSES,
    input=UserKubeconfigInput,
    output=KubeconfigOutput,
    errors=_ISSUING_ERRORS,
    condition_keys=_MINUTES,
)

DESCRIBE_CLUSTER_V2_USER_KUBECONFIG = Operation(
    name="DescribeClusterV2UserKubeconfig",
    method="GET",
    path="/api/v2/k8s/{ClusterId}/user_config",
    summary="Get the kubeconfig of the caller in a cluster, without its end.",
    description="As DescribeClusterUserKubeconfig, which replaces it.",
    action_names=("cs:DescribeClusterV2UserKubeconfig", "cs:DescribeClusterUserKubeconfig", "cs:GetUserConfig"),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=_DISCLOSES,
    input=UserKubeconfigInput,
    output=BareKubeconfigOutput,
    errors=_ISSUING_ERRORS,
    deprecated=True,
    condition_keys=_MINUTES,
)

DESCRIBE_SUBACCOUNT_USER_CONFIG = Operation(
    name="DescribeSubaccountK8sClusterUserConfig",
    method="GET",
    path="/k8s/{ClusterId}/users/{Uid}/user_config",
    summary="Get the kubeconfig of a RAM user or role in a cluster.",
    description="As DescribeClusterUserKubeconfig, for somebody else. Only the account may call it.",
    action_names=("cs:DescribeSubaccountK8sClusterUserConfig",),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=_DISCLOSES,
    input=SubaccountKubeconfigInput,
    output=KubeconfigOutput,
    errors=(*_ISSUING_ERRORS, UserNotFound, BeyondDelegation),
    account_only=True,
    delegation_needs=(DISCLOSE_OTHERS_KEY,),
    condition_keys=_MINUTES,
)

UPDATE_USER_CONFIG_EXPIRE = Operation(
    name="UpdateK8sClusterUserConfigExpire",
    method="POST",
    path="/k8s/{ClusterId}/user_config/expire",
    summary="Set how long a user's kubeconfig of a cluster is to live.",
    description="From the next time that the user gets a kubeconfig of the cluster, its certificate has this validity, "
    "which ends at the latest with the cluster's CA. Revoking ends the setting. Only the account may call it.",
    action_names=("cs:UpdateK8sClusterUserConfigExpire",),
    access_level=AccessLevel.WRITE,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.CHANGES_SETTINGS}),
    input=ExpireInput,
    output=None,
    errors=(ClusterNotFound, UserNotFound, BodyMalformed, BeyondDelegation),
    account_only=True,
    condition_keys=_MINUTES,
)

REVOKE_KUBECONFIG = Operation(
    name="RevokeK8sClusterKubeConfig",
    method="DELETE",
    path="/k8s/{ClusterId}/certs",
    summary="Revoke the caller's kubeconfig of a cluster and issue another.",
    description="Asks the removal of every live credential of the caller in the cluster and issues one anew, which "
    "DescribeClusterUserKubeconfig then gives. The provider says revoke where a credential is replaced, clean where it "
    "is removed.",
    action_names=("cs:RevokeK8sClusterKubeConfig",),
    access_level=AccessLevel.NONE,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.ISSUES, Effect.REMOVES}),
    input=RevokeInput,
    output=RevokeOutput,
    errors=(ClusterNotFound, ClusterStateForbids),
    changes=(_REHEARSED,),
    condition_keys=_MINUTES,
)

CLEAN_CLUSTER_USER_PERMISSIONS = Operation(
    name="CleanClusterUserPermissions",
    method="DELETE",
    path="/cluster/{ClusterId}/user/{Uid}/permissions",
    summary="Remove a user's kubeconfig and permissions in a cluster.",
    description="Asks the removal of every live credential of the user in the cluster; from then on none of them is "
    "handed out again. The state in the lists changes when there is evidence that they are powerless.",
    action_names=("cs:CleanClusterUserPermissions",),
    access_level=AccessLevel.NONE,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.REMOVES}),
    input=CleanInput,
    output=CleanOutput,
    errors=(ClusterNotFound, ClusterStateForbids, UserNotFound, AuditNotReadable, CleanForbidden, LastAdmin),
    changes=(_REHEARSED, _COMPROMISED, _LAST_ADMIN),
)

ISSUE_CREDENTIAL = Operation(
    name="IssueCredential",
    method="POST",
    path="/k8s/{ClusterId}/credentials",
    summary="Get a certificate in a cluster for a key that never leaves its holder.",
    description="Signs a PKCS#10 request of the caller. Possession of the key is checked, its subject replaced by the "
    "caller's. Each call issues anew, within the limits on current kubeconfigs, and replaces nothing. The private key "
    "is nowhere but with its holder, so DescribeClusterUserKubeconfig never gives this certificate.",
    action_names=("kubecustody:IssueCredential",),
    access_level=AccessLevel.WRITE,
    resource="acs:kubecustody:{region_id}:{account_id}:cluster/{ClusterId}",
    effects=frozenset({Effect.ISSUES}),
    input=IssueCredentialInput,
    output=IssueCredentialOutput,
    errors=(*_ISSUING_ERRORS, BodyMalformed, CertificateRequestRefused),
    changes=(FORMS_SAID,),
    ours=True,
    condition_keys=_MINUTES,
)

KUBECONFIG_OPERATIONS = (
    DESCRIBE_CLUSTER_USER_KUBECONFIG,
    DESCRIBE_CLUSTER_V2_USER_KUBECONFIG,
    DESCRIBE_SUBACCOUNT_USER_CONFIG,
    UPDATE_USER_CONFIG_EXPIRE,
    REVOKE_KUBECONFIG,
    CLEAN_CLUSTER_USER_PERMISSIONS,
    ISSUE_CREDENTIAL,
)
