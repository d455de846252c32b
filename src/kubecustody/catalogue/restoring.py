"""The recycle bin: what was removed within 30 days, and restoring it.

The provider has both in its console alone (actions cs:ListKubeConfigRecycle and cs:RestoreKubeConfigRecycleItem, for
which no path is published), so the paths are ours.
"""

from typing import Annotated

from kubecustody.catalogue.credentials import CREDENTIAL
from kubecustody.catalogue.members import CLUSTER_ID, reason_for
from kubecustody.catalogue.model import FORMS_SAID, AccessLevel, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.errors import (
    ClusterNotFound,
    ClusterStateForbids,
    CredentialAmbiguous,
    CredentialNotFound,
    GrantForbidden,
    RestoreForbidden,
)

_ALL = "acs:kubecustody:{region_id}:{account_id}:cluster/*"
_ONE = "acs:kubecustody:{region_id}:{account_id}:cluster/{ClusterId}"

MOST_LISTED = 500
PROOFS = {
    "used": "It was used on the cluster, and allowed to read.",
    "access_review": "The cluster says that it would be allowed to read.",
    "unproven": "The cluster was not asked, or says that it may do nothing; why is in the text.",
}


class ListRestorableCredentialsInput(Shape):
    """Of whom."""

    uid: Annotated[
        str,
        Member(
            "The ID of the RAM user or RAM role; left out, of everybody.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.QUERY,
            ours=True,
        ),
    ] = ""


class RestorableCredential(Shape):
    """One credential that was removed."""

    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]
    common_name: Annotated[str, Member("The certificate's common name.", ours=True)]
    uid: Annotated[str, Member("The ID of the holder.", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name.", example="cluster-demo", ours=True)]
    removal_requested_at: Annotated[str, Member("When its removal was asked for (RFC 3339, UTC).", ours=True)]
    cert_expire_time: Annotated[str, Member("When it ends (RFC 3339, UTC).", ours=True)]
    restorable_until: Annotated[str, Member("Until when it can be restored (RFC 3339, UTC).", ours=True)]
    obstacle: Annotated[str, Member("Why it is not restored; empty where nothing is known against it.", ours=True)]


class ListRestorableCredentialsOutput(Shape):
    """What was removed."""

    credentials: Annotated[
        list[RestorableCredential],
        Member(
            f"Those removed within 30 days that have not ended, the newest removal first; at most {MOST_LISTED}.",
            ours=True,
        ),
    ]


LIST_RESTORABLE_CREDENTIALS = Operation(
    name="ListRestorableCredentials",
    method="GET",
    path="/credentials/restorable",
    summary="List the kubeconfigs that were removed within 30 days and could come back.",
    description="Each with what stands against restoring it, as far as that is known without asking the cluster.",
    action_names=("kubecustody:ListRestorableCredentials",),
    access_level=AccessLevel.READ,
    resource=_ALL,
    effects=frozenset({Effect.READS}),
    input=ListRestorableCredentialsInput,
    output=ListRestorableCredentialsOutput,
    ours=True,
)


class RestoreCredentialInput(Shape):
    """Which credential of which cluster, and why."""

    cluster_id: Annotated[str, CLUSTER_ID]
    credential: Annotated[str, CREDENTIAL]
    reason: Annotated[str, reason_for("Why it is restored", "cleaned by mistake")]


class RestoreCredentialOutput(Shape):
    """What became of the credential."""

    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]
    uid: Annotated[str, Member("The ID of the holder.", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    permissions: Annotated[list[str], Member("The permissions that came back with it.", ours=True)]
    key_kept: Annotated[
        bool,
        Member(
            "Whether its private key is kept here, so that the kubeconfig can be fetched again. Where not, it works "
            "for whoever still has the file.",
            ours=True,
        ),
    ]
    proof: Annotated[str, Member("What proves that it works again.", example="used", values=PROOFS, ours=True)]
    text: Annotated[str, Member("What was answered, in a sentence.", ours=True)]


RESTORE_CREDENTIAL = Operation(
    name="RestoreCredential",
    method="POST",
    path="/k8s/{ClusterId}/credentials/{Credential}/restore",
    summary="Take the removal of one credential back, within 30 days.",
    description="The permissions that were taken away with it come back too, as far as the caller may grant them. "
    "Refused where the holder is deleted or disabled, where it was removed as compromised, where it ended, where the "
    "cluster does not take it any more, where the holder was issued another one since, and where nobody can have its "
    "private key. Nobody restores their own but the account.",
    action_names=("kubecustody:RestoreCredential",),
    access_level=AccessLevel.WRITE,
    resource=_ONE,
    effects=frozenset({Effect.RESTORES, Effect.GRANTS}),
    changes=(FORMS_SAID,),
    input=RestoreCredentialInput,
    output=RestoreCredentialOutput,
    errors=(
        ClusterNotFound,
        CredentialNotFound,
        CredentialAmbiguous,
        RestoreForbidden,
        GrantForbidden,
        ClusterStateForbids,
    ),
    ours=True,
)

RESTORING_OPERATIONS = (LIST_RESTORABLE_CREDENTIALS, RESTORE_CREDENTIAL)
