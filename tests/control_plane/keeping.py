"""A served installation that keeps real clusters, and people who hold kubeconfigs of them.

    with keeping(folder, plane) as keeper:
        keeper.register(plane.url)
        anna = keeper.add_person("anna")
        keeper.grant(anna, "admin")
        keeper.manage()

The observer looks around at the start and after each change; what a test wants besides, it asks for with `look`.
"""

import base64
import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.proxy import Cluster, Proxy
from custody.books import ask as rows_of
from custody.books import check_counts, check_events, plain, rebuilt_holdings, stored_holdings
from installations import Installation, RunningServer, make_installation, serving
from kubecustody.catalogue.permissions import GrantedPermission
from kubecustody.catalogue.registering import ClusterReportOutput, ManageClusterOutput
from kubecustody.client import Client, Endpoint
from kubecustody.cluster.client import MARKER_NAME
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.signers import import_signer
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair

RBAC = "/apis/rbac.authorization.k8s.io/v1"
BINDINGS = f"{RBAC}/clusterrolebindings"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
ACCOUNT_LABEL = "kubecustody.io/account"
SETTINGS = {
    "cluster_networks": "127.0.0.0/8",
    "observe_every_seconds": "3600",
    "key_burst": "5000",
    "account_burst": "9000",
}
# Nothing is done to clusters but what a test asks for: two looks beside one another would tell things twice.
ONLY_WHEN_ASKED = {"observe_every_seconds": "0"}

NEWEST_STEPS = "SELECT credential_no, kind FROM removals GROUP BY credential_no HAVING removal_no = MAX(removal_no)"

Object = dict[str, Any]


@dataclass
class Keeper:
    """The installation, its server, and the cluster that a test is about; `clusters` are the ids of all, by name."""

    installation: Installation
    server: RunningServer
    client: Client
    plane: ControlPlane
    clusters: dict[str, str] = field(default_factory=dict)
    people: dict[str, NewAccessKey] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    @property
    def cluster_id(self) -> str:
        """The first cluster that was registered."""
        return next(iter(self.clusters.values()))

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self.installation.key)

    def endpoint_of(self, uid: str) -> Endpoint:
        """The same, for somebody who was added."""
        return self._endpoint(self.people[uid])

    def _endpoint(self, key: NewAccessKey) -> Endpoint:
        return Endpoint(self.server.url, key.access_key_id, key.secret)

    # --- clusters

    def register(
        self,
        url: str | None = None,
        name: str = "prod",
        *,
        by: Identity | None = None,
        signer: bool = True,
        **more: Any,
    ) -> ClusterReportOutput:
        """Register a cluster of the plane's, whose client CA then issues here."""
        report = self.client.register_cluster(self.plane.kubeconfig(by, url=url), name, **more)
        if report.cluster_id:
            self.clusters[name] = report.cluster_id
            if signer:
                self.let_issue(self.plane.client_ca, name)
        return report

    def let_issue(self, ca: PemPair, name: str = "prod") -> None:
        self.installation.change(import_signer, self.clusters[name], ca)

    def manage(self, name: str = "prod") -> ManageClusterOutput:
        """Manage a cluster by the plan that there is now."""
        plan = self.client.manage_cluster(self.clusters[name])
        return self.client.manage_cluster(self.clusters[name], plan_hash=plan.plan_hash)

    def look(self, name: str = "prod") -> dict[str, str]:
        """Look at a cluster now, and where it is managed make it so: what is not well, by what was looked at."""
        findings = self.client.test_cluster(self.clusters[name]).findings
        return {one.what: one.text for one in findings if not one.ok}

    def clusters_command(self, *words: str | Path) -> tuple[int, str, str]:
        """Exit code, output and errors of `kubecustody clusters words...`, with the account's key."""
        key, key_file = self.installation.key, self.path.parent / "key-of-commands"
        if not key_file.exists():
            key_file.write_text(
                f"ALIBABA_CLOUD_ACCESS_KEY_ID={key.access_key_id}\nALIBABA_CLOUD_ACCESS_KEY_SECRET={key.secret}\n"
            )
            key_file.chmod(0o600)
        remote = ("--endpoint", self.server.url, "--key-file", str(key_file))
        done = self.installation.command("clusters", *map(str, words), *remote, check=False)
        return done.returncode, done.stdout, done.stderr

    # --- people

    def add_person(self, name: str) -> str:
        """The uid of a new user who may get kubeconfigs."""
        uid: str = self.installation.change(add_principal, kind=PrincipalKind.USER, name=name)
        self.installation.change(set_attachment, "AliyunCSFullAccess", attached=True, user=name)
        self.people[uid] = self.installation.change(add_access_key, name)
        return uid

    def get(self, uid: str, name: str = "prod", *, minutes: int | None = None) -> Identity:
        """The person's credential in a cluster, as their kubeconfig has it."""
        with Client(self._endpoint(self.people[uid])) as client:
            answer = client.describe_cluster_user_kubeconfig(self.clusters[name], temporary_duration_minutes=minutes)
        user = yaml.safe_load(answer.config)["users"][0]["user"]
        certificate, key = (base64.b64decode(user[f"client-{one}-data"]) for one in ("certificate", "key"))
        return Identity(PemPair(certificate, key))

    def grant(self, uid: str, *roles: str, name: str = "prod", namespace: str = "", custom: bool = False) -> None:
        """Let these be all that the person is permitted."""
        kind = "namespace" if namespace else "cluster"
        wanted = [GrantedPermission(self.clusters[name], role, kind, namespace, custom) for role in roles]
        self.client.grant_permissions(uid, wanted, allow_last_admin=True)

    def clean(self, uid: str, name: str = "prod") -> None:
        self.client.clean_cluster_user_permissions(self.clusters[name], uid, force=True, allow_last_admin=True)

    def revoke(self, credential: Identity, name: str = "prod") -> str:
        """What is to be expected of one credential whose removal is asked for now."""
        return self.client.revoke_credential(self.clusters[name], credential.fingerprint, "test").prospect

    # --- what the store says

    def number_of(self, credential: Identity) -> int:
        sql = "SELECT credential_no FROM credentials WHERE fingerprint = ?"
        ((number,),) = rows_of(self.path, sql, bytes.fromhex(credential.fingerprint))
        return int(number)

    def removed_by(self, credential: Identity) -> str | None:
        """proved or attested; None for a credential that is not Removed."""
        sql = "SELECT removed_by FROM credentials WHERE credential_no = ? AND removed_at IS NOT NULL"
        rows = rows_of(self.path, sql, self.number_of(credential))
        return rows[0][0] if rows else None

    def steps_of(self, credential: Identity) -> list[tuple[str, list[Object]]]:
        """Kind and evidence of each step of a credential's removal."""
        sql = "SELECT kind, evidence FROM removals WHERE credential_no = ? ORDER BY removal_no"
        rows = rows_of(self.path, sql, self.number_of(credential))
        return [(kind, json.loads(text).get("evidence", [])) for kind, text in rows]

    def evidence(self, credential: Identity) -> dict[tuple[str, str], str]:
        """The newest outcome by kind and API server."""
        sql = "SELECT kind, api_server, outcome FROM evidence WHERE credential_no = ?"
        return {(kind, server): one for kind, server, one in rows_of(self.path, sql, self.number_of(credential))}

    def state(self, uid: str, name: str = "prod") -> Any:
        """The person's row of a cluster, in detail."""
        states = self.client.list_user_kube_config_states(uid=uid, detail=True).states
        (row,) = [one for one in states if one.cluster_id == self.clusters[name]]
        return row

    def events(self, *kinds: str) -> list[tuple[str, str, Object]]:
        """Kind, uid and details of each event of these kinds."""
        marks = ", ".join("?" * len(kinds))
        sql = f"SELECT kind, uid, details FROM events WHERE kind IN ({marks}) ORDER BY event_no"
        return [(kind, uid, json.loads(text)) for kind, uid, text in rows_of(self.path, sql, *kinds)]

    def check_books(self) -> None:
        """The books hold, and what is Removed says by what its newest step was."""
        with plain(self.path) as connection:
            account = self.installation.account_id
            check_events(connection, account)
            check_counts(connection, account)
            assert stored_holdings(connection, account) == rebuilt_holdings(connection, account)
            newest: dict[int, str] = dict(connection.execute(NEWEST_STEPS).fetchall())
            rows = connection.execute("SELECT credential_no, removed_by FROM credentials").fetchall()
            said = {number: by for number, by in rows if by is not None}
        assert said == {number: kind for number, kind in newest.items() if kind in ("attested", "proved")}

    def cluster_metric(self, port: int, name: str) -> float | None:
        """The sample of the first cluster, as the server tells it at metrics_listen; None where there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        labels = f'{{account_id="{self.installation.account_id}",cluster_id="{self.cluster_id}"}}'
        lines = [line for line in text.splitlines() if line.startswith(f"kubecustody_cluster_{name}{labels} ")]
        return float(lines[0].rpartition(" ")[2]) if lines else None

    # --- what the cluster has

    def ours(self) -> dict[str, Object]:
        """The account's bindings in the plane, by name."""
        selector = f"?labelSelector={ACCOUNT_LABEL}%3D{self.installation.account_id}"
        lists = [self.plane.ask("GET", f"{RBAC}/{kind}{selector}") for kind in ("clusterrolebindings", "rolebindings")]
        return {one["metadata"]["name"]: one for answer in lists for one in answer.document["items"]}

    def subjects(self) -> dict[str, list[str]]:
        """The names of the subjects of the account's bindings, by the binding's name."""
        return {name: [who["name"] for who in one.get("subjects", ())] for name, one in self.ours().items()}

    def forget_ours(self) -> None:
        """Leave nothing of the account in the plane, so that another may manage it."""
        self.plane.ask("DELETE", f"{KUBE_SYSTEM}/configmaps/{MARKER_NAME}")
        for one in self.ours().values():
            self.plane.ask("DELETE", path_of(one))


class Naming(Cluster):
    """The plane itself at an address that its API servers' certificate is for too, which names API servers.

    Only this one answer is made up: Kubernetes takes no EndpointSlice with a loopback address.
    """

    api_servers: tuple[str, ...] = ()

    def name(self, *urls: str) -> None:
        """Name these from now on."""
        self.api_servers = urls

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != SLICES:
            return await super()._answer(request)
        items = [
            {"ports": [{"name": "https", "port": int(port)}], "endpoints": [{"addresses": [address]}]}
            for address, _, port in (url.removeprefix("https://").partition(":") for url in self.api_servers)
        ]
        return web.json_response({"metadata": {}, "items": [{"metadata": {}, **one} for one in items]})


def add_naming(proxy: Proxy, *urls: str) -> Naming:
    """The plane at 127.0.0.1, which names these as its API servers."""
    cluster = Naming(proxy, "127.0.0.1", proxy.real_uid)
    cluster.name(*urls)
    proxy.run(cluster.listen())
    proxy.clusters.append(cluster)
    return cluster


def path_of(binding: Object) -> str:
    metadata = binding["metadata"]
    if "namespace" in metadata:
        return f"{RBAC}/namespaces/{metadata['namespace']}/rolebindings/{metadata['name']}"
    return f"{BINDINGS}/{metadata['name']}"


def role_binding(name: str, *users: str, role: str = "view", labels: Object | None = None) -> Object:
    """A ClusterRoleBinding as somebody else makes it."""
    group = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": group, "name": user} for user in users],
    }


@contextlib.contextmanager
def bound_by_others(plane: ControlPlane, binding: Object, *, by: str = "somebody-else") -> Iterator[Object]:
    """A binding of somebody else's, gone after the block. by: the field manager who writes it."""
    answer = plane.ask("POST", f"{BINDINGS}?fieldManager={by}", body=binding)
    assert answer.status == 201, answer.document
    try:
        yield answer.document
    finally:
        plane.ask("DELETE", f"{BINDINGS}/{binding['metadata']['name']}")


def name_of(credential: Identity) -> str:
    """The user name (CN) of a credential."""
    assert credential.pair is not None
    return str(load_certificates(credential.pair.certificate)[0].common_name)


def statuses(plane: ControlPlane, *people: Identity) -> list[int]:
    """What every API server answers each of these people who asks for namespace kube-system."""
    return [plane.ask("GET", KUBE_SYSTEM, one, url=url).status for one in people for url in plane.urls]


@contextlib.contextmanager
def keeping(folder: Path, plane: ControlPlane, **settings: str) -> Iterator[Keeper]:
    """A keeper of clusters; its books are checked in the end, and nothing of it is left in the plane."""
    folder.mkdir(exist_ok=True)
    installation = make_installation(folder)
    with serving(installation, **{**SETTINGS, **settings}) as server:
        key = installation.key
        with Client(Endpoint(server.url, key.access_key_id, key.secret)) as client:
            keeper = Keeper(installation, server, client, plane)
            try:
                yield keeper
            finally:
                keeper.forget_ours()
    keeper.check_books()
