"""What became of a failed request, for who asks by its id. Ours: the provider's pages answer that by a web form."""

from typing import Annotated

from kubecustody.catalogue.model import AccessLevel, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.errors import RequestNotKept

FAILED_REQUESTS_KEPT_SECONDS = 3600
FAILED_REQUESTS_KEPT = 1000  # of one account


class DescribeRequestErrorInput(Shape):
    """Which request."""

    request_id: Annotated[
        str,
        Member(
            "The ID of the failed request, as its error answer and its x-acs-request-id header say it.",
            example="E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11",
            wire_name="RequestId",
            location=Location.PATH,
            most=36,
            ours=True,
        ),
    ]


class DescribeRequestErrorOutput(Shape):
    """What went wrong in one request."""

    failed_request_id: Annotated[
        str,
        Member(
            "The ID of the failed request.",
            example="E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11",
            ours=True,
        ),
    ]
    time: Annotated[str, Member("When it was answered (RFC 3339, UTC).", example="2026-11-24T03:00:42Z", ours=True)]
    caller: Annotated[
        str,
        Member("Who sent it, as an ARN.", example="acs:ram::1000000000000001:user/200000000000000001", ours=True),
    ]
    operation: Annotated[str, Member("The operation that it called.", example="DescribeClusterDetail", ours=True)]
    method: Annotated[str, Member("Its HTTP method.", example="GET", ours=True)]
    path: Annotated[str, Member("Its path, without the query.", example="/clusters/c1", ours=True)]
    status: Annotated[int, Member("The HTTP status of its answer.", example="404", ours=True)]
    code: Annotated[str, Member("The error's code.", example="ErrorClusterNotFound", ours=True)]
    message: Annotated[
        str,
        Member("The message that was answered, without values of parameters, cut after 1,000 characters.", ours=True),
    ]
    meaning: Annotated[str, Member("What the code means.", ours=True)]
    what_to_do: Annotated[str, Member("What to do about it.", ours=True)]


DESCRIBE_REQUEST_ERROR = Operation(
    name="DescribeRequestError",
    method="GET",
    path="/requests/{RequestId}/error",
    summary="Query what went wrong in a request of the last hour.",
    description="Kept are, for an hour, the last 1,000 failed requests of the account whose signature held and that no "
    "limit refused. Users and roles see their own requests, a session those of its name; the account and delegated "
    "administrators see all of the account. A request is known half a second after its answer.",
    action_names=("kubecustody:DescribeRequestError",),
    access_level=AccessLevel.READ,
    resource="acs:kubecustody:{region_id}:{account_id}:request/*",
    effects=frozenset({Effect.READS}),
    input=DescribeRequestErrorInput,
    output=DescribeRequestErrorOutput,
    errors=(RequestNotKept,),
    ours=True,
)
