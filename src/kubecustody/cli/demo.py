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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kubecustody.catalogue.operations import get_operation
from kubecustody.cli.demo_fleet import DemoFleet, make_fleet
from kubecustody.cli.machine import settings_of
from kubecustody.cli.output import console, note, print_rows, say, tell_secret
from kubecustody.client import Endpoint
from kubecustody.client.calls import call_operation
from kubecustody.core.times import format_time
from kubecustody.pki.sealing import RING_VARIABLE
from kubecustody.server.running import serve
from kubecustody.settings import Settings

_COLUMNS = ["cluster_name", "cluster_state", "cert_state", "cert_expire_time", "cluster_id"]
_WIDE_ENOUGH = 100  # for the ids too


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line (endpoint, keys, uids, clusters) and serve.")
@click.option("--once", is_flag=True, help="Stop after the answer instead of serving on.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Where to serve; a free port of loopback unless given.")
def demo_command(as_json: bool, once: bool, listen: str | None) -> None:
    """Make a small fleet in a temporary folder, serve it, and show one person's states in it.

    Everything is gone when it stops (ctrl-C).
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))  # until the server minds it: so that the folder goes
    os.environ.pop(RING_VARIABLE, None)  # of a real installation, and this one has its own
    with tempfile.TemporaryDirectory(prefix="kubecustody-demo-") as folder:
        settings = _demo_settings(Path(folder) / "data", listen)
        fleet = make_fleet(settings)
        if as_json:
            serve(settings, ready=lambda _: print(_json_line(settings, fleet), flush=True))
        else:
            serve(settings, ready=_in_background(lambda: _show(settings, fleet, once=once)))


def _demo_settings(data_dir: Path, listen: str | None) -> Settings:
    return settings_of(
        data_dir,
        key_ring_file="",
        listen=listen or f"127.0.0.1:{_free_port()}",
        public_url="",
        tls="off",
        workers="1",
        metrics_listen="off",
        access_log="off",
        trusted_proxies="",
        nonce_slots="262144",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def _in_background(work: Callable[[], None]) -> Callable[[Any], None]:
    """Run beside the server, which needs this thread; a failure stops the server and shows."""

    def guarded() -> None:
        try:
            work()
        except BaseException:
            os.kill(os.getpid(), 15)
            raise

    return lambda _: threading.Thread(target=guarded, daemon=True).start()


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
    keys = settings.data_dir.parent
    for name, key in fleet.keys.items():
        tell_secret(
            {
                "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
                "KUBECUSTODY_ENDPOINT": settings.public_url,
            },
            keys / f"{name}.key",
        )
    program, call = _program(), "call ListUserKubeConfigStates"
    data = f"admin --data-dir {settings.data_dir}"
    lines = (
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
    say(f"\nServing on {settings.public_url} until ctrl-C. Try, in another terminal:")
    for what, command in lines:
        say(f"\n# {what}\n{command}")


def _program() -> str:
    """How the reader can start this program: its name where that is on their path, else where it lies."""
    here = Path(sys.argv[0]).absolute()
    if shutil.which("kubecustody") == str(here):
        return "kubecustody"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)
