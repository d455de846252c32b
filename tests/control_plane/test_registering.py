"""Registering clusters: what is told of them, what is refused, and that no secret shows."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import ONLY_WHEN_ASKED, Keeper, keeping
from control_plane.proxy import Fault, Proxy
from control_plane.test_managing import limited_access, service_account
from custody.books import ask as rows_of
from custody.books import contents
from installations import free_port
from kubecustody.client import ApiError, Client, Endpoint

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
    assert [(one.what, one.text) for one in report.findings] == [
        ("version", f"Kubernetes {version}."),
        ("identity", f"kube-system is {plane.uid()}."),
        ("client_ca", "It says which CAs' client certificates it takes."),
        ("api_servers", "It names none."),
        ("rights", "It may read what observing needs."),
    ]
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
    assert (report.ok, report.cluster_id, len(report.findings)) == (True, "", 5)
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
        report = own.client.register_cluster(plane.kubeconfig(half), "half", dry_run=True)
    told = {one.what: one.text for one in report.findings if not one.ok}
    assert set(told) == {"api_servers", "rights"}
    assert told["rights"] == (
        "It may not list endpointslices in default, not list clusterrolebindings, not list rolebindings."
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
    key = own.installation.key
    key_file = tmp_path / "key"
    key_file.write_text(
        f"ALIBABA_CLOUD_ACCESS_KEY_ID={key.access_key_id}\nALIBABA_CLOUD_ACCESS_KEY_SECRET={key.secret}\n"
    )
    key_file.chmod(0o600)

    def run(*words: str) -> tuple[int, str, str]:
        remote = ("--endpoint", own.server.url, "--key-file", str(key_file))
        done = own.installation.command("clusters", *words, *remote, check=False)
        return done.returncode, done.stdout, done.stderr

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
