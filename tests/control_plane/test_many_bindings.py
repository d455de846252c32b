"""A cluster with thousands of bindings: everything still works there, page by page, in bounded memory and time."""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from bench.servers import cpu_seconds_below
from bench.sweep import memory_of, started_plane

from control_plane.control_plane import ControlPlane
from control_plane.keeping import RBAC, Keeper, keeping, statuses
from control_plane.proxy import Cluster, Proxy
from control_plane.test_managing import admitted
from control_plane.waiting import eventually
from kubecustody.catalogue.permissions import GrantedPermission
from kubecustody.client import Client
from kubecustody.cluster.access import Access
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.client import Connections
from kubecustody.core.bindings import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, GROUP, ROLE_BINDING, USER, Subject

pytestmark = pytest.mark.control_plane

IS_FULL = os.environ.get("KUBECUSTODY_SIZE") == "full"
BINDINGS = 10_000 if IS_FULL else 1_200
PAGE = 500
NAMESPACES = 20
# What may be spent on one pass over a cluster, however many bindings it has up to these.
MOST_PASS_SECONDS, MOST_REMOVAL_SECONDS, MOST_LOOK_UP_SECONDS = 10.0, 10.0, 0.1
MOST_EXTRA_MEGABYTES = 150


@pytest.fixture
def crowded(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of its own, in which others have made so many bindings."""
    with started_plane(tmp_path, "crowded", etcd=control_plane.etcd) as plane, Proxy(plane) as proxy:
        begun = time.monotonic()
        asyncio.run(crowd(plane))
        print(f"{BINDINGS} bindings were made in {time.monotonic() - begun:.1f} s", flush=True)
        yield proxy.add_cluster()


@asynccontextmanager
async def reaching(plane: ControlPlane) -> AsyncIterator[Reached]:
    """The cluster as an administrator reaches it, over connections that are kept."""
    assert plane.admin.pair is not None
    certificate, private_key = plane.admin.pair
    access = Access(plane.url, plane.server_ca, certificate=certificate, private_key=private_key)
    async with Connections(allow_loopback=True, concurrency=16) as connections:
        yield Reached(connections, access)


async def crowd(plane: ControlPlane) -> None:
    """Bindings of every kind: of users, of groups, of both, of many; half of them in namespaces."""
    for number in range(NAMESPACES):
        made = plane.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": f"team-{number}"}})
        assert made.status == 201
    async with reaching(plane) as reached:

        async def bind(number: int) -> None:
            kind = (CLUSTER_ROLE_BINDING, ROLE_BINDING)[number % 2]
            namespace = f"team-{number % NAMESPACES}" if kind == ROLE_BINDING else ""
            subjects = [Subject(USER, f"person-{number}-{each}") for each in range(200 if number % 500 == 0 else 2)]
            subjects.append(Subject(GROUP, f"team-{number % 97}"))
            name = f"others-{number}"
            named = {"role_kind": CLUSTER_ROLE, "role_name": "view", "subjects": subjects, "labels": {"team": "x"}}
            await reached.create_binding(kind, namespace, name, **named)  # type: ignore[arg-type]

        await asyncio.gather(*map(bind, range(BINDINGS)))


@contextmanager
def told(what: str, keeper: Keeper, figures: dict[str, float]) -> Iterator[None]:
    """Note what it takes: seconds by the clock, and of the server's CPU."""
    begun, cpu = time.monotonic(), cpu_seconds_below(keeper.server.process.pid)
    yield
    figures[what] = round(time.monotonic() - begun, 2)
    figures[f"{what}_cpu"] = round(cpu_seconds_below(keeper.server.process.pid) - cpu, 2)


def most_memory(keeper: Keeper) -> int:
    """The most that the server's process ever held, in bytes."""
    lines = Path(f"/proc/{keeper.server.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_a_cluster_with_thousands_of_bindings_is_managed_as_any_other(crowded: Cluster, tmp_path: Path) -> None:
    plane, figures = crowded.proxy.plane, dict[str, float]()
    with keeping(tmp_path / "installation", plane) as keeper:
        idle = memory_of(keeper.server)
        with told("register", keeper, figures):
            assert [one for one in keeper.register(crowded.url).findings if not one.ok] == []
        with told("plan", keeper, figures):
            plan = keeper.client.manage_cluster(keeper.cluster_id)
        assert plan.steps == [] and plan.warnings == []
        keeper.manage()
        anna, lasting = admitted(keeper)
        short = keeper.get(anna, minutes=60)
        with told("pass", keeper, figures):
            findings = {one.what: one for one in keeper.client.test_cluster(keeper.cluster_id).findings}
        assert all(one.ok for one in findings.values())
        assert (told_of := re.match(r"A pass took \d+\.\d s: (\d+) bindings, 1 of them ours;", findings["pass"].text))
        assert int(told_of[1]) > BINDINGS
        eventually(lambda: set(statuses(plane, lasting, short)) == {200})
        check_pages(crowded)
        bert = keeper.add_person("bert")
        with told("grant", keeper, figures), Client(keeper.endpoint_of(anna)) as client:
            client.grant_permissions(bert, [GrantedPermission(keeper.cluster_id, "dev", "namespace", "team-1")])
        for _ in range(5):
            begun = time.monotonic()
            permissions = keeper.client.describe_user_permission(anna)
            figures["look_up"] = min(round(time.monotonic() - begun, 3), figures.get("look_up", 60.0))
        assert [one.role_name for one in permissions] == ["admin"]
        with told("remove_one", keeper, figures):
            keeper.revoke(short)
            eventually(lambda: keeper.removed_by(short) == "proved", seconds=MOST_REMOVAL_SECONDS)
        assert statuses(plane, short, lasting) == [403, 200]
        with told("remove_all", keeper, figures):
            keeper.clean(anna)
            eventually(lambda: keeper.removed_by(lasting) == "proved", seconds=MOST_REMOVAL_SECONDS)
        assert statuses(plane, short, lasting) == [403, 403]
        assert keeper.subjects() == {}
        figures["extra_megabytes"] = round((most_memory(keeper) - idle) / 1e6, 1)
        print(json.dumps({"bindings": BINDINGS, **figures}), flush=True)
        assert asyncio.run(others_left(plane)) == BINDINGS, "what others made is left alone"
    assert figures["pass"] <= MOST_PASS_SECONDS and figures["look_up"] <= MOST_LOOK_UP_SECONDS, figures
    assert figures["extra_megabytes"] <= MOST_EXTRA_MEGABYTES, figures


def check_pages(place: Cluster) -> None:
    """Each list of bindings was asked for in pages, each but the first by the token that the one before gave."""
    for kind in ("clusterrolebindings", "rolebindings"):
        asked = [urlsplit(one.path) for one in place.requests if one.method == "GET"]
        queries = [parse_qs(one.query) for one in asked if one.path == f"{RBAC}/{kind}"]
        assert queries and all(query["limit"] == [str(PAGE)] for query in queries)
        lists = sum("continue" not in query for query in queries)
        assert len(queries) / lists >= BINDINGS / 2 / PAGE


async def others_left(plane: ControlPlane) -> int:
    async with reaching(plane) as reached:
        return sum(one.labels.get("team") == "x" for one in await reached.list_bindings())
