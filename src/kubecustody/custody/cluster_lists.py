"""The clusters of the account as the provider's lists show them, and what tools ask of an account."""

import json

from kubecustody.catalogue.account import (
    CheckedRole,
    CheckServiceRoleInput,
    CheckServiceRoleOutput,
    DescribeRegionsInput,
    DescribeRegionsOutput,
    DescribeUserQuotaInput,
    DescribeUserQuotaOutput,
    Region,
)
from kubecustody.catalogue.clusters import (
    CLUSTER_TYPE,
    MOST_TWINS,
    PROFILE,
    DescribeClusterDetailInput,
    DescribeClustersForRegionInput,
    DescribeClustersForRegionOutput,
    DescribeClustersInput,
    DescribeClustersV1Input,
    DescribeClustersV1Output,
    LegacyCluster,
    ListedCluster,
    PageInfo,
    RegionCluster,
)
from kubecustody.core.errors import ClusterNotFound, TooManyClusters
from kubecustody.core.paging import PageRequest
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller
from kubecustody.store.clusters import (
    ClusterFacts,
    find_cluster_facts,
    list_cluster_facts,
    list_clusters_like,
    list_of_same_client_ca,
    list_regions,
    lower_ascii,
)
from kubecustody.store.fleet import list_clusters
from kubecustody.store.transactions import Transaction

MOST_AT_ONCE = 1000
_NO_ROLE_NEEDED = "No service role is needed here."


async def describe_clusters_v1(
    tx: Transaction, caller: Caller, request: DescribeClustersV1Input, _: float
) -> DescribeClustersV1Output:
    """One page of the account's clusters."""
    page = PageRequest(request.page_number, request.page_size)
    found, count = await _find(tx, caller, request, request.region_id, page)
    clusters = [await _listed(tx, caller.account_id, one, detail=request.detail) for one in found]
    return DescribeClustersV1Output(clusters, PageInfo(page.number, page.size, count))


async def describe_clusters_for_region(
    tx: Transaction, caller: Caller, request: DescribeClustersForRegionInput, _: float
) -> DescribeClustersForRegionOutput:
    """One page of the account's clusters in one region."""
    page = PageRequest(request.page_number, request.page_size)
    found, count = await _find(tx, caller, request, request.region_id, page)
    clusters = [RegionCluster(*_facts(one)) for one in found]
    return DescribeClustersForRegionOutput(clusters, PageInfo(page.number, page.size, count))


async def describe_clusters(
    tx: Transaction, caller: Caller, request: DescribeClustersInput, _: float
) -> list[LegacyCluster]:
    """Every cluster of the account. Raises TooManyClusters."""
    if request.resource_group_id or request.cluster_type not in ("", CLUSTER_TYPE):
        return []
    found, count = await list_clusters_like(tx, caller.account_id, request.name, "", MOST_AT_ONCE, 0)
    if count > MOST_AT_ONCE:
        raise TooManyClusters(count, MOST_AT_ONCE)
    return [LegacyCluster(*_facts(one), master_url=_master_url(one)) for one in found]


async def describe_cluster_detail(
    tx: Transaction, caller: Caller, request: DescribeClusterDetailInput, _: float
) -> ListedCluster:
    """One cluster. Raises ClusterNotFound."""
    found = await find_cluster_facts(tx, caller.account_id, request.cluster_id)
    if found is None:
        raise ClusterNotFound(request.cluster_id)
    return await _listed(tx, caller.account_id, found, detail=request.detail)


async def _find(
    tx: Transaction,
    caller: Caller,
    request: DescribeClustersV1Input | DescribeClustersForRegionInput,
    region_id: str,
    page: PageRequest,
) -> tuple[list[ClusterFacts], int]:
    """A page of what the filters leave, and the count of all of it. Without a filter flat at any depth."""
    if request.cluster_spec or request.cluster_type not in ("", CLUSTER_TYPE) or request.profile not in ("", PROFILE):
        return [], 0
    if request.cluster_id:
        one = await find_cluster_facts(tx, caller.account_id, request.cluster_id)
        fits = one and lower_ascii(request.name) in lower_ascii(one.name) and region_id in ("", one.region_id)
        found = [one] if one and fits else []
        return found[page.offset : page.offset + page.size], len(found)
    if request.name or region_id:
        return await list_clusters_like(tx, caller.account_id, request.name, region_id, page.size, page.offset)
    if page.offset >= caller.cluster_count:
        return [], caller.cluster_count
    rows = await list_clusters(tx, caller.account_id, caller.last_cluster_seq, page.offset, page.size)
    return await list_cluster_facts(tx, caller.account_id, rows), caller.cluster_count


def _facts(one: ClusterFacts) -> tuple[str, str, str, str, str, str]:
    return one.cluster_id, one.name, one.state, one.region_id, format_time(one.created_at), one.kubernetes_version or ""


async def _listed(tx: Transaction, account_id: str, one: ClusterFacts, *, detail: bool) -> ListedCluster:
    listed = ListedCluster(*_facts(one), master_url=_master_url(one))
    if detail:
        expires_at = one.own_access_expires_at
        listed.mode = one.mode
        listed.own_access_expires_at = "" if expires_at is None else format_time(expires_at)
        listed.own_access_fault = one.own_access_fault or ""
        twins = await list_of_same_client_ca(tx, account_id, one.seq, MOST_TWINS)
        listed.same_client_ca = [twin.cluster_id for twin in twins]
        listed.clock_skew_seconds = one.clock_skew_seconds
    return listed


def _master_url(one: ClusterFacts) -> str:
    addresses = {
        "api_server_endpoint": one.public_endpoint or "",
        "intranet_api_server_endpoint": one.private_endpoint or "",
    }
    return json.dumps(addresses, separators=(",", ":"))


async def describe_user_quota(
    _: Transaction, __: Caller, ___: DescribeUserQuotaInput, ____: float
) -> DescribeUserQuotaOutput:
    """That there are no quotas."""
    return DescribeUserQuotaOutput()


async def describe_regions(
    tx: Transaction, caller: Caller, _: DescribeRegionsInput, __: float
) -> DescribeRegionsOutput:
    """The account's region and those of its clusters."""
    regions = {caller.region_id, *await list_regions(tx, caller.account_id)}
    return DescribeRegionsOutput([Region(region, region) for region in sorted(regions)])


async def check_service_role(
    _: Transaction, __: Caller, request: CheckServiceRoleInput, ___: float
) -> CheckServiceRoleOutput:
    """That no service role is lacking."""
    return CheckServiceRoleOutput(
        [
            CheckedRole(role.name, granted=True, message="No service role is needed here.")
            for role in request.roles or ()
        ]
    )
