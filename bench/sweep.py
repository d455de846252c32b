"""`python -m bench.sweep`: what it costs the server to look at all its clusters once, and to keep them as wanted.

Real API servers answer, through as many addresses as there are clusters: each has a uid of kube-system of its own, and
is reached by a client certificate of its own. They are registered and managed by calls of the API; then the server
looks around by itself, and each cluster must be asked for everything that a pass over a managed cluster asks for, or
the figures do not count.

The last line is one JSON object: `seconds` of the server's CPU for a sweep, the median over the rounds, and the worst;
`wall_seconds`; `extra_megabytes`, its memory at most above that of a server that looks at nothing; `files_with_keys`,
how many files came to be in its folder for temporary ones, or hold one of the private keys in the clear; `unseen`, how
many clusters were not looked at whole. Exit code 1 where one of these is not as it must be.
"""

import argparse
import ctypes
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

# The control plane, and what stands before it, are the tests'.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from bench.servers import cpu_seconds_below
from control_plane.control_plane import ControlPlane, find_programs
from control_plane.identities import Identity
from control_plane.keeping import SETTINGS
from control_plane.proxy import Cluster, Proxy
from installations import Installation, RunningServer, make_installation, serving
from kubecustody.client import Client, Endpoint
from kubecustody.pki.issuing import make_ca

MOST_CPU_SECONDS = 60
MOST_EXTRA_MEGABYTES = 150
EVERY_SECONDS = 60.0
QUIET_SECONDS = 2.0
LONGEST_SECONDS = 600.0
AT_ONCE = 4
LOOKS_AT_NOTHING = {"observe_every_seconds": "0"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
# What a pass over a managed cluster asks for at least.
ASKED = {
    "/version",
    KUBE_SYSTEM,
    f"{KUBE_SYSTEM}/configmaps/extension-apiserver-authentication",
    f"{KUBE_SYSTEM}/configmaps/kubecustody-owner",
    f"{RBAC}/clusterrolebindings",
    f"{RBAC}/rolebindings",
}
BINDINGS_OF_OTHERS = 100


class Sweep(NamedTuple):
    """One sweep: CPU of the server, time by the clock, memory at most, and clusters that were not looked at whole."""

    cpu_seconds: float
    wall_seconds: float
    most_bytes: int
    unseen: int


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, started_plane(Path(directory)) as plane, Proxy(plane) as proxy:
        told = measure(Path(directory), proxy, clusters=options.clusters, rounds=options.rounds)
    print(json.dumps(told))
    sys.exit(0 if is_well(told) else 1)


def is_well(told: dict[str, float]) -> bool:
    """Whether every figure is as it must be."""
    return (
        told["worst_seconds"] <= MOST_CPU_SECONDS
        and told["extra_megabytes"] <= MOST_EXTRA_MEGABYTES
        and told["files_with_keys"] == told["unseen"] == 0
    )


@contextmanager
def started_plane(directory: Path, name: str = "main", **more: object) -> Iterator[ControlPlane]:
    """A control plane in a folder of its own."""
    folder = directory / f"plane-{name}"
    folder.mkdir()
    client_ca = make_ca("client CA of the benchmark", int(time.time()), 365)
    with ControlPlane(folder, find_programs(), client_ca, name=name, **{"servers": 1, **more}) as plane:
        yield plane


def measure(
    directory: Path, proxy: Proxy, *, clusters: int, rounds: int, every_seconds: float = EVERY_SECONDS
) -> dict[str, float]:
    """What the last line tells, of so many clusters and sweeps."""
    temporary = directory / "temporary"
    temporary.mkdir()
    installation = make_installation(directory / "installation")
    places = [proxy.add_cluster() for _ in range(clusters)]
    accesses = [proxy.plane.issue(f"keeper-{number}", groups=["system:masters"]) for number in range(clusters)]
    bind_others(proxy.plane)
    with mock.patch.dict(os.environ, TMPDIR=str(temporary)), watched(temporary) as came:
        with serving(installation, **SETTINGS | LOOKS_AT_NOTHING) as server:
            register_and_manage(endpoint_of(installation, server), proxy.plane, places, accesses)
        idle_bytes = memory_when_idle(installation)
        print(f"{clusters} clusters are managed; an idle server has {idle_bytes / 1e6:.1f} MB", flush=True)
        for place in places:
            place.requests.clear()
        with serving(installation, **SETTINGS | {"observe_every_seconds": str(every_seconds)}) as server:
            sweeps = [watch_sweep(server, places, number) for number in range(rounds)]
    seconds = [sweep.cpu_seconds for sweep in sweeps]
    return {
        "clusters": clusters,
        "seconds": round(statistics.median(seconds), 2),
        "worst_seconds": round(max(seconds), 2),
        "wall_seconds": round(statistics.median(sweep.wall_seconds for sweep in sweeps), 1),
        "extra_megabytes": round((max(sweep.most_bytes for sweep in sweeps) - idle_bytes) / 1e6, 1),
        "files_with_keys": len(came) + files_with(directory / "installation", accesses),
        "unseen": max(sweep.unseen for sweep in sweeps),
    }


def bind_others(plane: ControlPlane) -> None:
    """Bindings that are nobody's of ours, since a real cluster has some."""
    group = "rbac.authorization.k8s.io"
    for number in range(BINDINGS_OF_OTHERS):
        body = {
            "metadata": {"name": f"other-{number}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "apiGroup": group, "name": f"somebody-{number}"}],
        }
        path = f"{RBAC}/namespaces/default/rolebindings" if number % 2 else f"{RBAC}/clusterrolebindings"
        answer = plane.ask("POST", path, body=body)
        if answer.status not in (201, 409):
            raise RuntimeError(f"a binding could not be made: {answer}")


def register_and_manage(
    endpoint: Endpoint, plane: ControlPlane, places: list[Cluster], accesses: list[Identity]
) -> None:
    """Register and manage each cluster by calls of the API."""

    def bring(number: int) -> None:
        with Client(endpoint) as client:
            kubeconfig = plane.kubeconfig(accesses[number], url=places[number].url)
            cluster_id = client.register_cluster(kubeconfig, f"cluster-{number}").cluster_id
            plan = client.manage_cluster(cluster_id)
            client.manage_cluster(cluster_id, plan_hash=plan.plan_hash)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(bring, range(len(places))))


def memory_when_idle(installation: Installation) -> int:
    """The memory of a server that answers calls, and looks at no cluster."""
    with (
        serving(installation, **SETTINGS | LOOKS_AT_NOTHING) as server,
        Client(endpoint_of(installation, server)) as client,
    ):
        for number in range(1, 20):
            client.describe_clusters_v1(page_number=number, page_size=50)
        return memory_of(server)


def endpoint_of(installation: Installation, server: RunningServer) -> Endpoint:
    """Where the account calls."""
    return Endpoint(server.url, installation.key.access_key_id, installation.key.secret)


def watch_sweep(server: RunningServer, places: list[Cluster], number: int) -> Sweep:
    """The server's next sweep, from its first request to two quiet seconds."""
    begun, most, cpu_before = 0.0, 0, cpu_seconds_below(server.process.pid)
    seen = [len(place.requests) for place in places]
    last_total, last_at = sum(seen), time.monotonic()
    ends = last_at + LONGEST_SECONDS
    while not begun or time.monotonic() - last_at < QUIET_SECONDS:
        time.sleep(0.02)
        total, now = sum(len(place.requests) for place in places), time.monotonic()
        most = max(most, memory_of(server))
        if total > last_total:
            begun, last_total, last_at = begun or now, total, now
        elif not begun:
            cpu_before = cpu_seconds_below(server.process.pid)
        if now > ends:
            raise RuntimeError(
                f"no sweep came to its end within {LONGEST_SECONDS} s:\n{server.log.read_text()[-2000:]}"
            )
    cpu = cpu_seconds_below(server.process.pid) - cpu_before
    unseen = sum(
        not ({one.path.partition("?")[0] for one in place.requests[before:]} >= ASKED)
        for place, before in zip(places, seen, strict=True)
    )
    sweep = Sweep(cpu, last_at - begun, most, unseen)
    print(f"sweep {number + 1}: {sweep}, {last_total - sum(seen)} requests", flush=True)
    return sweep


def memory_of(server: RunningServer) -> int:
    """The resident memory of a server of one process, in bytes."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


# ---- keys on the disk


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """The names of the files that come to be in a folder within the block, however short they live (inotify(7)).

    Those of SQLite (etilqs_...) are no such: they hold pages of the store, in which every key is sealed.
    """
    libc, came, is_created = ctypes.CDLL(None, use_errno=True), [], 0x100
    handle = libc.inotify_init1(os.O_NONBLOCK)
    if handle < 0 or libc.inotify_add_watch(handle, os.fsencode(folder), is_created) < 0:
        raise OSError(ctypes.get_errno(), "the folder cannot be watched")
    try:
        yield came
        came += (name for name in _names(handle) if not name.startswith("etilqs_"))
    finally:
        os.close(handle)


def _names(handle: int) -> Iterator[str]:
    while True:
        try:
            events = os.read(handle, 65_536)
        except BlockingIOError:
            return
        while events:
            length = struct.unpack_from("iIII", events)[3]
            yield events[16 : 16 + length].rstrip(b"\0").decode()
            events = events[16 + length :]


def files_with(folder: Path, accesses: list[Identity]) -> int:
    """How many files below the folder hold one of the private keys in the clear."""
    keys = [one.pair.private_key.split(b"\n")[1] for one in accesses if one.pair is not None]
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(key in content for key in keys) for content in files)


if __name__ == "__main__":
    main()
