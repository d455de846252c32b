"""Registering clusters: what is told of them, what is refused, and that no secret shows."""

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import ONLY_WHEN_ASKED, Keeper, add_naming, keeping
from control_plane.proxy import Cluster, Fault, Proxy
from control_plane.test_managing import limited_access, service_account
from custody.books import ask as rows_of
from custody.books import contents
from installations import AUTHOR, free_port
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.custody.installation import Custody, add_account
from kubecustody.custody.principals import NewAccessKey, add_access_key

pytestmark = pytest.mark.control_plane

NOT_USABLE = "ErrorClusterNotUsable"
SECRET = "a-secret-that-nothing-may-repeat"


@pytest.fixture(scope="module")
def keeper(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """A keeper of no cluster yet, for tests that leave it so."""
    with keeping(tmp_path_factory.mktemp("keeper"), control_plane, **ONLY_WHEN_ASKED) as keeper:
        yield keeper
        assert rows_of(keeper.path, "SELECT COUNT(*) FROM clusters") == [(0,)]


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper of one's own."""
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        yield keeper


def refused(keeper: Keeper, kubeconfig: str, code: str = NOT_USABLE, **more: Any) -> str:
    """The message of a refusal, after which everything is as it was."""
    before = contents(keeper.path)
    with pytest.raises(ApiError) as error:
        keeper.client.register_cluster(kubeconfig, "prod", **more)
    assert error.value.code == code, error.value
    assert contents(keeper.path) == before
    return error.value.message


# --- what is told


def test_a_cluster_that_is_registered_is_reported_listed_and_only_observed(own: Keeper) -> None:
    plane = own.plane
    report = own.register(signer=False)
    version = plane.ask("GET", "/version").document["gitVersion"].removeprefix("v")
    assert report.ok
    (*seen, (what, ends)) = [(one.what, one.text) for one in report.findings]
    assert seen == [
        ("version", f"Kubernetes {version}."),
        ("clock", "Its clock and this server's agree to 30 s."),
        ("identity", f"kube-system is {plane.uid()}."),
        ("client_ca", "It says which CAs' client certificates it takes."),
        ("api_servers", "It names none."),
        (
            "rights",
            "It may do everything, which is more than it needs: `kubecustody clusters bootstrap` makes an account.",
        ),
        ("signer", "It may have the cluster sign. That it does is tried once it is managed."),
    ]
    assert what == "access" and "It cannot be renewed by itself." in ends
    (listed,) = own.client.describe_clusters_v1().clusters
    told = (listed.cluster_id, listed.name, listed.state, listed.current_version)
    assert told == (report.cluster_id, "prod", "running", version)
    assert rows_of(own.path, "SELECT mode, public_endpoint FROM cluster_details") == [("observe", plane.url)]
    ((_, _, details),) = own.events("trust_changed")
    assert details["epoch"] == 1
    assert [kind for kind, _, _ in own.events("cluster_added", "cluster_access_recorded", "cluster_seen")][-1:] == [
        "cluster_seen"
    ]


def test_a_dry_run_writes_nothing(keeper: Keeper) -> None:
    before = contents(keeper.path)
    report = keeper.client.register_cluster(keeper.plane.kubeconfig(), "prod", dry_run=True)
    assert (report.ok, report.cluster_id, len(report.findings)) == (True, "", 8)
    assert contents(keeper.path) == before


def test_the_same_cluster_is_not_registered_twice(own: Keeper) -> None:
    """Whatever address and name it is given: what counts is who answers."""
    first = own.register(own.plane.urls[0], signer=False).cluster_id
    message = refused(own, own.plane.kubeconfig(url=own.plane.urls[1]))
    assert message.endswith(f"It is registered already, as prod ({first}).")


def test_a_name_that_is_taken_is_refused(own: Keeper, proxy: Proxy) -> None:
    own.register(signer=False)
    assert "prod" in refused(own, own.plane.kubeconfig(url=proxy.add_cluster().url))


def test_who_may_not_register_has_nothing_asked_of_the_cluster(own: Keeper, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    key = own.people[own.add_person("anna")]  # whom cs:* is allowed, and nothing of this server's own
    with Client(Endpoint(own.server.url, key.access_key_id, key.secret)) as client, pytest.raises(ApiError) as error:
        client.register_cluster(own.plane.kubeconfig(url=cluster.url), "prod", dry_run=True)
    assert error.value.status == 403
    assert cluster.requests == []


# --- with what


def test_a_token_of_a_service_account_is_enough_and_what_it_may_not_is_named(own: Keeper) -> None:
    plane = own.plane
    with limited_access(plane) as limited:
        report = own.register(by=limited, signer=False)
        assert report.ok and report.cluster_id
    role = {
        "metadata": {"name": "half-keeper"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get"]}],
    }
    with service_account(plane, role) as half:
        report = own.client.register_cluster(plane.kubeconfig(half), "half", replace_access=True, dry_run=True)
    told = {one.what: one.text for one in report.findings if not one.ok}
    assert set(told) == {"api_servers", "rights"}
    assert told["rights"] == (
        "It lacks what the profile observe has: list endpointslices in default, list clusterrolebindings, "
        "list rolebindings, get clusterroles, get roles, list clusterroles, list roles. "
        "`kubecustody clusters bootstrap --profile observe` gives it."
    )


def edited(plane: ControlPlane, change: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object]) -> str:
    """The admin's kubeconfig, with its cluster, user or whole document changed."""
    document = json.loads(plane.kubeconfig())
    change(document["clusters"][0]["cluster"], document["users"][0]["user"], document)
    return json.dumps(document)


def only(user: dict[str, Any], **members: Any) -> None:
    user.clear()
    user.update(members)


BAD: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object], str]] = {
    "exec": (lambda c, u, d: only(u, exec={"command": SECRET}), "program"),
    "auth-provider": (lambda c, u, d: only(u, **{"auth-provider": {"name": SECRET}}), "auth-provider"),
    "token file": (lambda c, u, d: only(u, tokenFile=f"/{SECRET}"), "token"),
    "certificate file": (
        lambda c, u, d: only(u, **{"client-certificate": f"/{SECRET}", "client-key": f"/{SECRET}"}),
        "--flatten",
    ),
    "http": (lambda c, u, d: c.update(server="http://192.0.2.1"), "https"),
    "password in the address": (lambda c, u, d: c.update(server=f"https://u:{SECRET}@192.0.2.1"), "https"),
    "proxy": (lambda c, u, d: c.update(**{"proxy-url": f"http://{SECRET}"}), "proxy"),
    "insecure": (lambda c, u, d: c.update(**{"insecure-skip-tls-verify": True}), "prove"),
    "base64": (lambda c, u, d: u.update(**{"client-certificate-data": "!" + SECRET}), "base64"),
    "no CA": (
        lambda c, u, d: c.update(**{"certificate-authority-data": base64.b64encode(SECRET.encode()).decode()}),
        "certificate-authority-data",
    ),
    "several contexts": (lambda c, u, d: d.update(**{"current-context": ""}), "which context"),
    "no YAML": (lambda c, u, d: d.update(clusters=SECRET), ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_kubeconfig_that_is_not_taken_is_told_why(keeper: Keeper, name: str) -> None:
    change, said = BAD[name]
    message = refused(keeper, edited(keeper.plane, change), "InvalidParameter")
    assert "Kubeconfig" in message and said in message
    assert SECRET not in message


def test_a_context_that_is_not_there_is_told(keeper: Keeper) -> None:
    assert "which context" in refused(keeper, keeper.plane.kubeconfig(), "InvalidParameter", context="another")


# --- what is there


def test_a_cluster_that_does_not_answer_is_not_registered(keeper: Keeper, proxy: Proxy) -> None:
    dead = f"https://127.0.0.1:{free_port()}"
    assert "connection failed" in refused(keeper, keeper.plane.kubeconfig(url=dead))
    cluster = proxy.add_cluster()
    kubeconfig = keeper.plane.kubeconfig(url=cluster.url)
    for fault, said in (
        (Fault.wrong_ca(), "not trusted"),
        (Fault.html(), "not JSON"),
        (Fault.status(401), "401"),
        (Fault.cut(), "ended early"),
    ):
        cluster.fault = fault
        assert said in refused(keeper, kubeconfig), fault.kind


def test_a_token_that_is_refused_and_a_stranger_are_not_registered(keeper: Keeper) -> None:
    plane = keeper.plane
    message = refused(keeper, plane.kubeconfig(Identity(token=SECRET)))
    assert "401" in message and SECRET not in message
    assert "403" in refused(keeper, plane.kubeconfig(plane.issue("2111-1")))


def test_loopback_is_reached_only_where_it_is_named(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane, cluster_networks="") as keeper:
        message = refused(keeper, control_plane.kubeconfig())
        assert "its address is none that is connected to from here" in message
        assert "cluster_networks" in message


def test_api_servers_at_foreign_addresses_are_named_and_nothing_is_sent_there(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """What a cluster says of itself must not make this server knock at others' doors, or at its own."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        own_door = f"127.0.0.2:{listener.getsockname()[1]}"
        naming = add_naming(proxy, *control_plane.urls, f"https://{own_door}", "https://169.254.169.254:443")
        with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED, cluster_networks="127.0.0.1/32") as keeper:
            keeper.register(naming.url)
            keeper.manage()
            told = keeper.look()["api_servers"]
            assert f"It names {own_door}, 169.254.169.254:443 as API servers of its own" in told
            uid = keeper.add_person("anna")
            credential = keeper.get(uid)
            keeper.grant(uid, "admin")
            keeper.look()
            keeper.clean(uid)
            keeper.look()
            assert keeper.removed_by(credential) is None, "it cannot be proved there"
            outcomes = keeper.evidence(credential)
            assert outcomes["used", own_door] == outcomes["used", "169.254.169.254:443"] == "unproven"
            served = control_plane.url.removeprefix("https://")
            assert outcomes["used", served] == "refused"
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_goes_otherwise_is_told(keeper: Keeper, proxy: Proxy, seconds: int) -> None:
    cluster = Shifted(proxy, "127.0.0.1", proxy.real_uid)
    cluster.seconds = seconds
    proxy.run(cluster.listen())
    proxy.clusters.append(cluster)
    report = keeper.client.register_cluster(keeper.plane.kubeconfig(url=cluster.url), "prod", dry_run=True)
    told = {one.what: one.text for one in report.findings if not one.ok}
    assert set(told) == {"clock"}
    way = "ahead of" if seconds > 0 else "behind"
    assert re.match(rf"Its clock is 3[56]\d\d s {way} this server's", told["clock"])


class Shifted(Cluster):
    """The plane, whose clock goes otherwise."""

    seconds = 0

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/version":
            return await super()._answer(request)
        version = {"gitVersion": "v1.37.2"}
        return web.json_response(version, headers={"Date": formatdate(time.time() + self.seconds, usegmt=True)})


def test_two_accounts_may_look_at_one_cluster_and_one_manages_it(own: Keeper) -> None:
    own.register(signer=False)
    own.manage()

    async def second(custody: Custody) -> NewAccessKey:
        account = await add_account(custody, AUTHOR, time.time(), name="other", region_id="local")
        return await add_access_key(custody, account, AUTHOR, time.time(), account)

    key = own.installation.run(second)
    endpoint = Endpoint(own.server.url, key.access_key_id, key.secret)
    with Client(endpoint) as client:
        other = client.register_cluster(own.plane.kubeconfig(), "mine-too")
        assert other.ok and other.cluster_id != own.cluster_id
        plan = client.manage_cluster(other.cluster_id)
        with pytest.raises(ApiError) as refused:
            client.manage_cluster(other.cluster_id, plan_hash=plan.plan_hash)
        assert "Another installation or account manages this cluster" in refused.value.message
        assert own.installation.account_id not in refused.value.message and "prod" not in refused.value.message
        assert client.manage_cluster(other.cluster_id).mode == "observe"
    assert own.look() == {}


# --- secrets


def test_token_and_key_are_sealed_and_show_nowhere(own: Keeper) -> None:
    plane = own.plane
    with limited_access(plane) as limited:
        assert limited.token is not None
        report = own.register(by=limited, signer=False)
        own.look()
        assert plane.admin.pair is not None
        key = plane.admin.pair.private_key
        twin = refused(own, plane.kubeconfig())
        forms = [
            limited.token.encode(),
            limited.token.partition(".")[2].encode()[:60],
            base64.b64encode(key),
            key.splitlines()[1],
        ]
        told = [repr(report).encode(), twin.encode(), own.server.log.read_bytes()]
        stored = b"".join(path.read_bytes() for path in own.path.parent.iterdir() if path.is_file())
        for secret in forms:
            assert not any(secret in one for one in [*told, stored])
        ((kind, sealed),) = rows_of(own.path, "SELECT kind, sealed FROM cluster_accesses")
        assert kind == "token" and len(sealed) > len(limited.token)


# --- the commands


def test_the_commands_register_test_plan_manage_and_observe(own: Keeper, tmp_path: Path, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    file = tmp_path / "prod.kubeconfig"
    file.write_text(own.plane.kubeconfig(url=cluster.url))
    run = own.clusters_command
    code, out, _ = run("add", str(file), "--dry-run")
    assert code == 0 and "ok  version: Kubernetes " in out
    code, out, _ = run("add", str(file), "--name", "prod")
    assert code == 0, out
    ((cluster_id,),) = rows_of(own.path, "SELECT cluster_id FROM clusters")
    assert out.startswith(f"prod ({cluster_id})\n")
    code, _, err = run("add", str(file), "--name", "again")
    assert code == 1 and f"registered already, as prod ({cluster_id})" in err
    code, out, _ = run("list")
    assert code == 0 and cluster_id in out
    code, out, err = run("plan", cluster_id)
    assert (code, out) == (0, "Nothing is to be changed.\n")
    plan_hash = err.strip().rpartition(" ")[2]
    code, _, err = run("manage", cluster_id, "--plan", "0" * 64)
    assert code == 1 and "ErrorPlanChanged" in err
    code, _, err = run("manage", cluster_id, "--plan", plan_hash)
    assert code == 0 and "mode: manage" in err
    code, out, _ = run("observe", cluster_id)
    assert (code, out) == (0, f"{cluster_id} is only observed.\n")
    assert run("test", cluster_id)[0] == run("test", "--all")[0] == 0
    cluster.fault = Fault.down()
    code, out, _ = run("test", cluster_id)
    assert code == 1 and "NO  version" in out
