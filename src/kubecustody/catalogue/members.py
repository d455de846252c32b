"""Members that many operations have."""

from kubecustody.catalogue.shapes import Location, Member

CLUSTER_ID = Member(
    "The cluster ID.",
    example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e",
    wire_name="ClusterId",
    location=Location.PATH,
)
ALLOW_LAST_ADMIN = Member(
    "Whether a managed cluster may lose the last person who is permitted admin of it.",
    example="true",
    wire_name="AllowLastAdmin",
    location=Location.QUERY,
    ours=True,
)
COMPROMISED = Member(
    "Whether somebody else may have the private key: what is removed so is never restored.",
    example="true",
    wire_name="Compromised",
    location=Location.QUERY,
    ours=True,
)
