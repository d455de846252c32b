"""Members that many operations have."""

from kubecustody.catalogue.shapes import Location, Member

CLUSTER_ID = Member(
    "The cluster ID.",
    example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e",
    wire_name="ClusterId",
    location=Location.PATH,
)
COMPROMISED = Member(
    "Whether somebody else may have the private key: what is removed so is never restored.",
    example="true",
    wire_name="Compromised",
    location=Location.QUERY,
    ours=True,
)
