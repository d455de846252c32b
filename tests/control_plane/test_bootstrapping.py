"""An account for the server, made by an administrator: what is left in a cluster, what it may do, and what not."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import KUBE_SYSTEM, ONLY_WHEN_ASKED, RBAC, Keeper, keeping, statuses
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from kubecustody.core.profiles import OwnSigner, Profile, manifests_of

pytestmark = pytest.mark.control_plane

ACCOUNTS = "/api/v1/namespaces/kubecustody/serviceaccounts"
TOLD_ONCE = "This is nearly cluster-admin"


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper of no cluster yet; what is bootstrapped is gone afterwards."""
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper, bootstrapped_no_more(control_plane):
        yield keeper


@contextlib.contextmanager
def bootstrapped_no_more(plane: ControlPlane) -> Iterator[None]:
    try:
        yield
    finally:
        for manifest in manifests_of(Profile.FULL):
            if not manifest.document["metadata"]["name"].startswith("cs:"):
                plane.ask("DELETE", path_of(manifest.document))
        eventually(lambda: plane.ask("GET", "/api/v1/namespaces/kubecustody").status == 404)


def path_of(document: Any) -> str:
    version, metadata = document["apiVersion"], document["metadata"]
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{within}/{document['kind'].lower()}s/{metadata['name']}"


@pytest.fixture
def admin_file(control_plane: ControlPlane, tmp_path: Path) -> Path:
    """An administrator's kubeconfig, who is said by a program; the certificates lie in files beside it."""
    assert control_plane.admin.pair is not None
    pair = control_plane.admin.pair
    folder = tmp_path / "admin"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(control_plane.server_ca)
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": pair.certificate.decode(),
            "clientKeyData": pair.private_key.decode(),
        },
    }
    (folder / "credential.json").write_text(json.dumps(credential))
    plugin = folder / "sign-in"
    plugin.write_text('#!/bin/sh\nprintf %s "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/info.json"\ncat "$1"\n')
    plugin.chmod(0o700)
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./sign-in",
        "args": [str(folder / "credential.json")],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    document = {
        "clusters": [{"name": "prod", "cluster": {"server": control_plane.url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "admin", "user": {"exec": program}}],
        "contexts": [{"name": "admin@prod", "context": {"cluster": "prod", "user": "admin"}}],
    }
    file = folder / "config"
    file.write_text(yaml.safe_dump(document))
    return file


def bootstrap(keeper: Keeper, admin_file: Path, *words: str) -> str:
    code, out, err = keeper.clusters_command("bootstrap", "--kubeconfig", admin_file, "--context", "admin@prod", *words)
    assert code == 0, out + err
    ids = rows_of(keeper.path, "SELECT name, cluster_id FROM clusters")
    keeper.clusters.update(ids)
    return out + err


def account(plane: ControlPlane) -> Identity:
    """The server's own account, by a token of its own."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return Identity(token=plane.ask("POST", f"{ACCOUNTS}/kubecustody/token", body=request).document["status"]["token"])


CERTIFICATES, ROLES = "certificates.k8s.io", "rbac.authorization.k8s.io"


class Asked(NamedTuple):
    verb: str
    resource: str
    group: str = ""
    name: str = ""
    namespace: str = ""
    subresource: str = ""


def may(plane: ControlPlane, who: Identity, asked: Asked) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked._asdict()},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(plane.ask("POST", path, who, body=review).document["status"]["allowed"])


def test_by_the_account_that_bootstrap_makes_people_come_and_go(own: Keeper, admin_file: Path) -> None:
    """The whole life: nothing but the rights of the profile is had, and none is missing."""
    plane = own.plane
    told = bootstrap(own, admin_file)
    assert TOLD_ONCE in told and "ok  rights" in told
    info = json.loads((admin_file.parent / "info.json").read_text())
    assert info["kind"] == "ExecCredential" and info["spec"]["cluster"]["server"] == plane.url
    own.manage()
    uid = own.add_person("anna")
    credential = own.get(uid)
    own.grant(uid, "admin")
    assert own.look() == {}
    assert statuses(plane, credential) == [200, 200]
    short = own.get(uid, minutes=60)
    own.look()
    own.revoke(short)
    assert own.look() == {}
    assert (own.removed_by(short), own.removed_by(credential)) == ("proved", None)
    own.clean(uid)
    assert own.look() == {}
    assert own.removed_by(credential) == "proved"
    assert statuses(plane, credential, short) == [403] * 4


def test_nothing_of_the_administrators_is_kept(own: Keeper, admin_file: Path) -> None:
    bootstrap(own, admin_file)
    assert own.plane.admin.pair is not None
    key = own.plane.admin.pair.private_key.splitlines()[1]
    files = [*own.path.parent.iterdir(), own.server.log]
    assert not any(key in file.read_bytes() for file in files if file.is_file())
    ((kind, expires_at, recorded_at),) = rows_of(own.path, "SELECT kind, expires_at, recorded_at FROM cluster_accesses")
    assert kind == "token" and expires_at is not None
    assert 29 * 86_400 < expires_at - recorded_at <= 30 * 86_400


NEVER = (
    Asked("escalate", "clusterroles", ROLES),
    Asked("escalate", "clusterroles", ROLES, "cs:admin"),
    Asked("impersonate", "users"),
    Asked("impersonate", "groups", name="system:masters"),
    Asked("bind", "clusterroles", ROLES, "cluster-admin"),
    Asked("bind", "clusterroles", ROLES),
    Asked("create", "clusterroles", ROLES),
    Asked("patch", "clusterroles", ROLES, "cs:admin"),
    Asked("get", "secrets", namespace="kube-system"),
    Asked("create", "serviceaccounts", name="default", namespace="kubecustody", subresource="token"),
    Asked("create", "serviceaccounts", name="kubecustody", namespace="default", subresource="token"),
    Asked("create", "configmaps", namespace="default"),
    Asked("delete", "configmaps", name="extension-apiserver-authentication", namespace="kube-system"),
    Asked("approve", "signers", CERTIFICATES, "kubernetes.io/kubelet-serving"),
)
SIGN = Asked("approve", "signers", CERTIFICATES, "kubernetes.io/kube-apiserver-client")
ONLY_IN = {
    Asked("list", "clusterrolebindings", ROLES): [*Profile],
    Asked("create", "serviceaccounts", name="kubecustody", namespace="kubecustody", subresource="token"): [*Profile],
    Asked("patch", "clusterrolebindings", ROLES): [Profile.REMOVE, Profile.FULL],
    Asked("bind", "clusterroles", ROLES, "cs:admin"): [Profile.REMOVE, Profile.FULL],
    Asked("bind", "clusterroles", ROLES, "view"): [Profile.REMOVE, Profile.FULL],
    Asked("create", "clusterrolebindings", ROLES): [Profile.FULL],
    SIGN: [Profile.FULL],
}


def test_each_profile_gives_its_rights_and_no_others(own: Keeper, admin_file: Path) -> None:
    plane = own.plane
    for profile in (Profile.FULL, Profile.REMOVE, Profile.OBSERVE):
        bootstrap(own, admin_file, "--profile", profile, "--bind-role", "view")
        who = account(plane)
        wanted = {asked: profile in profiles for asked, profiles in ONLY_IN.items()}
        eventually(lambda who=who, wanted=wanted: {asked: may(plane, who, asked) for asked in wanted} == wanted)  # type: ignore[misc]
        assert [asked for asked in NEVER if may(plane, who, asked)] == [], profile
    assert rows_of(own.path, "SELECT COUNT(*) FROM clusters") == [(1,)], "the same cluster, whose access is replaced"
    assert len(own.events("cluster_access_recorded")) == 3


def test_only_the_signer_csr_may_have_certificates_signed(own: Keeper, admin_file: Path) -> None:
    bootstrap(own, admin_file, "--signer", "ca")
    who = account(own.plane)
    assert not may(own.plane, who, SIGN)
    assert not may(own.plane, who, Asked("create", "certificatesigningrequests", CERTIFICATES))


def test_what_is_printed_is_what_is_made(own: Keeper, admin_file: Path, tmp_path: Path) -> None:
    code, out, err = own.clusters_command("bootstrap", "--print", "--profile", "full")
    assert code == 0 and TOLD_ONCE in err
    file = tmp_path / "printed.yaml"
    file.write_text(out)
    by_hand = list(yaml.safe_load_all(out))
    assert by_hand == [one.document for one in manifests_of(Profile.FULL, OwnSigner.CSR)]
    rules = [line for line in out.splitlines() if line.startswith("- {")]
    commented = [before for before, line in zip(out.splitlines(), out.splitlines()[1:], strict=False) if line in rules]
    assert sum(line.startswith("# ") for line in commented) >= 15
    bootstrap(own, admin_file)
    assert "serverside-applied" in own.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    roles = [one for one in by_hand if one["kind"].endswith("Role")]
    assert [own.plane.ask("GET", path_of(one)).document["rules"] for one in roles] == [one["rules"] for one in roles]


def test_a_dry_run_makes_nothing(own: Keeper, admin_file: Path) -> None:
    file = str(admin_file)
    code, out, _ = own.clusters_command("bootstrap", "--kubeconfig", file, "--context", "admin@prod", "--dry-run")
    assert code == 0 and "Namespace kubecustody would be made." in out
    assert "ClusterRole cs:admin would be made as it is meant." in out
    assert own.plane.ask("GET", "/api/v1/namespaces/kubecustody").status == 404
    assert rows_of(own.path, "SELECT COUNT(*) FROM clusters") == [(0,)]


def test_who_is_no_administrator_is_told_so(own: Keeper, control_plane: ControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "person"
    file.write_text(control_plane.kubeconfig(control_plane.issue("2111-1")))
    code, out, err = own.clusters_command("bootstrap", "--kubeconfig", str(file))
    assert code == 2 and "403" in err and out == ""
    assert rows_of(own.path, "SELECT COUNT(*) FROM clusters") == [(0,)]


# --- the predefined roles


@contextlib.contextmanager
def role_as(plane: ControlPlane, name: str, change: dict[str, Any] | None) -> Iterator[None]:
    """A predefined role that is otherwise, or with None is not there, within the block."""
    path = f"{RBAC}/clusterroles/{name}"
    before = plane.ask("GET", path).document
    again = {key: before[key] for key in ("apiVersion", "kind", "rules")}
    again["metadata"] = {"name": name, "labels": before["metadata"]["labels"]}
    plane.ask("DELETE", path)
    if change is not None:
        assert plane.ask("POST", f"{RBAC}/clusterroles", body={**again, **change}).status == 201
    try:
        yield
    finally:
        plane.ask("DELETE", path)
        assert plane.ask("POST", f"{RBAC}/clusterroles", body=again).status == 201


def test_a_predefined_role_that_is_otherwise_is_told_and_bootstrap_mends_it(own: Keeper, admin_file: Path) -> None:
    plane = own.plane
    bootstrap(own, admin_file)
    own.manage()
    uid = own.add_person("anna")
    own.get(uid)
    own.grant(uid, "ops")
    mends = "`kubecustody clusters bootstrap`"
    with role_as(plane, "cs:ops", None):
        told = own.look()["roles"]
        assert "has no ClusterRole cs:ops" in told and mends in told
        assert len(own.ours()) == 1, "nothing else waits for it"
        assert mends in own.client.manage_cluster(own.cluster_id).warnings[0]
    assert own.look() == {}
    with role_as(plane, "cs:ops", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}):
        assert "is not as ops is meant" in own.look()["roles"]
        bootstrap(own, admin_file)
        assert own.look() == {}


def test_a_predefined_role_of_somebody_elses_is_left_as_it_is(own: Keeper, admin_file: Path) -> None:
    """As on the provider's own clusters, which have roles of these names."""
    path = f"{RBAC}/clusterroles/cs:ops"
    foreign = {"metadata": {"name": "cs:ops"}, "rules": [{"nonResourceURLs": ["/version"], "verbs": ["get"]}]}
    with role_as(own.plane, "cs:ops", foreign):
        before = own.plane.ask("GET", path).document
        assert "ClusterRole cs:ops is there and somebody else's" in bootstrap(own, admin_file)
        assert own.plane.ask("GET", path).document == before


def test_the_server_writes_no_role(own: Keeper, admin_file: Path) -> None:
    plane = own.plane
    bootstrap(own, admin_file)
    own.manage()
    uid = own.add_person("anna")
    own.get(uid)
    own.grant(uid, "admin", "ops")
    before = plane.ask("GET", f"{RBAC}/clusterroles").document["metadata"]["resourceVersion"]
    roles = {one["metadata"]["name"]: one for one in plane.ask("GET", f"{RBAC}/clusterroles").document["items"]}
    assert own.look() == {} and before
    after = {one["metadata"]["name"]: one for one in plane.ask("GET", f"{RBAC}/clusterroles").document["items"]}
    assert after == roles
    assert plane.ask("GET", KUBE_SYSTEM).status == 200
