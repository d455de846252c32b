"""What is asked of clusters, asked of a real one, and of many that fail."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from control_plane.control_plane import ControlPlane
from control_plane.identities import NOBODY, Identity
from control_plane.proxy import Fault, Proxy
from control_plane.test_credentials_on_a_cluster import CREDENTIAL_ID, deny, make_request
from control_plane.waiting import eventually
from kubecustody.cluster import asking
from kubecustody.cluster.access import Access, access_from_kubeconfig
from kubecustody.cluster.client import AnswerKind, Cluster, Connections, Probe, ReviewReason, RulesReview
from kubecustody.cluster.errors import (
    AlreadyThere,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    NotKubernetes,
    ServerFailed,
    ServerNotTrusted,
    TooBig,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from kubecustody.core.bindings import CLUSTER_ROLE_BINDING, ROLE_BINDING, SeenBinding, Subject
from kubecustody.core.rules import Part, parts_beyond_defaults
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import make_ca, make_client_certificate

pytestmark = pytest.mark.control_plane

T = TypeVar("T")
LABELS = {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/uid": "2111"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
BINDINGS = f"{RBAC}/clusterrolebindings"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MARKER = "/api/v1/namespaces/kube-system/configmaps/kubecustody-owner"


def access_of(plane: ControlPlane, who: Identity | None = None, url: str | None = None) -> Access:
    identity = who or plane.admin
    pair = identity.pair
    return Access(
        url or plane.url,
        plane.server_ca,
        token=identity.token,
        certificate=pair.certificate if pair else None,
        private_key=pair.private_key if pair else None,
    )


def ask(
    plane: ControlPlane,
    question: Callable[[Cluster], Awaitable[T]],
    *,
    by: Identity | None = None,
    url: str | None = None,
    **limits: float,
) -> T:
    """What a cluster answers the admin, or someone."""

    async def whole() -> T:
        async with Connections(allow_loopback=True, **limits) as connections:  # type: ignore[arg-type]
            return await question(Cluster(connections, access_of(plane, by, url)))

    return asyncio.run(whole())


def bind(name: str, *users: str, role: str = "view") -> Callable[[Cluster], Awaitable[SeenBinding]]:
    return lambda cluster: cluster.create_binding(
        CLUSTER_ROLE_BINDING,
        "",
        name,
        role_kind="ClusterRole",
        role_name=role,
        subjects=[Subject("User", user) for user in users],
        labels=LABELS,
    )


def unbind(seen: SeenBinding) -> Callable[[Cluster], Awaitable[None]]:
    return lambda cluster: cluster.delete_binding(
        seen.kind, seen.namespace, seen.name, uid=seen.uid, resource_version=seen.resource_version
    )


@pytest.fixture
def nobodys(control_plane: ControlPlane) -> Iterator[SeenBinding]:
    """A binding without subjects, gone after the test."""
    yield ask(control_plane, bind("nobodys"))
    control_plane.ask("DELETE", f"{BINDINGS}/nobodys")


def probe(plane: ControlPlane, person: Identity, url: str | None = None) -> Probe:
    assert person.pair is not None
    certificate, key = person.pair
    return ask(plane, lambda cluster: cluster.probe_as(certificate, key), url=url)


# --- who it is ----------------------------------------------------------------------------------------------


def test_a_cluster_says_who_it_is_and_whom_it_takes(control_plane: ControlPlane) -> None:
    version = control_plane.ask("GET", "/version").document["gitVersion"]
    assert f"v{ask(control_plane, Cluster.get_version)}" == version
    assert ask(control_plane, Cluster.get_kube_system_uid) == control_plane.uid()
    bundle = ask(control_plane, Cluster.get_client_ca)
    assert bundle is not None
    trusted = [one.fingerprint for one in load_certificates(bundle)]
    assert load_certificates(control_plane.client_ca.certificate)[0].fingerprint in trusted


def test_a_cluster_that_does_not_say_whom_it_takes(control_plane: ControlPlane, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    cluster.fault = Fault.status(404)
    assert ask(control_plane, Cluster.get_client_ca, url=cluster.url) is None


def test_a_kubeconfig_is_a_way_in(control_plane: ControlPlane) -> None:
    access = access_from_kubeconfig(control_plane.kubeconfig(control_plane.issue("2111-1")).encode())

    async def whole() -> tuple[str, tuple[str, ...]]:
        async with Connections(allow_loopback=True) as connections:
            return await Cluster(connections, access).who_am_i()

    assert asyncio.run(whole()) == ("2111-1", ("system:users", "system:authenticated"))


def test_a_token_is_a_way_in(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "serviceaccount", "kubecustody")
    token = control_plane.kubectl("create", "token", "kubecustody").strip()
    who = ask(control_plane, Cluster.who_am_i, by=Identity(token=token))
    assert who.user == "system:serviceaccount:default:kubecustody"
    with pytest.raises(Unauthorized):
        ask(control_plane, Cluster.who_am_i, by=Identity(token="wrong"))


def test_the_api_servers_are_told_as_the_cluster_tells_them(control_plane: ControlPlane) -> None:
    assert ask(control_plane, Cluster.list_api_servers) == []
    slices = {"IPv4": ["192.0.2.2", "192.0.2.1"], "IPv6": ["2001:db8::1"]}
    for kind, addresses in slices.items():
        body = {
            "metadata": {"name": f"kubernetes-{kind.lower()}", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": kind,
            "endpoints": [{"addresses": [address]} for address in addresses],
            "ports": [{"name": "https", "port": 6443}, {"name": "metrics", "port": 9000}],
        }
        assert control_plane.ask("POST", SLICES, body=body).status == 201
    try:
        found = ask(control_plane, Cluster.list_api_servers)
        assert found == ["192.0.2.1:6443", "192.0.2.2:6443", "[2001:db8::1]:6443"]
    finally:
        for kind in slices:
            control_plane.ask("DELETE", f"{SLICES}/kubernetes-{kind.lower()}")


def test_each_api_server_is_asked_by_its_address_and_vouched_for_as_the_cluster(control_plane: ControlPlane) -> None:
    async def whole() -> list[str]:
        async with Connections(allow_loopback=True) as connections:
            port = control_plane.url.rpartition(":")[2]
            cluster = Cluster(connections, access_of(control_plane, url=f"https://localhost:{port}"))
            addresses = [url.removeprefix("https://") for url in control_plane.urls]
            named = Access("https://elsewhere.example:1", control_plane.server_ca)
            with pytest.raises(ServerNotTrusted):
                await Cluster(connections, named).at(addresses[0]).get_version()
            return [await cluster.at(address).get_kube_system_uid() for address in addresses]

    assert asyncio.run(whole()) == [control_plane.uid()] * 2


def test_namespaces_are_listed(control_plane: ControlPlane) -> None:
    assert {"default", "kube-system"} <= set(ask(control_plane, Cluster.list_namespaces))


def test_the_marker_is_written_once_and_replaced_only_as_it_was_seen(control_plane: ControlPlane) -> None:
    async def whole(cluster: Cluster) -> None:
        assert await cluster.get_marker() is None
        first = await cluster.put_marker({"account": "1"}, None)
        assert await cluster.get_marker() == first
        with pytest.raises(AlreadyThere):
            await cluster.put_marker({"account": "2"}, None)
        second = await cluster.put_marker({"account": "1", "epoch": "2"}, first.resource_version)
        with pytest.raises(Conflict):
            await cluster.put_marker({"account": "3"}, first.resource_version)
        assert await cluster.get_marker() == second
        assert second.data == {"account": "1", "epoch": "2"}

    try:
        ask(control_plane, whole)
    finally:
        control_plane.ask("DELETE", MARKER)


# --- who may do what ----------------------------------------------------------------------------------------


def test_what_this_server_may_do_is_asked_beforehand(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2111-2")
    bound = ask(control_plane, bind("can-i", "2111-2"))
    try:
        eventually(lambda: ask(control_plane, lambda it: it.can_i("list", "", "pods"), by=person))
        assert ask(control_plane, lambda it: it.can_i("get", "", "pods", subresource="log", name="a"), by=person)
        assert not ask(control_plane, lambda it: it.can_i("create", "", "pods", namespace="default"), by=person)
        assert ask(control_plane, lambda it: it.can_i("bind", "rbac.authorization.k8s.io", "clusterroles"))
    finally:
        ask(control_plane, unbind(bound))


def test_what_somebody_may_do_is_reviewed_without_their_key(control_plane: ControlPlane) -> None:
    bound = ask(control_plane, bind("review", "2111-3"))
    extra = {CREDENTIAL_ID: ["X509SHA256=00"]}

    def reviewed(user: str, verb: str, **of: str) -> tuple[bool, bool, str]:
        return ask(control_plane, lambda it: it.review(user, ["system:authenticated"], extra, verb, **of))

    try:
        eventually(lambda: reviewed("2111-3", "get", resource="pods")[0])
        assert reviewed("2111-3", "get", resource="pods") == (True, False, ReviewReason.RBAC)
        assert reviewed("2111-3", "get", resource="pods", namespace="default", name="a", subresource="log")[0]
        assert reviewed("2111-3", "delete", resource="pods", namespace="default") == (False, False, ReviewReason.NONE)
        assert reviewed("2111-4", "get", resource="pods") == (False, False, ReviewReason.NONE)
        assert reviewed("2111-4", "get", non_resource_path="/version") == (True, False, ReviewReason.RBAC)
        assert not reviewed("2111-4", "get", non_resource_path="/metrics")[0]
    finally:
        ask(control_plane, unbind(bound))


def test_a_probe_tells_what_a_certificate_is_answered(control_plane: ControlPlane) -> None:
    person = control_plane.issue('Anna "the\\first"')
    refused = probe(control_plane, person)
    assert refused == Probe(403, 'Anna "the\\first"', AnswerKind.STATUS, by_cluster_ca=True)
    bound = ask(control_plane, bind("probed", 'Anna "the\\first"'))
    try:
        eventually(lambda: probe(control_plane, person).status == 200)
        assert probe(control_plane, person) == Probe(200, None, AnswerKind.OBJECT, by_cluster_ca=True)
    finally:
        ask(control_plane, unbind(bound))
    now = int(time.time())
    foreign = make_client_certificate(make_ca("client CA of the tests", now, 1), "2111", (), now, now + 60)
    for nobody in (control_plane.issue("2111-1", begins=-120, ends=-60), Identity(foreign)):
        assert probe(control_plane, nobody) == Probe(401, None, AnswerKind.STATUS, by_cluster_ca=True)


def test_a_probe_shows_nothing_of_this_server(control_plane: ControlPlane, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    person = control_plane.issue("2111-5").pair
    assert person is not None
    token = control_plane.kubectl("create", "token", "default").strip()
    both = Identity(control_plane.admin.pair, token)

    async def whole(it: Cluster) -> Probe:
        await it.get_version()
        return await it.probe_as(person.certificate, person.private_key)

    assert ask(control_plane, whole, by=both, url=cluster.url).names_user == "2111-5"
    assert [seen.user for seen in cluster.requests] == ["admin", "2111-5"]


def test_a_probe_tells_an_answer_from_what_stands_in_the_way(control_plane: ControlPlane, proxy: Proxy) -> None:
    cluster, person = proxy.add_cluster(), control_plane.issue("2111-6")
    cluster.fault = Fault.html()
    assert probe(control_plane, person, cluster.url) == Probe(200, None, AnswerKind.OTHER, by_cluster_ca=True)
    cluster.fault = Fault.status(403)
    assert probe(control_plane, person, cluster.url) == Probe(403, None, AnswerKind.STATUS, by_cluster_ca=True)
    cluster.fault = Fault.wrong_ca()
    with pytest.raises(ServerNotTrusted):
        probe(control_plane, person, cluster.url)


def test_a_probe_knows_an_authorizer_that_fails(control_plane: ControlPlane, tmp_path: Path) -> None:
    person, before = control_plane.issue("2111-7"), control_plane.authorization
    nowhere = tmp_path / "nowhere.kubeconfig"
    nowhere.write_text(control_plane.kubeconfig(NOBODY, url="https://127.0.0.1:1"))
    configuration = yaml.safe_load(before)
    configuration["authorizers"].insert(0, deny(person.fingerprint, nowhere))
    try:
        control_plane.authorize(yaml.safe_dump(configuration))
        denied = Probe(500, None, AnswerKind.AUTHORIZER_FAILED, by_cluster_ca=True)
        eventually(lambda: probe(control_plane, person) == denied)
    finally:
        control_plane.authorize(before)
        eventually(lambda: probe(control_plane, person).status == 403)


def test_a_probe_of_a_path_tells_whether_it_is_allowed(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2111-8").pair
    assert person is not None
    paths = {
        "/api/v1/namespaces/default/configmaps?limit=1": (200, AnswerKind.OBJECT),
        "/api/v1/namespaces/default/configmaps/none-of-this-name": (404, AnswerKind.STATUS),
        "/api/v1/namespaces/default/secrets?limit=1": (403, AnswerKind.STATUS),
        "/apis/apps/v1/namespaces/default/deployments?limit=1": (200, AnswerKind.OBJECT),
    }
    bound = ask(control_plane, bind("reader", "2111-8"))
    try:
        eventually(lambda: probe(control_plane, Identity(person)).status == 200)
        for path, expected in paths.items():
            seen = ask(control_plane, lambda it, path=path: it.probe_as(*person, path))  # type: ignore[misc]
            assert (seen.status, seen.kind) == expected, path
    finally:
        ask(control_plane, unbind(bound))


def test_roles_are_read_as_they_are(control_plane: ControlPlane) -> None:
    """An aggregated one with all that it adds up to."""
    rules = ask(control_plane, lambda it: it.get_role_rules("ClusterRole", "", "view"))
    document = control_plane.ask("GET", f"{RBAC}/clusterroles/view").document
    assert document["aggregationRule"] and rules is not None
    assert [rule["resources"] for rule in rules] == [rule["resources"] for rule in document["rules"]]
    namespaced = ask(
        control_plane, lambda it: it.get_role_rules("Role", "kube-system", "extension-apiserver-authentication-reader")
    )
    assert namespaced is not None and namespaced[0]["resourceNames"] == ["extension-apiserver-authentication"]
    assert ask(control_plane, lambda it: it.get_role_rules("ClusterRole", "", "none-of-this-name")) is None


def test_a_certificate_is_told_what_it_may_do(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2111-9").pair
    assert person is not None

    def told() -> RulesReview:
        return ask(control_plane, lambda it: it.list_rules_as(*person, "default"))

    assert not told().incomplete, "Node and RBAC tell all that they know"
    assert parts_beyond_defaults(told().rules) == []
    bound = ask(control_plane, bind("reader", "2111-9"))
    try:
        eventually(lambda: Part("list", "", "pods") in parts_beyond_defaults(told().rules))
    finally:
        ask(control_plane, unbind(bound))
    stranger = make_client_certificate(
        make_ca("another", int(time.time()), 1), "2111-9", (), int(time.time()), int(time.time()) + 60
    )
    with pytest.raises(Unauthorized):
        ask(control_plane, lambda it: it.list_rules_as(*stranger, "default"))


# --- certificates -------------------------------------------------------------------------------------------


def test_a_certificate_is_asked_for_approved_and_fetched(control_plane: ControlPlane) -> None:
    if not control_plane.has_controllers:
        pytest.skip("NO CONTROLLERS: this control plane has no kube-controller-manager")
    request, name = make_request("2114-1"), "kubecustody-2114-1"
    pem = request.certificate.decode()
    made = ask(control_plane, lambda it: it.create_csr(name, pem, 700, LABELS))
    assert (made.name, made.request_pem, made.certificate) == (name, request.certificate, None)
    assert not (made.approved or made.denied or made.failed)
    with pytest.raises(AlreadyThere):
        ask(control_plane, lambda it: it.create_csr(name, pem, 700, LABELS))
    with pytest.raises(Conflict):
        ask(control_plane, lambda it: it.approve_csr(name, uid="another"))
    assert not ask(control_plane, lambda it: it.get_csr(name)).approved
    assert ask(control_plane, lambda it: it.approve_csr(name, uid=made.uid)).approved
    assert ask(control_plane, lambda it: it.approve_csr(name)).approved
    signed = eventually(lambda: ask(control_plane, lambda it: it.get_csr(name)).certificate)
    (certificate,) = load_certificates(signed)
    assert abs(certificate.not_after - time.time() - 700) < 30
    seen = ask(control_plane, lambda it: it.probe_as(signed, request.private_key))
    assert (seen.status, seen.names_user) == (403, "2114-1")
    with pytest.raises(Conflict):
        ask(control_plane, lambda it: it.delete_csr(name, uid="another"))
    ask(control_plane, lambda it: it.delete_csr(name, uid=made.uid))
    for gone in (Cluster.get_csr, Cluster.delete_csr, Cluster.approve_csr):
        with pytest.raises(NotFound):
            ask(control_plane, lambda it, gone=gone: gone(it, name))  # type: ignore[misc]


def test_a_denied_request_is_not_approved(control_plane: ControlPlane) -> None:
    name = "kubecustody-2114-2"
    ask(control_plane, lambda it: it.create_csr(name, make_request("2114-2").certificate.decode(), 700, LABELS))
    control_plane.kubectl("certificate", "deny", name)
    state = ask(control_plane, lambda it: it.approve_csr(name))
    assert (state.approved, state.denied, state.certificate) == (False, True, None)
    ask(control_plane, lambda it: it.delete_csr(name))


# --- RBAC ---------------------------------------------------------------------------------------------------


def test_bindings_are_made_seen_changed_and_unmade(control_plane: ControlPlane) -> None:
    async def whole(cluster: Cluster) -> None:
        role = {"role_kind": "ClusterRole", "role_name": "view", "labels": LABELS}
        people = [Subject("User", "2115-1"), Subject("Group", "ops"), Subject("ServiceAccount", "robot", "default")]
        wide = await cluster.create_binding(CLUSTER_ROLE_BINDING, "", "2115-wide", subjects=people, **role)  # type: ignore[arg-type]
        narrow = await cluster.create_binding(ROLE_BINDING, "default", "2115-narrow", subjects=people[:1], **role)  # type: ignore[arg-type]
        assert wide.subjects == tuple(people)
        assert (narrow.kind, narrow.namespace, narrow.subjects) == (ROLE_BINDING, "default", tuple(people[:1]))
        with pytest.raises(AlreadyThere):
            await cluster.create_binding(CLUSTER_ROLE_BINDING, "", "2115-wide", subjects=[], **role)  # type: ignore[arg-type]
        seen = await cluster.list_bindings()
        assert wide in seen
        assert narrow in seen
        assert wide.managers == ("kubecustody",)
        assert wide.labels == LABELS
        assert any(one.role_name == "cluster-admin" and one.managers != ("kubecustody",) for one in seen)
        control_plane.kubectl("annotate", "clusterrolebinding", "2115-wide", "kept=yes")
        await check_changes(cluster, wide)
        await check_end(cluster, narrow)

    ask(control_plane, whole)
    answer = control_plane.ask("GET", f"{BINDINGS}/2115-wide")
    assert answer.document["metadata"]["annotations"] == {"kept": "yes"}
    assert answer.document["metadata"]["labels"] == {**LABELS, "more": "1"}
    control_plane.ask("DELETE", f"{BINDINGS}/2115-wide")


async def check_changes(cluster: Cluster, seen: SeenBinding) -> None:
    """Somebody else has changed it since it was seen."""
    place = (seen.kind, seen.namespace, seen.name)
    with pytest.raises(Conflict):
        await cluster.replace_binding(*place, resource_version=seen.resource_version, subjects=[])
    (again,) = [one for one in await cluster.list_bindings() if one.name == seen.name]
    one = [Subject("User", "2115-2")]
    changed = await cluster.replace_binding(
        *place, resource_version=again.resource_version, subjects=one, labels={"more": "1"}
    )
    assert changed.subjects == tuple(one)
    assert (changed.uid, changed.role_name) == (seen.uid, "view")
    emptied = await cluster.replace_binding(*place, resource_version=changed.resource_version, subjects=[])
    assert emptied.subjects == ()


async def check_end(cluster: Cluster, seen: SeenBinding) -> None:
    place, version = (seen.kind, seen.namespace, seen.name), seen.resource_version
    for uid, resource_version in (("another", version), (seen.uid, "1")):
        with pytest.raises(Conflict):
            await cluster.delete_binding(*place, uid=uid, resource_version=resource_version)
    await cluster.delete_binding(*place, uid=seen.uid, resource_version=version)
    with pytest.raises(NotFound):
        await cluster.delete_binding(*place, uid=seen.uid, resource_version=version)
    with pytest.raises(NotFound):
        await cluster.replace_binding(*place, resource_version=version, subjects=[])


def test_bindings_are_read_page_by_page(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask(control_plane, Cluster.list_bindings)
    monkeypatch.setattr(asking, "PAGE_ITEMS", 7)
    assert ask(control_plane, Cluster.list_bindings) == whole
    kinds = {one.kind: sum(other.kind == one.kind for other in whole) for one in whole}
    assert kinds[CLUSTER_ROLE_BINDING] > 7, "there is more than one page"
    # More of both together than is taken, though neither alone is.
    monkeypatch.setattr(asking, "MOST_ITEMS", len(whole) - 1)
    with pytest.raises(TooBig):
        ask(control_plane, Cluster.list_bindings)
    monkeypatch.setattr(asking, "MOST_ITEMS", len(whole))
    assert ask(control_plane, Cluster.list_bindings) == whole


def test_a_role_is_as_it_was_applied_last(control_plane: ControlPlane) -> None:
    read = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    paths = {"nonResourceURLs": ["/healthz"], "verbs": ["get"]}
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/cs:test"
    try:
        for rules in ([read], [read, paths], [paths], [paths]):
            wanted = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "cs:test", "labels": LABELS},
                "rules": rules,
            }
            ask(control_plane, lambda it, wanted=wanted: it.apply(wanted))  # type: ignore[misc]
            assert ask(control_plane, lambda it, wanted=wanted: it.find_labels(wanted)) == LABELS  # type: ignore[misc]
            assert control_plane.ask("GET", role).document["rules"] == rules
        assert control_plane.ask("GET", role).document["metadata"]["labels"] == LABELS
        names = ask(control_plane, Cluster.list_cluster_role_names)
        assert {"cs:test", "view", "cluster-admin"} <= set(names)
    finally:
        control_plane.ask("DELETE", role)


def test_nobody_binds_more_than_they_may(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2116-1")
    with pytest.raises(Forbidden) as refused:
        ask(control_plane, bind("too-much", "2116-1", role="cluster-admin"), by=person)
    assert "2116" not in str(refused.value)
    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
    with pytest.raises(Forbidden):
        ask(control_plane, Cluster.get_kube_system_uid, by=NOBODY)


def test_an_object_without_a_name_is_not_everything_of_its_kind(
    control_plane: ControlPlane, nobodys: SeenBinding
) -> None:
    for wrong in ("", ".", ".."):
        with pytest.raises(ValueError):
            ask(control_plane, unbind(nobodys._replace(name=wrong)))
        with pytest.raises(ValueError):
            ask(control_plane, lambda it, wrong=wrong: it.delete_csr(wrong))  # type: ignore[misc]
    with pytest.raises(NotFound):
        ask(control_plane, unbind(nobodys._replace(name="../clusterroles/view?x=")))
    assert nobodys in ask(control_plane, Cluster.list_bindings)
    assert control_plane.ask("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view").status == 200


# --- what goes wrong ----------------------------------------------------------------------------------------

LIMIT_SECONDS = 1.5
FAULTS: dict[str, tuple[Callable[[], Fault], type[ClusterError]]] = {
    "down": (Fault.down, Unreachable),
    "slow": (lambda: Fault.slow(30), Unreachable),
    "wrong CA": (Fault.wrong_ca, ServerNotTrusted),
    "401": (lambda: Fault.status(401), Unauthorized),
    "403": (lambda: Fault.status(403), Forbidden),
    "409": (lambda: Fault.status(409), Conflict),
    "429": (lambda: Fault.status(429, retry_after_seconds=7), TooManyRequests),
    "500": (lambda: Fault.status(500), ServerFailed),
    "503": (lambda: Fault.status(503), ServerFailed),
    "cut": (Fault.cut, Unreachable),
    "html": (Fault.html, NotKubernetes),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_an_error_of_its_kind_in_time(control_plane: ControlPlane, proxy: Proxy, name: str) -> None:
    make, kind = FAULTS[name]
    cluster = proxy.add_cluster()
    cluster.fault = make()
    begun = time.monotonic()
    with pytest.raises(ClusterError) as failed:
        ask(control_plane, Cluster.list_namespaces, url=cluster.url, connect_seconds=1, timeout_seconds=LIMIT_SECONDS)
    assert time.monotonic() - begun < LIMIT_SECONDS + 1
    assert type(failed.value) is kind
    assert "a fault of the test" not in str(failed.value)
    cluster.fault = None
    assert "default" in ask(control_plane, Cluster.list_namespaces, url=cluster.url)


def test_how_long_to_wait_is_told(control_plane: ControlPlane, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    for said, told in ((7, 7), (0, 1), (90_000, 3600)):
        cluster.fault = Fault.status(429, retry_after_seconds=said)
        with pytest.raises(TooManyRequests) as refused:
            ask(control_plane, Cluster.get_version, url=cluster.url)
        assert refused.value.retry_after_seconds == told


def test_dead_clusters_keep_nobody_waiting(control_plane: ControlPlane, proxy: Proxy) -> None:
    clusters = [proxy.add_cluster() for _ in range(50)]
    for number, cluster in enumerate(clusters[::10]):
        cluster.fault = Fault.slow(60) if number % 2 else Fault.down()

    async def whole() -> tuple[list[str | BaseException], float]:
        async with Connections(allow_loopback=True, timeout_seconds=4) as connections:
            begun = time.monotonic()
            questions = (
                Cluster(connections, access_of(control_plane, url=one.url)).get_kube_system_uid() for one in clusters
            )
            answers = await asyncio.gather(*questions, return_exceptions=True)
            return answers, time.monotonic() - begun

    answers, seconds = asyncio.run(whole())
    assert seconds < 4.5
    for number, (cluster, answer) in enumerate(zip(clusters, answers, strict=True)):
        if number % 10:
            assert answer == cluster.uid
        else:
            assert isinstance(answer, Unreachable)
