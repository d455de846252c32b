"""What tools ask of the account before they begin: quotas, regions, service roles.

Facts: the provider's SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24.
"""

from typing import Annotated

from kubecustody.catalogue.model import ALL_RESOURCES, LARGEST_INTEGER, AccessLevel, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.errors import BodyMalformed

_READS = frozenset({Effect.READS})
_NO_QUOTA = str(LARGEST_INTEGER)


class DescribeUserQuotaInput(Shape):
    """Nothing."""


def _quota(of: str) -> Member:
    return Member(f"How many {of} the account may have: as many as this type can say.", example=_NO_QUOTA)


class DescribeUserQuotaOutput(Shape):
    """The quotas of the account: there are none here."""

    cluster_quota: Annotated[int, _quota("clusters")] = LARGEST_INTEGER
    amk_cluster_quota: Annotated[int, _quota("managed clusters")] = LARGEST_INTEGER
    ask_cluster_quota: Annotated[int, _quota("serverless clusters")] = LARGEST_INTEGER
    node_quota: Annotated[int, _quota("nodes of a cluster")] = LARGEST_INTEGER
    cluster_nodepool_quota: Annotated[int, _quota("node pools of a cluster")] = LARGEST_INTEGER


DESCRIBE_USER_QUOTA = Operation(
    name="DescribeUserQuota",
    method="GET",
    path="/quota",
    summary="Query the quotas of the account.",
    description="This server sets no quota on clusters, so each is the largest number that its type can say.",
    action_names=("cs:DescribeUserQuota",),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=_READS,
    input=DescribeUserQuotaInput,
    output=DescribeUserQuotaOutput,
    absent=("edge_improved_nodepool_quota", "quotas"),
)


class DescribeRegionsInput(Shape):
    """In which language, and for clusters of which kind."""

    accept_language: Annotated[
        str,
        Member(
            "The language of the names; regions here have no names but their IDs.",
            example="en-US",
            wire_name="acceptLanguage",
            location=Location.QUERY,
            most=100,
        ),
    ] = ""
    cluster_type: Annotated[
        str,
        Member(
            "The type of cluster that is to be made; each region takes every type.",
            example="ExternalKubernetes",
            wire_name="clusterType",
            location=Location.QUERY,
            most=100,
        ),
    ] = ""
    profile: Annotated[
        str,
        Member(
            "The profile of the cluster that is to be made; each region takes every profile.",
            example="Default",
            location=Location.QUERY,
            most=100,
        ),
    ] = ""


class Region(Shape, rename={"region_id": "regionId", "local_name": "localName"}):
    """One region. Its members are camelCase, as the provider has them."""

    region_id: Annotated[str, Member("The region ID.", example="cn-hangzhou")]
    local_name: Annotated[str, Member("Its name; here the ID again.", example="cn-hangzhou")]


class DescribeRegionsOutput(Shape, rename={"request_id": "requestId"}):
    """The regions of the account."""

    regions: Annotated[list[Region], Member("The account's own region and those of its clusters, by ID.")]
    request_id: Annotated[str, Member("The ID of the request.", example="E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11")] = ""


DESCRIBE_REGIONS = Operation(
    name="DescribeRegions",
    method="GET",
    path="/regions",
    summary="Query the regions.",
    description="The region of the account and every region that a cluster of it has.",
    action_names=("cs:DescribeRegions",),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=_READS,
    input=DescribeRegionsInput,
    output=DescribeRegionsOutput,
)


class WantedRole(Shape):
    """One service role."""

    name: Annotated[str, Member("The name of the role.", example="AliyunCSDefaultRole", most=128)]


class CheckServiceRoleInput(Shape):
    """Which service roles."""

    roles: Annotated[list[WantedRole] | None, Member("The service roles to look for.", most=100)] = None


class CheckedRole(Shape):
    """Whether one service role is granted."""

    name: Annotated[str, Member("The name of the role.", example="AliyunCSDefaultRole")]
    granted: Annotated[bool, Member("Whether it is granted.", example="true")]
    message: Annotated[str, Member("Why it is, or is not.", example="No service role is needed here.")]


class CheckServiceRoleOutput(Shape):
    """Whether the service roles are granted."""

    roles: Annotated[list[CheckedRole], Member("Each role that was asked for, in that order.")]


CHECK_SERVICE_ROLE = Operation(
    name="CheckServiceRole",
    method="POST",
    path="/ram/check-service-role",
    summary="Check whether service roles are granted.",
    description="This server needs no service role, so each that is asked for is answered as granted.",
    action_names=("cs:CheckServiceRole",),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=_READS,
    input=CheckServiceRoleInput,
    output=CheckServiceRoleOutput,
    errors=(BodyMalformed,),
)

ACCOUNT_OPERATIONS = (DESCRIBE_USER_QUOTA, DESCRIBE_REGIONS, CHECK_SERVICE_ROLE)
