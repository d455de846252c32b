"""`kubecustody demo`: a small fleet, served, and asked through the provider's own SDK."""

import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubecustody.catalogue.operations import get_operation
from kubecustody.cli.demo_fleet import DemoFleet, make_fleet
from kubecustody.cli.machine import settings_of
from kubecustody.cli.output import console, note, print_rows, say, tell_secret
from kubecustody.cli.programs import free_port
from kubecustody.client import Endpoint
from kubecustody.client.calls import call_operation
from kubecustody.core.times import format_time
from kubecustody.custody.principals import NewAccessKey
from kubecustody.pki.sealing import RING_VARIABLE
from kubecustody.server.running import serve
from kubecustody.settings import Settings

if TYPE_CHECKING:
    from kubecustody.cli.demo_cluster import DemoCluster, Story

_COLUMNS = ["cluster_name", "cluster_state", "cert_state", "cert_expire_time", "cluster_id"]
_WIDE_ENOUGH = 100  # for the ids too
_LONGEST_GOODBYE_SECONDS = 15


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line (endpoint, keys, uids, clusters) and serve.")
@click.option("--once", is_flag=True, help="Stop after the answer instead of serving on.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Where to serve; a free port of loopback unless given.")
@click.option("--control-plane", is_flag=True, help="Start a real Kubernetes control plane, and show people on it.")
def demo_command(as_json: bool, once: bool, listen: str | None, control_plane: bool) -> None:
    """Make a small fleet in a temporary folder, serve it, and show one person's states in it.

    With --control-plane it is one real cluster instead: two people get kubeconfigs that the cluster signs, one is
    removed, one renewed, and what kubectl answers stands beside what is told here. It needs the programs that
    scripts/control-plane builds, or those of KUBEBUILDER_ASSETS.

    Everything is gone when it stops (ctrl-C).
    """
    if as_json and once and not control_plane:
        raise click.UsageError("--json tells how to call the server, so it serves on: leave out --once or --json.")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))  # until the server minds it: so that the folder goes
    os.environ.pop(RING_VARIABLE, None)  # of a real installation, and this one has its own
    with tempfile.TemporaryDirectory(prefix="kubecustody-demo-") as folder:
        settings = _demo_settings(Path(folder) / "data", listen)
        if control_plane:
            _demo_on_a_cluster(settings, Path(folder) / "cluster", as_json=as_json, once=once)
            return
        fleet = make_fleet(settings)
        if as_json:
            serve(settings, ready=lambda _: print(_json_line(settings, fleet), flush=True))
        else:
            _serve_beside(settings, lambda: _show(settings, fleet, once=once), threading.Event())


def _demo_settings(data_dir: Path, listen: str | None) -> Settings:
    return settings_of(
        data_dir,
        key_ring_file="",
        listen=listen or f"127.0.0.1:{free_port()}",
        public_url="",
        tls="off",
        workers="1",
        metrics_listen="off",
        access_log="off",
        trusted_proxies="",
        nonce_slots="262144",
        cluster_networks="127.0.0.0/8",
    )


def _demo_on_a_cluster(settings: Settings, folder: Path, *, as_json: bool, once: bool) -> None:
    from kubecustody.cli import demo_cluster

    with demo_cluster.started_cluster(settings, folder) as cluster:
        url = settings.public_url
        story = demo_cluster.Story(cluster, url, (lambda _: None) if as_json else say)

        def tell() -> None:
            story.run()
            if as_json:
                print(json.dumps(demo_cluster.describe(story, cluster, url)), flush=True)
            else:
                demo_cluster.show_side_by_side(story)
                if not once:
                    _say_what_next_on_a_cluster(settings, story, cluster)
            sys.stdout.flush()
            if once:
                os.kill(os.getpid(), 15)

        _serve_beside(settings, tell, cluster.stopping)


def _json_line(settings: Settings, fleet: DemoFleet) -> str:
    """What scripts, samples and tests need. The only place where secrets go to a pipe: a throw-away fleet's."""
    return json.dumps(
        {
            "endpoint": settings.public_url,
            "region": fleet.region,
            "account_id": fleet.account_id,
            "keys": {
                name: {
                    "uid": key.uid,
                    "access_key_id": key.access_key_id,
                    "access_key_secret": key.secret,
                }
                for name, key in fleet.keys.items()
            },
            "uids": fleet.uids_by_state(),
            "clusters": list(fleet.clusters.values()),
        }
    )


def _serve_beside(settings: Settings, work: Callable[[], None], stopping: threading.Event) -> None:
    """Serve, and do the work beside it; `stopping` is set once the server stops. Raises what made the work fail."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            if _listens(settings):  # else it failed because the server stops
                failed.append(error)
                os.kill(os.getpid(), 15)

    thread = threading.Thread(target=guarded, daemon=True)
    serve(settings, ready=lambda _: thread.start())
    stopping.set()
    thread.join(_LONGEST_GOODBYE_SECONDS)
    if failed:
        raise failed[0]


def _listens(settings: Settings) -> bool:
    try:
        socket.create_connection(settings.address, 1).close()
    except OSError:
        return False
    return True


def _show(settings: Settings, fleet: DemoFleet, *, once: bool) -> None:
    reader = fleet.keys["reader"]
    endpoint = Endpoint(settings.public_url, reader.access_key_id, reader.secret)
    rows, through = ask_states(endpoint, fleet.region, fleet.uids["alice"])
    say(f"\nalice ({fleet.uids['alice']}) in {len(rows)} clusters, asked through {through}:\n")
    print_rows(rows, _COLUMNS if console().width >= _WIDE_ENOUGH else _COLUMNS[:-1], "table")
    say(f"\nsandbox flips from Unexpired to Expired at {format_time(fleet.flips_at)}, by the clock alone.")
    if not once:
        _say_what_next(settings, fleet)
    sys.stdout.flush()
    if once:
        os.kill(os.getpid(), 15)


def ask_states(endpoint: Endpoint, region: str, uid: str) -> tuple[list[dict[str, str]], str]:
    """The rows of ListUserKubeConfigStates, and what asked: the provider's SDK, or our client without that."""
    try:
        from alibabacloud_cs20151215 import models
        from alibabacloud_cs20151215.client import Client
        from alibabacloud_tea_openapi.utils_models import Config
    except ImportError:
        note("The provider's SDK is not installed (pip install 'kubecustody[sdk]'); our own client asks.")
        reply = call_operation(endpoint, get_operation("ListUserKubeConfigStates"), {"Uid": uid})
        return reply.body["states"], "our own client"
    protocol, _, address = endpoint.url.partition("://")
    client = Client(
        Config(
            access_key_id=endpoint.access_key_id,
            access_key_secret=endpoint.access_key_secret,
            endpoint=address,
            protocol=protocol,
            region_id=region,
        )
    )
    answer = client.list_user_kube_config_states(uid, models.ListUserKubeConfigStatesRequest())
    return answer.body.to_map()["states"], "the provider's SDK (alibabacloud-cs20151215)"


def _say_what_next(settings: Settings, fleet: DemoFleet) -> None:
    keys = _write_keys(settings, fleet.keys)
    program, call = _program(), "call ListUserKubeConfigStates"
    data = f"admin --data-dir {settings.data_dir}"
    _suggest(
        settings,
        (
            "Why is each state what it is?",
            f"{program} {call} Uid={fleet.uids['alice']} detail=true -o table --key-file {keys}/reader.key",
        ),
        (
            "carol left and was deleted; her certificate was not:",
            f"{program} {call} Uid={fleet.uids['carol']} -o table --key-file {keys}/reader.key",
        ),
        ("Who has no policy gets no answer:", f"{program} {call} --key-file {keys}/nobody.key"),
        (
            "Say that carol's certificate is powerless, and look again:",
            f"{program} {data} removals attest --cluster prod-us --user carol --reason 'unbound by hand'",
        ),
    )


def _say_what_next_on_a_cluster(settings: Settings, story: "Story", cluster: "DemoCluster") -> None:
    folder, program = _write_keys(settings, cluster.keys), _program()
    for name, text in story.kubeconfigs.items():
        (folder / f"{name}.kubeconfig").write_text(text)
    account = f"--key-file {folder}/account.key"
    _suggest(
        settings,
        (
            "Who holds what on this cluster?",
            f"{program} call ListClusterKubeconfigStates ClusterId={story.cluster_id} -o table {account}",
        ),
        (
            "alice's certificate still says who she is:",
            f"kubectl --kubeconfig {folder}/alice.kubeconfig auth whoami",
        ),
        ("What bob may do:", f"kubectl --kubeconfig {folder}/bob.kubeconfig auth can-i --list"),
        (
            "bob gets his kubeconfig again:",
            f"{program} get kubeconfig {story.cluster_id} --out - --key-file {folder}/bob.key",
        ),
        ("Look at the cluster now:", f"{program} clusters test {story.cluster_id} {account}"),
    )


def _write_keys(settings: Settings, keys: Mapping[str, NewAccessKey]) -> Path:
    """The folder in which each access key now stands in a file of its name."""
    folder = settings.data_dir.parent
    for name, key in keys.items():
        tell_secret(
            {
                "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
                "KUBECUSTODY_ENDPOINT": settings.public_url,
            },
            folder / f"{name}.key",
        )
    return folder


def _suggest(settings: Settings, *lines: tuple[str, str]) -> None:
    url = settings.public_url
    say(f"\nServing on {url} until ctrl-C. {url}/explorer calls it from a browser, with an access key of")
    say("one of the files below. Try, in another terminal:")
    for what, command in lines:
        say(f"\n# {what}\n{command}")


def _program() -> str:
    """How the reader can start this program: its name where that is on their path, else where it lies."""
    here = Path(sys.argv[0]).absolute()
    if shutil.which("kubecustody") == str(here):
        return "kubecustody"
    here = here.resolve()  # without the `..` by which scripts/demo calls it
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)
