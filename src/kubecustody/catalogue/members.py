"""Members that many operations have."""

from kubecustody.catalogue.forms import NOT_BLANK, TIME
from kubecustody.catalogue.shapes import Location, Member

CLUSTER_ID = Member(
    "The cluster ID.",
    example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e",
    wire_name="ClusterId",
    location=Location.PATH,
)


def past_time(told: str, wire_name: str, *, excludes: tuple[str, ...] = ()) -> Member:
    """A past time that is asked about. told: what would have been answered then."""
    return Member(
        f"A past time: what would have been answered then{told} Left out, it is now.",
        example="2026-11-24T09:00:00Z",
        wire_name=wire_name,
        location=Location.QUERY,
        form=TIME,
        excludes=excludes,
        most=40,
        ours=True,
    )


def reason_for(what: str, example: str) -> Member:
    """Why something is done. what: why is asked, as a whole clause."""
    return Member(
        f"{what}: kept with the event.",
        example=example,
        wire_name="Reason",
        location=Location.QUERY,
        form=NOT_BLANK,
        most=500,
        ours=True,
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
