"""The lists of clusters, and what tools ask of an account before they begin."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from homes import FULL, GET, LIST, READ_ONLY, Home, served_home
from wire import Answer, call

from installations import Installation
from kubecustody.catalogue.account import DescribeRegionsInput
from kubecustody.catalogue.clusters import DescribeClustersInput
from kubecustody.core.errors import TooManyClusters
from kubecustody.custody import cluster_lists
from kubecustody.custody.authentication import Caller
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster, purge_cluster, set_cluster
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import NewAccessKey

OLD_LIST = "DescribeClusters"
OF_REGION = "DescribeClustersForRegion"
DETAIL = "DescribeClusterDetail"
QUOTA = "DescribeUserQuota"
REGIONS = "DescribeRegions"
CHECK_ROLE = "CheckServiceRole"

# Name and region of each cluster, in the order of registration; the first two are the home's own.
FLEET = [
    ("cluster-0", "local"),
    ("cluster-1", "local"),
    ("Prod_eu", "eu-1"),
    ("prod-eu-2", "eu-1"),
    ("prodXeu", "eu-2"),
    ("stage_1", "eu-1"),
    ("生产", "cn-hangzhou"),
    ("GRÖSSE", "eu-2"),
    *((f"edge-{number:02}", "edge") for number in range(17)),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("lists")) as home:
        for name, region in FLEET[2:]:
            fields = ClusterFields(
                name=name, region_id=region, public_endpoint=f"https://{len(home.clusters)}.test:6443"
            )
            home.clusters.append(home.installation.change(add_cluster, fields))
        home.add("reader", READ_ONLY)
        home.add("nobody")
        yield home


@pytest.fixture(scope="module")
def stranger(home: Home) -> NewAccessKey:
    return home.second_account()


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    listed = answer.json if isinstance(answer.json, list) else answer.json["clusters"]
    return [one["name"] for one in listed]


def listed(home: Home, operation: str = LIST, **query: str) -> list[str]:
    """Names that a list gives with these filters, at most a hundred, once its count was checked."""
    path = {"region_id": query.pop("of_region")} if operation == OF_REGION else {}
    answer = home.ask("reader", operation, query=tuple({"page_size": "100", **query}.items()), **path)
    found = names(answer)
    assert answer.json["page_info"] == {"page_number": 1, "page_size": 100, "total_count": len(found)}
    return found


# --- pages


def test_pages_are_in_the_order_of_registration_and_count_everything(home: Home) -> None:
    seen: list[str] = []
    for number in (1, 2, 3, 4):
        answer = home.ask("reader", LIST, query=(("page_number", str(number)), ("page_size", "8")))
        assert answer.json["page_info"] == {"page_number": number, "page_size": 8, "total_count": len(FLEET)}
        seen += names(answer)
    assert seen == [name for name, _ in FLEET]


def test_a_tool_that_pages_until_an_empty_page_sees_each_cluster_once(home: Home) -> None:
    """As ack-ram-tool does, which sends no page_size."""
    seen: list[str] = []
    for number in range(1, 20):
        page = home.ask("reader", LIST, query=(("page_number", str(number)),)).json["clusters"]
        if not page:
            break
        seen += [one["cluster_id"] for one in page]
    assert seen == home.clusters and number == 4


@pytest.mark.parametrize("query", [(), (("name", "e"),), (("region_id", "edge"),)])
def test_a_page_past_the_end_is_empty(home: Home, query: tuple[tuple[str, str], ...]) -> None:
    for number in ("50", "2147483647"):
        answer = home.ask("reader", LIST, query=(*query, ("page_number", number), ("page_size", "100")))
        assert names(answer) == [] and answer.json["page_info"]["total_count"] > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_number", "0"),
        ("page_number", "x"),
        ("page_number", "2147483648"),
        ("name", "x" * 101),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(home: Home, name: str, value: str) -> None:
    answer = home.ask("reader", LIST, query=((name, value),))
    assert home.refusal(answer, "InvalidParameter").startswith(f"{name}: ")


# --- filters


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prod", ["Prod_eu", "prod-eu-2", "prodXeu"]),
        ("PROD", ["Prod_eu", "prod-eu-2", "prodXeu"]),
        ("d_e", ["Prod_eu"]),
        ("_", ["Prod_eu", "stage_1"]),
        ("%", []),
        ("p%", []),
        ("\\", []),
        ("\\_", []),
        ("'", []),
        ("生", ["生产"]),
        ("GRÖSSE", ["GRÖSSE"]),
        ("RÖ", ["GRÖSSE"]),
        ("edge-1", [f"edge-1{number}" for number in range(7)]),
        ("", [name for name, _ in FLEET]),
    ],
)
def test_a_name_is_found_by_any_part_of_it_as_a_plain_text(home: Home, text: str, found: list[str]) -> None:
    assert listed(home, name=text) == found


@pytest.mark.parametrize("text", ["GRÖSSE", "PROD", "_", "%"])
def test_name_beside_an_id_finds_as_it_does_alone(home: Home, text: str) -> None:
    alone = listed(home, name=text)
    beside = [name for cluster in home.clusters for name in listed(home, name=text, cluster_id=cluster)]
    assert beside == alone


def test_each_filter_alone_and_together(home: Home) -> None:
    cluster = home.clusters[2]
    for operation, path in ((LIST, {"region_id": "eu-1"}), (OF_REGION, {"of_region": "eu-1"})):
        assert listed(home, operation, **path) == ["Prod_eu", "prod-eu-2", "stage_1"]
        assert listed(home, operation, **path, name="prod") == ["Prod_eu", "prod-eu-2"]
        assert listed(home, operation, **path, cluster_id=cluster) == ["Prod_eu"]
        assert listed(home, operation, **path, cluster_id=cluster, name="eu") == ["Prod_eu"]
        assert listed(home, operation, **path, cluster_id=cluster, name="stage") == []
        assert listed(home, operation, **path, cluster_id=home.clusters[4]) == []
        assert listed(home, operation, **path, cluster_id="c-none") == []
        assert listed(home, operation, **path, cluster_type="ExternalKubernetes", profile="Default", name="stage") == [
            "stage_1"
        ]
        for name, value in (
            ("cluster_type", "ManagedKubernetes"),
            ("profile", "Serverless"),
            ("cluster_spec", "ack.pro.small"),
        ):
            assert listed(home, operation, **path, **{name: value}) == []
    assert listed(home, OF_REGION, of_region="nowhere") == listed(home, region_id="nowhere") == []
    assert listed(home, region_id="EU-1") == []


def test_filtered_pages_join(home: Home) -> None:
    for filters in ((("name", "edge"),), (("region_id", "edge"),), (("region_id", "edge"), ("name", "e-"))):
        seen: list[str] = []
        for number in (1, 2, 3):
            answer = home.ask("reader", LIST, query=(*filters, ("page_number", str(number)), ("page_size", "7")))
            assert answer.json["page_info"]["total_count"] == 17
            seen += names(answer)
        assert seen == [f"edge-{number:02}" for number in range(17)]


def test_a_cluster_given_by_its_id_stands_on_the_first_page_alone(home: Home) -> None:
    query = (("cluster_id", home.clusters[0]), ("page_number", "2"))
    answer = home.ask("reader", LIST, query=query)
    assert names(answer) == [] and answer.json["page_info"]["total_count"] == 1


# --- what is said of a cluster


def test_addresses_are_json_within_a_string(home: Home) -> None:
    home.installation.change(set_cluster, home.clusters[0], ClusterFields(private_endpoint="https://10.0.0.1:6443"))
    page = home.ask("reader", LIST).json["clusters"]
    assert json.loads(page[0]["master_url"]) == {
        "api_server_endpoint": "https://203.0.113.0:6443",
        "intranet_api_server_endpoint": "https://10.0.0.1:6443",
    }
    assert json.loads(page[1]["master_url"])["intranet_api_server_endpoint"] == ""
    assert json.loads(page[0]["meta_data"]) == {}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", page[0]["created"])
    assert (page[0]["region_id"], page[0]["cluster_type"], page[0]["state"]) == (
        "local",
        "ExternalKubernetes",
        page[1]["state"],
    )


def test_every_list_and_the_detail_say_the_same_of_a_cluster(home: Home) -> None:
    by_page = {
        one["cluster_id"]: one for one in home.ask("reader", LIST, query=(("page_size", "100"),)).json["clusters"]
    }
    by_array = {one["cluster_id"]: one for one in home.ask("reader", OLD_LIST).json}
    by_region = {one["cluster_id"]: one for one in home.ask("reader", OF_REGION, region_id="eu-1").json["clusters"]}
    assert list(by_page) == list(by_array) == home.clusters and len(by_region) == 3
    for cluster in home.clusters:
        detail = home.ask("reader", DETAIL, cluster).json
        assert detail == by_page[cluster]
        for other in (by_array[cluster], by_region.get(cluster, {})):
            assert {name: detail[name] for name in other} == other


def test_a_cluster_is_listed_as_deleted_until_it_is_purged(home: Home) -> None:
    cluster = home.installation.change(add_cluster, ClusterFields(name="going", region_id="eu-2"))
    assert home.ask("reader", DETAIL, cluster).json["state"] != "deleted"
    home.installation.change(delete_cluster, cluster)
    in_region = home.ask("reader", OF_REGION, query=(("name", "going"),), region_id="eu-2").json["clusters"]
    assert [one["state"] for one in (home.ask("reader", DETAIL, cluster).json, *in_region)] == ["deleted"] * 2
    assert listed(home, name="going") == ["going"]
    home.installation.change(purge_cluster, cluster)
    home.refusal(home.ask("reader", DETAIL, cluster), "ErrorClusterNotFound")
    assert listed(home, name="going") == []
    assert names(home.ask("reader", LIST, query=(("page_size", "100"),))) == [name for name, _ in FLEET]


def test_a_cluster_that_never_was_is_told_to_who_may_and_to_nobody_else(home: Home) -> None:
    assert "c-none" in home.refusal(home.ask("reader", DETAIL, "c-none"), "ErrorClusterNotFound")
    told = set()
    for cluster in (home.clusters[0], "c-none"):
        answer = home.ask("nobody", DETAIL, cluster)
        told.add(home.refusal(answer).replace(cluster, "").replace(answer.header("x-acs-request-id"), ""))
    assert len(told) == 1


def test_a_policy_for_one_clusters_detail_is_for_no_other(home: Home) -> None:
    home.allow("one", {"Action": "cs:GetClusterById", "Resource": home.arn(home.clusters[1])})
    assert home.ask("one", DETAIL, home.clusters[1]).status == 200
    home.refusal(home.ask("one", DETAIL, home.clusters[0]))
    home.refusal(home.ask("one", LIST))


# --- all at once


def test_the_older_list_is_an_array_that_name_and_type_narrow(home: Home) -> None:
    assert names(home.ask("reader", OLD_LIST)) == [name for name, _ in FLEET]
    for query, found in (
        ((("name", "prod"),), ["Prod_eu", "prod-eu-2", "prodXeu"]),
        ((("name", "%"),), []),
        ((("clusterType", "ExternalKubernetes"), ("name", "stage")), ["stage_1"]),
        ((("clusterType", "ManagedKubernetes"),), []),
        ((("resource_group_id", "rg-1"),), []),
    ):
        assert names(home.ask("reader", OLD_LIST, query=query)) == found


def ask_in_process(installation: Installation, **fields: str) -> Any:
    caller = Caller(installation.account_id, installation.account_id, "account", "KEY", "local", 1, 1, 1)

    async def work(custody: Custody) -> Any:
        return await custody.store.read(
            lambda tx: cluster_lists.describe_clusters(tx, caller, DescribeClustersInput(**fields), 0.0)
        )

    return installation.run(work)


def test_what_is_too_much_for_one_answer_is_told_with_what_pages(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_lists, "MOST_AT_ONCE", 20)
    with pytest.raises(TooManyClusters) as refused:
        ask_in_process(home.installation)
    assert (refused.value.count, refused.value.limit) == (len(FLEET), 20)
    assert len(ask_in_process(home.installation, name="edge")) == 17
    monkeypatch.setattr(cluster_lists, "MOST_AT_ONCE", len(FLEET))
    assert len(ask_in_process(home.installation)) == len(FLEET)


# --- the account


def test_quotas_are_as_large_as_their_type(home: Home) -> None:
    answer = home.ask("reader", QUOTA)
    assert answer.status == 200 and set(answer.json.values()) == {2**31 - 1}
    assert "cluster_quota" in answer.json


def test_regions_are_the_accounts_and_its_clusters(home: Home, stranger: NewAccessKey) -> None:
    answer = home.ask("reader", REGIONS, query=(("acceptLanguage", "en-US"),))
    assert answer.json["requestId"] == answer.header("x-acs-request-id")
    assert [one["regionId"] for one in answer.json["regions"]] == ["cn-hangzhou", "edge", "eu-1", "eu-2", "local"]
    assert [one["regionId"] for one in home.ask(stranger, REGIONS).json["regions"]] == ["elsewhere"]


def test_a_region_whose_last_cluster_was_purged_is_none_any_more(installation: Installation) -> None:
    cluster = installation.change(add_cluster, ClusterFields(name="going", region_id="gone"))
    installation.change(add_cluster, ClusterFields(name="staying", region_id="there"))
    assert regions_in_process(installation) == ["gone", "local", "there"]
    installation.change(delete_cluster, cluster)
    installation.change(purge_cluster, cluster)
    assert regions_in_process(installation) == ["local", "there"]


def regions_in_process(installation: Installation) -> list[str]:
    caller = Caller(installation.account_id, installation.account_id, "account", "KEY", "local", 1, 1, 1)

    async def work(custody: Custody) -> Any:
        return await custody.store.read(
            lambda tx: cluster_lists.describe_regions(tx, caller, DescribeRegionsInput(), 0.0)
        )

    return [region.region_id for region in installation.run(work).regions]


def test_each_service_role_that_is_asked_for_is_granted(home: Home) -> None:
    for body, wanted in (
        ({"roles": [{"name": "AliyunCSDefaultRole"}, {"name": "b", "unknown": [1]}]}, ["AliyunCSDefaultRole", "b"]),
        ({"roles": []}, []),
        ({}, []),
        (None, []),
    ):
        answer = home.ask("reader", CHECK_ROLE, body=body)
        assert answer.status == 200, answer.body
        assert [one["name"] for one in answer.json["roles"]] == wanted
        assert all(one["granted"] is True for one in answer.json["roles"])


@pytest.mark.parametrize(
    "body",
    [
        {"roles": "AliyunCSDefaultRole"},
        {"roles": {"name": "a"}},
        {"roles": ["a"]},
        {"roles": [None]},
        {"roles": [{}]},
        {"roles": [{"name": 5}]},
        {"roles": [{"name": "x" * 129}]},
        {"roles": [{"name": "a"}] * 101},
        {"roles": [[{"name": "a"}]]},
    ],
)
def test_a_body_of_another_shape_is_refused_by_name(home: Home, body: Any) -> None:
    message = home.refusal(home.ask("reader", CHECK_ROLE, body=body), "InvalidParameter")
    assert message.startswith(("roles", "name"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'"roles"', b"\xff", b'{"roles": [], "roles": []}', b'{"roles": NaN}'])
def test_a_body_that_is_no_json_object_is_refused(home: Home, body: bytes) -> None:
    key = home.people["reader"]
    answer = call(home.server, key, "/ram/check-service-role", method="POST", action=CHECK_ROLE, body=body)
    home.refusal(answer, "ErrorJsonDecode")


# --- another account


def test_another_account_sees_none_of_it(home: Home, stranger: NewAccessKey) -> None:
    for query in ((), (("name", "prod"),), (("region_id", "eu-1"),), (("cluster_id", home.clusters[0]),)):
        answer = home.ask(stranger, LIST, query=query)
        assert names(answer) == [] and answer.json["page_info"]["total_count"] == 0
    assert home.ask(stranger, OLD_LIST).json == []
    assert names(home.ask(stranger, OF_REGION, region_id="eu-1")) == []
    for operation in (DETAIL, "DescribeClusterTasks", "ListClusterKubeconfigStates", GET):
        home.refusal(home.ask(stranger, operation, home.clusters[0]), "ErrorClusterNotFound")


def test_who_has_no_policy_lists_nothing(home: Home) -> None:
    for operation in (LIST, OLD_LIST, QUOTA, REGIONS):
        home.refusal(home.ask("nobody", operation))
    home.refusal(home.ask("nobody", OF_REGION, region_id="eu-1"))
    home.refusal(home.ask("nobody", CHECK_ROLE, body={"roles": []}))


# --- the provider's own SDK


@pytest.mark.sdk
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_providers_sdk_reads_every_list(home: Home) -> None:
    from alibabacloud_cs20151215 import models
    from alibabacloud_cs20151215.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    key = home.add("by-sdk", FULL)
    config = Config(
        access_key_id=key.access_key_id,
        access_key_secret=key.secret,
        endpoint=home.server.url.partition("://")[2],
        protocol="http",
        region_id="local",
    )
    client = Client(config)
    request = models.DescribeClustersV1Request(page_number=2, page_size=20)
    page = client.describe_clusters_v1(request).body
    assert (page.page_info.page_number, page.page_info.page_size, page.page_info.total_count) == (2, 20, len(FLEET))
    assert [one.cluster_id for one in page.clusters] == home.clusters[20:]
    array = client.describe_clusters(models.DescribeClustersRequest(name="prod")).body
    assert [one.name for one in array] == ["Prod_eu", "prod-eu-2", "prodXeu"]
    request = models.DescribeClustersForRegionRequest()
    assert len(client.describe_clusters_for_region("eu-1", request).body.clusters) == 3
    detail = client.describe_cluster_detail(home.clusters[2]).body
    assert (detail.name, json.loads(detail.master_url)["api_server_endpoint"]) == ("Prod_eu", "https://2.test:6443")
    assert client.describe_user_quota().body.cluster_quota == 2**31 - 1
    assert len(client.describe_regions(models.DescribeRegionsRequest()).body.regions) == 5
    roles = [models.CheckServiceRoleRequestRoles(name="AliyunCSDefaultRole")]
    checked = client.check_service_role(models.CheckServiceRoleRequest(roles=roles)).body
    assert [(one.name, one.granted) for one in checked.roles] == [("AliyunCSDefaultRole", True)]
