"""Who somebody is. Ours: the provider has users in another product (RAM)."""

from typing import Annotated

from kubecustody.catalogue.model import AccessLevel, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.errors import UserNotFound


class DescribeUserInput(Shape):
    """Who is meant."""

    who: Annotated[
        str,
        Member(
            "The ID, name or e-mail address of a user or role, or the account's own ID. Upper and lower case are one.",
            example="alice@example.com",
            wire_name="Who",
            location=Location.PATH,
            most=254,
            ours=True,
        ),
    ]


class DescribeUserOutput(Shape):
    """A user, a role or the account."""

    uid: Annotated[str, Member("The ID, which the other operations take as Uid.", ours=True)]
    name: Annotated[str, Member("The name; empty where there is none any more.", example="alice", ours=True)]
    display_name: Annotated[str, Member("The display name; empty where there is none any more.", ours=True)]
    type: Annotated[str, Member("What it is: account, user or role.", example="user", ours=True)]
    state: Annotated[
        str,
        Member(
            "What became of them.",
            example="Active",
            values={
                "Active": "They may call this API.",
                "InActive": "They are disabled.",
                "Deleted": "They were deleted; what they held stays known.",
            },
            ours=True,
        ),
    ]


DESCRIBE_USER = Operation(
    name="DescribeUser",
    method="GET",
    path="/users/{Who}",
    summary="Query who has an ID, a name or an e-mail address.",
    description="For whoever knows people by their names: the other operations take IDs alone. Deleted users and roles "
    "are found as long as their names are kept.",
    action_names=("kubecustody:DescribeUser",),
    access_level=AccessLevel.READ,
    resource="acs:kubecustody:{region_id}:{account_id}:user/*",
    effects=frozenset({Effect.READS}),
    input=DescribeUserInput,
    output=DescribeUserOutput,
    errors=(UserNotFound,),
    ours=True,
)

USER_OPERATIONS = (DESCRIBE_USER,)
