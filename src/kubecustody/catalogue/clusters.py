"""The clusters themselves: listing and describing them.

Facts: the provider's reference pages of each, and its SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24. What its
answers say of networks, nodes and billing is known of no cluster here, and is left out; SDKs read that as nothing.
"""

from typing import Annotated

from kubecustody.catalogue.members import CLUSTER_ID
from kubecustody.catalogue.model import (
    ALL_CLUSTERS,
    LARGEST_INTEGER,
    ONE_CLUSTER,
    AccessLevel,
    Change,
    Effect,
    Operation,
)
from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.catalogue.states import CLUSTER_STATES
from kubecustody.core.errors import ClusterNotFound, TooManyClusters

CLUSTER_TYPE = "ExternalKubernetes"
PROFILE = "Default"


def _filter(doc: str, example: str, wire_name: str = "") -> Member:
    return Member(doc, example=example, wire_name=wire_name, location=Location.QUERY, most=100)


_NAME = _filter("Only clusters whose name holds this text, in any case.", "prod")
_TYPE = "Only clusters of this type; every cluster here is of type ExternalKubernetes."
_SPEC = _filter("Only clusters of this specification; clusters here have none.", "ack.pro.small")
_PROFILE = _filter("Only clusters of this profile; every cluster here is of profile Default.", "Default")
_ONE_ID = _filter("Only the cluster of this ID.", "c5b5e80b0b64a4bf6939d2d8fbbc51a7e")
_DETAIL = Member(
    "Whether to add how this server has to do with each cluster.", example="true", location=Location.QUERY, ours=True
)
_PAGE_NUMBER = Member("The page number.", example="1", location=Location.QUERY, minimum=1, maximum=LARGEST_INTEGER)
_PAGE_SIZE = Member("The number of entries per page.", example="10", location=Location.QUERY, minimum=1, maximum=100)


MOST_TWINS = 20


class DescribeClustersV1Input(Shape):
    """Which clusters, and which page of them."""

    name: Annotated[str, _NAME] = ""
    cluster_type: Annotated[str, _filter(_TYPE, CLUSTER_TYPE)] = ""
    cluster_spec: Annotated[str, _SPEC] = ""
    profile: Annotated[str, _PROFILE] = ""
    region_id: Annotated[str, _filter("Only clusters of this region.", "cn-hangzhou")] = ""
    cluster_id: Annotated[str, _ONE_ID] = ""
    page_number: Annotated[int, _PAGE_NUMBER] = 1
    page_size: Annotated[int, _PAGE_SIZE] = 10
    detail: Annotated[bool, _DETAIL] = False


class DescribeClustersForRegionInput(Shape):
    """Which clusters of which region, and which page of them."""

    region_id: Annotated[str, Member("The region.", example="cn-hangzhou", location=Location.PATH)]
    name: Annotated[str, _NAME] = ""
    cluster_type: Annotated[str, _filter(_TYPE, CLUSTER_TYPE)] = ""
    cluster_spec: Annotated[str, _SPEC] = ""
    profile: Annotated[str, _PROFILE] = ""
    cluster_id: Annotated[str, _ONE_ID] = ""
    page_number: Annotated[int, _PAGE_NUMBER] = 1
    page_size: Annotated[int, _PAGE_SIZE] = 10


class DescribeClustersInput(Shape):
    """Which clusters."""

    name: Annotated[str, _NAME] = ""
    cluster_type: Annotated[str, _filter(_TYPE, CLUSTER_TYPE, "clusterType")] = ""
    resource_group_id: Annotated[
        str, _filter("Only clusters of this resource group; clusters here have none.", "rg-acfm3mkrure")
    ] = ""


class DescribeClusterDetailInput(Shape):
    """Which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]
    detail: Annotated[bool, _DETAIL] = False


class _ClusterFacts(Shape):
    """What every answer says of a cluster."""

    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e")]
    name: Annotated[str, Member("The name of the cluster.", example="cluster-demo")]
    state: Annotated[str, Member("The status of the cluster.", example="running", values=CLUSTER_STATES)]
    region_id: Annotated[str, Member("The region of the cluster.", example="cn-hangzhou")]
    created: Annotated[
        str, Member("When the cluster was registered here (RFC 3339, UTC).", example="2026-11-24T03:00:42Z")
    ]
    current_version: Annotated[str, Member("The Kubernetes version; empty before the first contact.", example="1.37.2")]
    cluster_type: Annotated[str, Member("The type: registered from outside.", example=CLUSTER_TYPE)] = CLUSTER_TYPE
    profile: Annotated[str, Member("The profile.", example=PROFILE)] = PROFILE
    deletion_protection: Annotated[bool, Member("Whether deleting it is refused; it never is here.")] = False


class RegionCluster(_ClusterFacts):
    """One cluster of a region."""

    cluster_spec: Annotated[str, Member("The specification; empty here.")] = ""


_MASTER_URL = Member(
    "The addresses of the API server, as JSON in a string: api_server_endpoint and intranet_api_server_endpoint.",
    example='{"api_server_endpoint":"https://203.0.113.7:6443","intranet_api_server_endpoint":""}',
)
_META_DATA = Member("Further facts, as JSON in a string; none here.", example="{}")


class ListedCluster(RegionCluster):
    """One cluster."""

    master_url: Annotated[str, _MASTER_URL] = "{}"
    meta_data: Annotated[str, _META_DATA] = "{}"
    mode: Annotated[
        str | UnsetType,
        Member(
            "How this server has to do with it; absent unless detail is true.",
            example="manage",
            values={
                "none": "It is a record, and not reached.",
                "observe": "It is looked at, and never written to.",
                "manage": "Its bindings are kept as they are wanted here.",
            },
            ours=True,
        ),
    ] = UNSET
    own_access_expires_at: Annotated[
        str | UnsetType,
        Member(
            "When this server's own access to it ends (RFC 3339, UTC); empty where no end is known, absent unless "
            "detail is true.",
            example="2026-12-24T03:00:42Z",
            ours=True,
        ),
    ] = UNSET
    own_access_fault: Annotated[
        str | UnsetType,
        Member(
            "Why this server's own access to it could not be renewed; empty where that did not fail, absent unless "
            "detail is true.",
            ours=True,
        ),
    ] = UNSET
    same_client_ca: Annotated[
        list[str] | UnsetType,
        Member(
            "The IDs of other clusters of the account that trust the key of a client CA which it trusts, so that they "
            f"may let in the same kubeconfigs: at most {MOST_TWINS}; absent unless detail is true.",
            ours=True,
        ),
    ] = UNSET
    clock_skew_seconds: Annotated[
        int | None | UnsetType,
        Member(
            "By how many seconds its clock was ahead of this server's when it last answered; less than 0 where it was "
            "behind, null where it is not known, absent unless detail is true.",
            example="0",
            ours=True,
        ),
    ] = UNSET


class LegacyCluster(_ClusterFacts):
    """One cluster, as the older list says it."""

    master_url: Annotated[str, _MASTER_URL] = "{}"
    meta_data: Annotated[str, _META_DATA] = "{}"


class PageInfo(Shape):
    """The pagination information."""

    page_number: Annotated[int, Member("The page number of the returned page.", example="1")]
    page_size: Annotated[int, Member("The number of entries per page.", example="10")]
    total_count: Annotated[int, Member("The total number of entries.", example="100")]


class DescribeClustersV1Output(Shape):
    """One page of clusters."""

    clusters: Annotated[list[ListedCluster], Member("The clusters, in the order of their registration.")]
    page_info: Annotated[PageInfo, Member("The pagination information.")]


class DescribeClustersForRegionOutput(Shape):
    """One page of the clusters of a region."""

    clusters: Annotated[list[RegionCluster], Member("The clusters, in the order of their registration.")]
    page_info: Annotated[PageInfo, Member("The pagination information.")]


_READS = frozenset({Effect.READS})
_LIST_NAMES = ("cs:GetClusters", "cs:DescribeClustersV1", "cs:ListClusters")
_DESCRIPTION = (
    "Every cluster of the account that was not purged, deleted ones included, in the order of their registration. "
    "A page past the end is empty."
)

# What neither list says, by what it is about: network, nodes, upkeep.
_NOT_KNOWN = (
    "container_cidr",
    "init_version",
    "resource_group_id",
    "security_group_id",
    "size",
    "subnet_cidr",
    "tags",
    "updated",
    "vpc_id",
)
_NOT_KNOWN_OF_NEWER = (
    "cluster_domain",
    "ip_stack",
    "next_version",
    "proxy_mode",
    "service_cidr",
    "timezone",
    "vswitch_ids",
)
_NOT_KNOWN_OF_NODES = (
    "docker_version",
    "external_loadbalancer_id",
    "network_mode",
    "private_zone",
    "vswitch_id",
    "worker_ram_role_name",
    "zone_id",
)
_NOT_KNOWN_V1 = (*_NOT_KNOWN, *_NOT_KNOWN_OF_NEWER, *_NOT_KNOWN_OF_NODES, "maintenance_window", "operation_policy")

DESCRIBE_CLUSTERS_V1 = Operation(
    name="DescribeClustersV1",
    method="GET",
    path="/api/v1/clusters",
    summary="Query the clusters of the account, page by page.",
    description=_DESCRIPTION,
    action_names=_LIST_NAMES,
    access_level=AccessLevel.READ,
    resource=ALL_CLUSTERS,
    effects=_READS,
    input=DescribeClustersV1Input,
    output=DescribeClustersV1Output,
    absent=tuple(f"clusters.{name}" for name in _NOT_KNOWN_V1),
    changes=(
        Change("2026-11-24", "detail, with mode and own_access_expires_at."),
        Change("2026-11-25", "own_access_fault and same_client_ca, with detail."),
        Change("2026-11-25", "clock_skew_seconds, with detail."),
    ),
)

DESCRIBE_CLUSTERS = Operation(
    name="DescribeClusters",
    method="GET",
    path="/clusters",
    summary="Query the clusters of the account, all at once.",
    description="An array of clusters, at most 1,000; DescribeClustersV1 replaces it, and pages.",
    action_names=("cs:GetClusters", "cs:DescribeClusters", "cs:GetClustersByUid"),
    access_level=AccessLevel.READ,
    resource=ALL_CLUSTERS,
    effects=_READS,
    input=DescribeClustersInput,
    output=LegacyCluster,
    errors=(TooManyClusters,),
    returns_list=True,
    absent=(
        *(name for name in (*_NOT_KNOWN, *_NOT_KNOWN_OF_NODES) if name not in ("container_cidr", "vswitch_ids")),
        "data_disk_category",
        "data_disk_size",
        "vswitch_cidr",
    ),
    deprecated=True,
)

DESCRIBE_CLUSTERS_FOR_REGION = Operation(
    name="DescribeClustersForRegion",
    method="GET",
    path="/regions/{region_id}/clusters",
    summary="Query the clusters of one region, page by page.",
    description=_DESCRIPTION,
    action_names=("cs:DescribeClustersForRegion",),
    access_level=AccessLevel.READ,
    resource=ALL_CLUSTERS,
    effects=_READS,
    input=DescribeClustersForRegionInput,
    output=DescribeClustersForRegionOutput,
    absent=tuple(f"clusters.{name}" for name in (*_NOT_KNOWN, *_NOT_KNOWN_OF_NEWER) if name != "subnet_cidr"),
)

DESCRIBE_CLUSTER_DETAIL = Operation(
    name="DescribeClusterDetail",
    method="GET",
    path="/clusters/{ClusterId}",
    summary="Query one cluster.",
    description="What is known here of the cluster, deleted ones included until they are purged.",
    action_names=("cs:DescribeClusterDetail", "cs:GetClusterById"),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=_READS,
    input=DescribeClusterDetailInput,
    output=ListedCluster,
    errors=(ClusterNotFound,),
    absent=(
        *_NOT_KNOWN_V1,
        "auto_mode",
        "control_plane_config",
        "control_plane_endpoints_config",
        "extra_sans",
        "node_cidr_mask",
        "parameters",
        "rrsa_config",
    ),
    changes=(
        Change("2026-11-24", "detail, with mode and own_access_expires_at."),
        Change("2026-11-25", "own_access_fault and same_client_ca, with detail."),
        Change("2026-11-25", "clock_skew_seconds, with detail."),
    ),
)

CLUSTER_OPERATIONS = (
    DESCRIBE_CLUSTERS_V1,
    DESCRIBE_CLUSTERS,
    DESCRIBE_CLUSTERS_FOR_REGION,
    DESCRIBE_CLUSTER_DETAIL,
)
