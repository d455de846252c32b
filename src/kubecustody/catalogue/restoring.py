"""The recycle bin: what was removed within 30 days, and restoring it.

The provider has both in its console alone (actions cs:ListKubeConfigRecycle and cs:RestoreKubeConfigRecycleItem, for
which no path is published), so the paths are ours.
"""

from typing import Annotated

from kubecustody.catalogue.credentials import CREDENTIAL
from kubecustody.catalogue.forms import TIME
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
    TaskNotFound,
    UserNotFound,
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


class RestoreRemovalInput(Shape):
    """Of whom, which removal, and why."""

    uid: Annotated[
        str,
        Member(
            "The ID of the RAM user or RAM role.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.PATH,
            ours=True,
        ),
    ]
    reason: Annotated[str, reason_for("Why it is restored", "cleaned by mistake")]
    task_id: Annotated[
        str,
        Member(
            "TaskId of the CleanUserPermissions whose removal is taken back. Else RemovedFrom must be given.",
            example="clean-user-permissions-200000000000000001-66b1a7c2e5d2a9c3",
            wire_name="TaskId",
            location=Location.QUERY,
            most=128,
            ours=True,
        ),
    ] = ""
    removed_from: Annotated[
        str,
        Member(
            "All that was removed at this time or later.",
            example="2026-11-24T03:00:42Z",
            wire_name="RemovedFrom",
            location=Location.QUERY,
            form=TIME,
            excludes=("TaskId",),
            most=40,
            ours=True,
        ),
    ] = ""
    removed_to: Annotated[
        str,
        Member(
            "With RemovedFrom: and at this time or before; left out, until now.",
            example="2026-11-24T03:00:43Z",
            wire_name="RemovedTo",
            location=Location.QUERY,
            form=TIME,
            excludes=("TaskId",),
            most=40,
            ours=True,
        ),
    ] = ""
    dry_run: Annotated[
        bool,
        Member(
            "Whether only to tell what would come back. Nothing is recorded.",
            wire_name="DryRun",
            location=Location.QUERY,
            ours=True,
        ),
    ] = False


class RestoredCredential(Shape):
    """One credential that came back, or would."""

    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name.", example="cluster-demo", ours=True)]
    key_kept: Annotated[bool, Member("As of RestoreCredential.", ours=True)]
    proof: Annotated[str, Member("What proves that it works again.", example="used", values=PROOFS, ours=True)]
    text: Annotated[str, Member("What was answered, in a sentence.", ours=True)]


class LeftCredential(Shape):
    """One credential that stays removed."""

    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name.", example="cluster-demo", ours=True)]
    obstacle: Annotated[str, Member("Why it does not come back, and what to do.", ours=True)]


class RestoreRemovalOutput(Shape):
    """What came back, or would."""

    restored: Annotated[list[RestoredCredential], Member("The credentials that came back.", ours=True)]
    permissions: Annotated[list[str], Member("The permissions that came back.", ours=True)]
    left: Annotated[list[LeftCredential], Member("The credentials that stay removed.", ours=True)]


RESTORE_REMOVAL = Operation(
    name="RestoreRemoval",
    method="POST",
    path="/users/{Uid}/restore",
    summary="Take back all that one removal took from a person, within 30 days.",
    description="The credentials and the permissions of one CleanUserPermissions, or of all removals of a time, in one "
    "transaction. Refused as a whole where the holder is deleted or disabled, where one of them was removed as "
    "compromised, and where the caller may not grant the permissions, or may not RestoreCredential in one of the "
    "clusters. A credential against which something else stands (as of RestoreCredential) stays removed, and is named "
    "with why. Nobody restores their own but the account. Clusters are asked for 20 seconds at most: what is not "
    "proved by then is bound again by itself.",
    action_names=("kubecustody:RestoreRemoval",),
    access_level=AccessLevel.WRITE,
    resource=_ALL,
    effects=frozenset({Effect.RESTORES, Effect.GRANTS}),
    input=RestoreRemovalInput,
    output=RestoreRemovalOutput,
    errors=(UserNotFound, TaskNotFound, RestoreForbidden, GrantForbidden),
    ours=True,
    associated=("kubecustody:RestoreCredential",),
)

RESTORING_OPERATIONS = (LIST_RESTORABLE_CREDENTIALS, RESTORE_CREDENTIAL, RESTORE_REMOVAL)
