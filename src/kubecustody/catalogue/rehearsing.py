"""Rehearsals: what an operation that removes would do, told by it instead of done. Ours: the provider has none."""

from typing import Annotated

from kubecustody.catalogue.credentials import HELD_STATES, PROSPECTS
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.prospects import Prospect

DRY_RUN = Member(
    "Whether only to tell what would happen, as rehearsal in the answer. What would refuse the call refuses this too.",
    example="true",
    wire_name="DryRun",
    location=Location.QUERY,
    ours=True,
)
REHEARSAL = Member("What would happen; absent unless DryRun is true.", ours=True)


class RehearsedCredential(Shape):
    """A credential whose removal would be asked for."""

    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name.", example="cluster-demo", ours=True)]
    fingerprint: Annotated[
        str, Member("Lower-case hex SHA-256 of the DER certificate; empty for a mere record.", ours=True)
    ]
    common_name: Annotated[str, Member("The certificate's common name.", ours=True)]
    cert_state: Annotated[
        str, Member("The state of the certificate.", example="Unexpired", values=HELD_STATES, ours=True)
    ]
    cert_expire_time: Annotated[str, Member("When it ends (RFC 3339, UTC); empty where no end is known.", ours=True)]
    prospect: Annotated[str, Member("What is to be expected.", example=Prospect.PROOF, values=PROSPECTS, ours=True)]


class RehearsedPermission(Shape):
    """A permission that would be taken away."""

    cluster_id: Annotated[str, Member("The cluster ID; empty for every cluster.", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name; empty for every cluster.", ours=True)]
    namespace: Annotated[str, Member("The namespace; empty for the whole cluster.", ours=True)]
    role_name: Annotated[str, Member("The predefined role, or the ClusterRole.", example="dev", ours=True)]


class RehearsedRefusal(Shape):
    """A cluster in which nothing would be done."""

    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    code: Annotated[str, Member("The error's code.", example="ErrorClusterState", ours=True)]
    message: Annotated[str, Member("Why nothing would be done there.", ours=True)]


class Rehearsal(Shape):
    """What would happen."""

    credentials: Annotated[
        list[RehearsedCredential], Member("The credentials whose removal would be asked for, by cluster.", ours=True)
    ]
    permissions: Annotated[
        list[RehearsedPermission], Member("The permissions that would be taken away, by cluster.", ours=True)
    ]
    refused: Annotated[list[RehearsedRefusal], Member("The clusters in which nothing would be done.", ours=True)]
