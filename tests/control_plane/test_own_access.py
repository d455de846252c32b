"""This server's own access to a cluster: when it ends is told, and it is renewed before, if it may be."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from cli.commands import run
from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import ONLY_WHEN_ASKED, RBAC, Keeper, Object, bound_by_others, keeping, role_binding
from control_plane.proxy import Fault, Proxy
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from kubecustody.cli import own_kubeconfigs
from kubecustody.core.profiles import OwnSigner, Profile, rights_of
from kubecustody.core.times import format_time

pytestmark = pytest.mark.control_plane

NAME = "own-access"
PODS = "/api/v1/namespaces/default/pods"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
ENDS = "SELECT kind, expires_at, sealed FROM cluster_accesses"
RENEW = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [NAME], "verbs": ["create"]}


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper of no cluster yet."""
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        yield keeper


@pytest.fixture
def observer(control_plane: ControlPlane) -> Iterator[Object]:
    """A ServiceAccount that may read what observing needs; its ClusterRole, which a test may change."""
    rules = [
        one.rule() for one in rights_of(Profile.FULL, OwnSigner.CSR) if one.resources != ("serviceaccounts/token",)
    ]
    role = {"metadata": {"name": NAME}, "rules": rules}
    assert control_plane.ask("POST", f"{RBAC}/clusterroles", body=role).status == 201
    assert control_plane.ask("POST", ACCOUNTS, body={"metadata": {"name": NAME}}).status == 201
    try:
        with bound_by_others(control_plane, role_binding(NAME, f"system:serviceaccount:default:{NAME}", role=NAME)):
            yield role
    finally:
        control_plane.ask("DELETE", f"{ACCOUNTS}/{NAME}")
        control_plane.ask("DELETE", f"{RBAC}/clusterroles/{NAME}")


@contextlib.contextmanager
def token_of_pod(plane: ControlPlane) -> Iterator[Identity]:
    """A token that ends with its Pod, as one that is mounted."""
    pod = {
        "metadata": {"name": NAME},
        "spec": {"serviceAccountName": NAME, "containers": [{"name": "it", "image": "nothing.invalid/it"}]},
    }
    made = eventually(lambda: answer if (answer := plane.ask("POST", PODS, body=pod)).status == 201 else None)
    try:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": NAME, "uid": made.document["metadata"]["uid"]}
        yield token(plane, boundObjectRef=bound)
    finally:
        plane.ask("DELETE", f"{PODS}/{NAME}?gracePeriodSeconds=0")


def token(plane: ControlPlane, **spec: object) -> Identity:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    identity = Identity(token=plane.ask("POST", f"{ACCOUNTS}/{NAME}/token", body=request).document["status"]["token"])
    eventually(lambda: plane.ask("GET", f"{RBAC}/clusterrolebindings", identity).status == 200)
    return identity


def allow_renewing(plane: ControlPlane, role: Object) -> None:
    body = {**role, "rules": [*role["rules"], RENEW]}
    assert plane.ask("PUT", f"{RBAC}/clusterroles/{NAME}", body=body).status == 200


def findings(keeper: Keeper, name: str = "prod") -> dict[str, tuple[bool, str]]:
    """The last finding of each kind of a test of the cluster."""
    return {one.what: (one.ok, one.text) for one in keeper.client.test_cluster(keeper.clusters[name]).findings}


def test_the_token_of_a_pod_is_renewed_at_once_and_outlives_the_pod(own: Keeper, observer: Object) -> None:
    plane = own.plane
    with token_of_pod(plane) as identity:
        report = own.register(by=identity, signer=False)
        (told,) = [one.text for one in report.findings if one.what == "access"]
        assert "ends with its Pod" in told and "cannot be renewed" in told
        ((kind, before, sealed),) = rows_of(own.path, ENDS)
        assert kind == "token" and format_time(before) in told
        refused = own.look()["access"]
        assert "could not be renewed" in refused and "403" in refused and "clusters add --replace" in refused
        assert rows_of(own.path, ENDS) == [(kind, before, sealed)], "the one that there is stays"
        assert "403" in own.look()["access"]
        ((_, _, details),) = own.events("own_access_not_renewed")
        assert "403" in details["fault"] and details["expires_at"] == before
        (listed,) = own.client.describe_clusters_v1(detail=True).clusters
        assert listed.own_access_fault == details["fault"]
        assert "(not renewed)" in own.clusters_command("list")[1]
        allow_renewing(plane, observer)
        eventually(lambda: own.look() == {})
        ((kind, after, sealed_after),) = rows_of(own.path, ENDS)
    assert kind == "token" and sealed_after != sealed and 29 * 86_400 < after - before <= 31 * 86_400
    eventually(lambda: plane.ask("GET", f"{RBAC}/clusterrolebindings", identity).status == 401)
    ok, told = findings(own)["access"]
    assert ok and told == f"This server's access ends at {format_time(after)}. It is renewed before, by itself."
    (listed,) = own.client.describe_clusters_v1(detail=True).clusters
    assert listed.own_access_fault == ""
    ((_, _, details),) = own.events("own_access_renewed")
    assert details == {"kind": "token", "expires_at": after}
    assert identity.token is not None and identity.token not in own.server.log.read_text()


def test_a_token_whose_half_is_not_over_is_left_alone(own: Keeper, observer: Object) -> None:
    allow_renewing(own.plane, observer)
    own.register(by=token(own.plane), signer=False)
    before = rows_of(own.path, ENDS)
    assert own.look() == {}
    assert rows_of(own.path, ENDS) == before and own.events("own_access_renewed") == []


def test_a_new_access_is_tried_before_it_takes_the_old_ones_place(own: Keeper, proxy: Proxy, observer: Object) -> None:
    """What answers the new one is another cluster: the old one stays."""
    plane, cluster = own.plane, proxy.add_cluster()
    allow_renewing(plane, observer)
    with token_of_pod(plane) as identity:
        own.register(cluster.url, by=identity, signer=False)
        before = rows_of(own.path, ENDS)
        asked = {"token": 0}

        def after_the_new_one(method: str, path: str) -> bool:
            asked["token"] += path.endswith("/token")
            return bool(asked["token"]) and path.endswith("/namespaces/kube-system")

        cluster.fault = Fault.status(401, strikes=after_the_new_one)
        told = own.look()["access"]
        assert "could not be renewed" in told and asked["token"] == 1
        assert rows_of(own.path, ENDS) == before
        cluster.fault = None
        assert own.look() == {}
        assert rows_of(own.path, ENDS) != before


def requests_of_ours(plane: ControlPlane) -> set[str]:
    requests = plane.ask("GET", "/apis/certificates.k8s.io/v1/certificatesigningrequests").document["items"]
    return {one["metadata"]["name"] for one in requests if one["metadata"]["name"].startswith("kubecustody-")}


def test_a_certificate_is_renewed_by_the_clusters_signer_where_it_is_managed(own: Keeper, observer: Object) -> None:
    plane, name = own.plane, "kubecustody-by-certificate"
    there = requests_of_ours(plane)
    old = plane.issue(name, groups=[], begins=-3600, ends=900)
    with bound_by_others(plane, role_binding(name, name, role=NAME)):
        eventually(lambda: plane.ask("GET", f"{RBAC}/clusterrolebindings", old).status == 200)
        own.register(by=old, signer=False)
        ((kind, before, _),) = rows_of(own.path, ENDS)
        assert kind == "certificate"
        told = own.look()["access"]
        assert "only observed" in told and format_time(before) in told
        own.manage()
        ((kind, after, _),) = rows_of(own.path, ENDS)
        assert kind == "certificate" and 3590 < after - before < 4600
        ok, told = findings(own)["access"]
        assert ok and "It is renewed before, by itself." in told
        ok, told = findings(own)["signer"]
        assert ok and told.startswith("The cluster signed a trial")
    assert requests_of_ours(plane) <= there  # what other tests left may go meanwhile


def test_one_of_masters_cannot_be_renewed_and_is_told_in_time(own: Keeper) -> None:
    plane = own.plane
    masters = plane.issue("ops", groups=["system:masters"], begins=-3600, ends=900)
    own.register(by=masters, signer=False)
    own.manage()
    told = own.look()["access"]
    assert "no cluster signs" in told and "clusters bootstrap" in told
    assert "access: " in own.server.log.read_text() or own.look()["access"] == told


def test_an_access_that_was_lost_is_replaced(own: Keeper, control_plane: ControlPlane, tmp_path: Path) -> None:
    own.register(signer=False)
    file = tmp_path / "another"
    file.write_text(control_plane.kubeconfig(url=control_plane.urls[1]))
    code, _, err = own.clusters_command("add", file)
    assert code == 1 and "registered already" in err
    code, out, err = own.clusters_command("add", file, "--replace", "--name", "whatever")
    assert code == 0, out + err
    assert rows_of(own.path, "SELECT name FROM clusters") == [("prod",)]
    assert len(own.events("cluster_access_recorded")) == 2


def test_a_cluster_that_was_only_recorded_is_given_an_access(own: Keeper) -> None:
    own.installation.command("admin", "clusters", "add", "prod")
    with pytest.raises(Exception, match="prod"):
        own.register(signer=False)
    assert own.register(signer=False, replace_access=True).cluster_id
    assert rows_of(own.path, "SELECT COUNT(*), MIN(name) FROM clusters") == [(1, "prod")]


def test_a_pods_own_cluster_is_registered_by_what_is_mounted(own: Keeper, observer: Object, tmp_path: Path) -> None:
    plane, mounted = own.plane, tmp_path / "mounted"
    mounted.mkdir()
    identity = token(plane)
    (mounted / "token").write_text(identity.token or "")
    (mounted / "ca.crt").write_bytes(plane.server_ca)
    host, _, port = plane.url.removeprefix("https://").partition(":")
    key = own.installation.key
    environment = {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBECUSTODY_ENDPOINT": own.server.url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
    }
    words = ("clusters", "add", "--in-cluster", "--name", "here")
    done = run(own.installation, *words, env=environment)
    assert done.code == 2 and "This is no Pod" in done.err
    with mock.patch.object(own_kubeconfigs, "MOUNTED", mounted):
        assert run(own.installation, *words[:3], env=environment).code == 2
        done = run(own.installation, *words, env=environment)
    assert done.code == 0, done.err + done.out
    assert identity.token not in done.out + done.err
    assert rows_of(own.path, "SELECT public_endpoint FROM cluster_details") == [(plane.url,)]
    assert json.dumps(identity.token) not in own.server.log.read_text()
