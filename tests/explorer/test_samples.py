"""Every sample of every operation, as the explorer writes it, gives the answer of the explorer.

What needs an API server is in control_plane/test_samples_on_a_cluster.py; here its answer is an error, and every sample
meets that error.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from explorer.modules import OPERATIONS, Modules
from explorer.samples import RUNNERS, UNTESTED, Call, Outcomes, Writer, check
from installations import make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.core.times import format_time
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.signers import make_signer
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.client_certificates import KeyType, make_key
from sdk.programs import GO, missing

pytestmark = pytest.mark.sdk

CANARY = "secret-token-of-a-cluster-4711"
KUBECONFIG = f"""apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "https://203.0.113.9:6443"}}}}]
users: [{{name: u, user: {{token: "{CANARY}\\t\\"q\\""}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
"""


@dataclass
class Place:
    """A served account with clusters and people, a call of every operation, and which ones were given values here."""

    writer: Writer
    calls: dict[str, Call]
    chosen: set[str]


@pytest.fixture(scope="module")
def place(modules: Modules, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    installation = make_installation(tmp_path_factory.mktemp("samples"))
    clusters = {}
    for name in ("prod", "stage", "lab"):
        fields = ClusterFields(name=name, public_endpoint="https://203.0.113.7:6443")
        clusters[name] = installation.change(add_cluster, fields)
    for name in ("prod", "lab"):
        installation.change(make_signer, name)
    uids = {
        name: installation.change(add_principal, kind=PrincipalKind.USER, name=name)
        for name in ("anna", "bert", "dora")
    }
    installation.change(set_attachment, "AliyunCSFullAccess", attached=True, user="dora")
    dora = installation.change(add_access_key, "dora")
    assert isinstance(dora, NewAccessKey)
    with serving(installation, key_burst="9000", account_burst="9000", pages="off") as server:
        writer = Writer(modules, server.url)
        values = values_of(writer, installation.key, uids, clusters)
        others = {"DescribeUserClusterNamespaces": dora}
        calls = {name: call_of(name, values.get(name), others.get(name, installation.key)) for name in OPERATIONS}
        yield Place(writer, calls, set(values))


def call_of(name: str, given: dict[str, Any] | None, key: NewAccessKey) -> Call:
    """With these values, or with the catalogue's examples of what is in the path."""
    members = OPERATIONS[name]["input"]
    if given is None:
        given = {one["wire"]: one["example"] for one in members if one["location"] == "path"}
    secrets = {one["name"]: given[one["wire"]] for one in members if one["secret"] and one["wire"] in given}
    texts = {one: value if isinstance(value, str) else json.dumps(value) for one, value in secrets.items()}
    return Call(name, given, key, texts)


def values_of(
    writer: Writer, account: NewAccessKey, uids: dict[str, str], clusters: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Values by operation, of calls that can be made again and again with the same answer."""
    prod, stage, lab = clusters["prod"], clusters["stage"], clusters["lab"]
    in_default = {"cluster": prod, "role_name": "dev", "role_type": "namespace", "namespace": "default"}
    for cluster in (prod, lab):
        writer.answer(
            Call("DescribeSubaccountK8sClusterUserConfig", {"ClusterId": cluster, "Uid": uids["anna"]}, account)
        )
    failed = writer.answer(Call("DescribeClusterDetail", {"ClusterId": "none"}, account))["body"]["RequestId"]
    writer.answer(Call("GrantPermissions", {"uid": uids["dora"], "body": [in_default]}, account))
    for person in ("anna", "bert"):
        cleaning = {"Uid": uids[person], "ClusterIds": [stage], "Force": True}
        task_id = writer.answer(Call("CleanUserPermissions", cleaning, account))["body"]["task_id"]
        running = Call("DescribeTaskInfo", {"task_id": task_id}, account)
        wait_for(writer, running, lambda answer: answer["body"]["state"] != "running")
    # It is written after the answer.
    wait_for(
        writer,
        Call("DescribeRequestError", {"RequestId": failed}, account),
        lambda answer: answer["status"] == 200,
    )
    held = {"Uid": uids["anna"], "ClusterId": lab}
    (credential,) = writer.answer(Call("ListCredentials", held, account))["body"]["credentials"]
    named = {"ClusterId": lab, "Credential": credential["fingerprint"]}
    return {
        "ListUserKubeConfigStates": {"Uid": uids["anna"], "page_size": 10, "page_number": 1},
        "ListClusterKubeconfigStates": {"ClusterId": lab, "pageSize": 20, "cloudServiceKubeConfig": False},
        "DescribeClusterUserKubeconfig": {"ClusterId": prod, "PrivateIpAddress": False},
        "DescribeClusterV2UserKubeconfig": {"ClusterId": prod, "TemporaryDurationMinutes": 15},
        "DescribeSubaccountK8sClusterUserConfig": {
            "ClusterId": prod,
            "Uid": uids["anna"],
            "TemporaryDurationMinutes": 4320,
        },
        "UpdateK8sClusterUserConfigExpire": {"ClusterId": prod, "expire_hour": 720, "user": uids["bert"]},
        "RevokeK8sClusterKubeConfig": {"ClusterId": prod},
        "CleanClusterUserPermissions": {"ClusterId": prod, "Uid": uids["bert"], "Force": True},
        "IssueCredential": {
            "ClusterId": prod,
            "Csr": make_certificate_request(make_key(KeyType.P256)),
            "TemporaryDurationMinutes": 15,
        },
        "GrantPermissions": {"uid": uids["bert"], "body": [in_default, {**in_default, "namespace": "a-b"}]},
        "UpdateUserPermissions": {"uid": uids["bert"], "mode": "patch", "body": [{**in_default, "is_custom": False}]},
        "ListCredentials": {**held, "MaxResults": 5},
        "DescribeCredential": named,
        "RevokeCredential": {**named, "Reason": 'it\'s "found"', "DryRun": True},
        "DescribeUser": {"Who": "anna"},
        "DescribeRequestError": {"RequestId": failed},
        "ListEvents": {"Uid": uids["dora"], "MaxResults": 3},
        "ListOwnEvents": {"MaxResults": 2, "EndTime": format_time(int(time.time()))},
        "ListRestorableCredentials": {"Uid": uids["anna"]},
        "RestoreCredential": {**named, "Reason": "it lives"},
        "RestoreRemoval": {"Uid": uids["anna"], "RemovedFrom": format_time(0), "Reason": "by mistake", "DryRun": True},
        "DescribeUserPermission": {"uid": uids["dora"]},
        "DescribeUserClusterNamespaces": {"ClusterId": prod},
        "CleanUserPermissions": {"Uid": uids["bert"], "ClusterIds": [prod, lab], "Force": True},
        "DescribeTaskInfo": {"task_id": task_id},
        "DescribeClusterTasks": {"cluster_id": stage, "max_results": 1},
        "DescribeUserClusterActivityState": {"ClusterId": prod, "uid": uids["anna"]},
        "DescribeClustersV1": {"name": "s", "page_size": 1},
        "DescribeClusters": {"name": "prod"},
        "DescribeClustersForRegion": {"region_id": "local", "cluster_type": "ExternalKubernetes"},
        "DescribeClusterDetail": {"ClusterId": stage},
        "DescribeUserQuota": {},
        "DescribeRegions": {"acceptLanguage": "en-US"},
        "CheckServiceRole": {"roles": [{"name": "AliyunCSDefaultRole"}]},
        "RegisterCluster": {"Name": "new", "DryRun": True, "Kubeconfig": KUBECONFIG},
        "ApplyClusters": {"Clusters": [{"Name": "new", "Kubeconfig": KUBECONFIG}], "DryRun": True},
        "TestCluster": {"ClusterId": stage},
        "ManageCluster": {"ClusterId": stage, "Mode": "manage"},
        "RemoveCluster": {"ClusterId": stage, "Removal": "leave", "DryRun": True},
    }


def wait_for(writer: Writer, call: Call, is_done: Callable[[Any], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_done(writer.answer(call)):
        assert time.monotonic() < deadline, call
        time.sleep(0.1)


@pytest.fixture(scope="module")
def answers(place: Place) -> dict[str, Any]:
    """What the explorer gets, by operation."""
    return {name: place.writer.answer(call) for name, call in place.calls.items()}


@pytest.fixture(scope="module", params=sorted(RUNNERS))
def outcomes(
    request: pytest.FixtureRequest, place: Place, answers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Outcomes, dict[str, Any]]:
    """Of one language: what the samples printed, and the samples."""
    language = request.param
    written = {name: place.writer.write(language, call) for name, call in place.calls.items()}
    codes = [(place.calls[name], sample["code"]) for name, sample in written.items() if not sample.get("refused")]
    return language, RUNNERS[language](codes, tmp_path_factory.mktemp(language)), written


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_sample_gives_the_answer_of_the_explorer(
    outcomes: tuple[str, Outcomes, dict[str, Any]], name: str, place: Place, answers: dict[str, Any]
) -> None:
    language, printed, written = outcomes
    if refused := written[name].get("refused"):
        assert (
            language == "kubecustody"
            and name in ("RegisterCluster", "ApplyClusters")
            and "must not be an argument" in refused
        )
        return
    check(language, place.calls[name], answers[name], printed[name])


def test_most_calls_succeed(place: Place, answers: dict[str, Any]) -> None:
    """Else the samples would be compared by their errors alone. These need an API server or audit records, or can be
    done only once.
    """
    failed = {name for name in place.chosen if answers[name]["status"] >= 400}
    assert failed == {
        "DescribeUserClusterActivityState",
        "RegisterCluster",
        "ApplyClusters",
        "TestCluster",
        "ManageCluster",
        "RestoreCredential",
        "RestoreRemoval",
    }


def test_what_an_sdk_cannot_say_goes_by_its_raw_call(place: Place) -> None:
    call = place.calls["ListUserKubeConfigStates"]
    for language in ("python", "python-async", "typescript", "go"):
        plain = place.writer.write(language, call)
        raw = place.writer.write(language, Call(call.operation, {**call.values, "detail": True}, call.key))
        assert (plain["raw"], raw["raw"]) == (False, True)
        assert re.search("list_?user_?kube_?config_?states", plain["code"].partition("answer")[2], re.IGNORECASE)
        assert re.search(r"call_?api", raw["code"], re.IGNORECASE)


@pytest.fixture(scope="module")
def detailed(place: Place) -> Call:
    call = place.calls["ListUserKubeConfigStates"]
    return Call(call.operation, {**call.values, "detail": True}, call.key)


@pytest.mark.parametrize("language", sorted(RUNNERS))
def test_raw_call_gives_the_detail_too(place: Place, detailed: Call, language: str, tmp_path: Path) -> None:
    expected = place.writer.answer(detailed)
    assert expected["body"]["states"][0]["live_credentials"]
    printed = RUNNERS[language]([(detailed, place.writer.write(language, detailed)["code"])], tmp_path)
    check(language, detailed, expected, printed[detailed.operation])


HOSTILE = [
    "o'h\"no <b>&amp; $(id) `id` \\ %s",
    "line\nbreak\r\ttab\u202e\u2028\u0007",
    "\u00e9\u65e5\u672c\U0001f600 \\u0041",
    "*/ --> ]]>",
]


@pytest.mark.parametrize("language", sorted(RUNNERS))
def test_hostile_values_reach_the_server_as_they_are(place: Place, language: str, tmp_path: Path) -> None:
    """The answer names each role as it was asked for."""
    account = place.calls["CheckServiceRole"].key
    call = Call("CheckServiceRole", {"roles": [{"name": text, "unknown": None} for text in HOSTILE]}, account)
    expected = place.writer.answer(call)
    assert [role["name"] for role in expected["body"]["roles"]] == HOSTILE
    printed = RUNNERS[language]([(call, place.writer.write(language, call)["code"])], tmp_path)
    check(language, call, expected, printed["CheckServiceRole"])


@pytest.mark.parametrize("language", sorted(RUNNERS))
def test_hostile_values_in_path_and_query_are_refused_alike(place: Place, language: str, tmp_path: Path) -> None:
    account = place.calls["CheckServiceRole"].key
    text = HOSTILE[0] + HOSTILE[2]
    calls = [
        Call("DescribeClusterDetail", {"ClusterId": text}, account),
        Call("DescribeClustersV1", {"name": text, "cluster_id": "a b/c"}, account),
    ]
    printed = RUNNERS[language]([(call, place.writer.write(language, call)["code"]) for call in calls], tmp_path)
    for call in calls:
        check(language, call, place.writer.answer(call), printed[call.operation])


def test_every_language_says_what_it_was_tested_with_or_that_it_was_not(modules: Modules, place: Place) -> None:
    languages = modules.ask("languages")
    assert set(languages) == set(RUNNERS) | UNTESTED
    for language in languages:
        written = place.writer.write(language, place.calls["ListUserKubeConfigStates"])
        assert written["install"]
        assert bool(written["tested"]) != bool(written.get("untested")), language


def test_versions_of_the_samples_are_those_that_are_run_here(modules: Modules, place: Place) -> None:
    here = Path(__file__).parent
    packages = json.loads((here / "typescript" / "package.json").read_text())["dependencies"]
    module = re.search(r"(github.com/alibabacloud-go/cs-20151215/v5) (\S+)", (here / "go" / "go.mod").read_text())
    java = re.search(
        r"<groupId>([\w.]+)</groupId>\s*<artifactId>(cs20151215)</artifactId>\s*<version>([\d.]+)</version>",
        (here / "java" / "pom.xml").read_text(),
    )
    assert module and java
    wanted = {
        "python": f"alibabacloud-cs20151215=={version('alibabacloud-cs20151215')}",
        "typescript": f"@alicloud/cs20151215@{packages['@alicloud/cs20151215']}",
        "go": f"{module[1]}@{module[2]}",
        "java": f"<groupId>{java[1]}</groupId><artifactId>{java[2]}</artifactId><version>{java[3]}</version>",
    }
    for language, text in wanted.items():
        assert text in place.writer.write(language, place.calls["DescribeUserQuota"])["install"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ListUserKubeConfigStates", {"page_size": "ten"}),
        ("ListUserKubeConfigStates", {"detail": "maybe"}),
        ("GrantPermissions", {"uid": "1", "body": "no list"}),
        ("GrantPermissions", {"uid": "1", "body": [1]}),
        ("GrantPermissions", {"uid": "1", "body": [{"cluster": 5}]}),
        ("CleanUserPermissions", {"Uid": "1", "ClusterIds": [{}]}),
    ],
)
def test_no_sample_is_written_of_values_that_no_language_can_hold(
    modules: Modules, place: Place, name: str, values: dict[str, Any]
) -> None:
    for language in modules.ask("languages"):
        written = place.writer.write(language, Call(name, values, place.calls[name].key))
        assert written["refused"].startswith("Mend the values first") and written["code"] == ""


def test_go_samples_are_laid_out_as_gofmt_does(place: Place, tmp_path: Path) -> None:
    root = subprocess.run([GO, "env", "GOROOT"], capture_output=True, text=True)
    if root.returncode != 0:
        missing("tier sdk: scripts/go finds no Go")
    for name, call in place.calls.items():
        (tmp_path / f"{name}.go").write_text(place.writer.write("go", call)["code"])
    listed = subprocess.run([f"{root.stdout.strip()}/bin/gofmt", "-l", str(tmp_path)], capture_output=True, text=True)
    assert (listed.stdout, listed.stderr) == ("", "")
