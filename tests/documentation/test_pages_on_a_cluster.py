"""Pages whose commands need a real cluster, gone through as the others."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.keeping import KUBE_SYSTEM
from control_plane.proxy import Proxy
from control_plane.test_bootstrapping import bootstrapped_no_more
from documentation.beginnings import Ended, RealCluster, beginning
from documentation.blocks import CONTROL_PLANE, blocks_of
from documentation.test_documentation import name_of, pages_of
from kubecustody.cluster.client import MARKER_NAME
from kubecustody.pki.issuing import make_ca

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module")
def control_plane(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: what others tried has more client CAs by then than are taken."""
    client_ca = make_ca("client CA of the pages", int(time.time()), 1)
    with ControlPlane(tmp_path_factory.mktemp("control-plane-of-pages"), programs, client_ca) as plane:
        yield plane


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane on which accounts of the server are left from page to page, and not beyond."""
    with bootstrapped_no_more(control_plane):
        yield control_plane


@pytest.fixture
def cluster(plane: ControlPlane, proxy: Proxy, programs: Path) -> Iterator[RealCluster]:
    """The first of several clusters, which are it too under other names. Who manages it is forgotten afterwards."""
    urls = {"prod": plane.url, "staging": proxy.add_cluster().url, "edge": proxy.add_cluster().url}
    yield RealCluster(admin_kubeconfig(plane, urls), programs)
    plane.ask("DELETE", f"{KUBE_SYSTEM}/configmaps/{MARKER_NAME}")


def admin_kubeconfig(plane: ControlPlane, urls: dict[str, str]) -> str:
    """One kubeconfig with a context for each address; the first is current."""
    document = json.loads(plane.kubeconfig())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    document["clusters"] = [{"name": name, "cluster": {**cluster, "server": url}} for name, url in urls.items()]
    document["users"] = [{"name": "admin", "user": user}]
    document["contexts"] = [{"name": f"{name}-admin", "context": {"cluster": name, "user": "admin"}} for name in urls]
    document["current-context"] = document["contexts"][0]["name"]
    return json.dumps(document)


@pytest.mark.parametrize("page", pages_of(CONTROL_PLANE), ids=name_of)
def test_a_page_is_run_on_a_cluster(
    page: Path, tmp_path: Path, tutorial: Callable[[], Ended], cluster: RealCluster
) -> None:
    with beginning(page, tmp_path, tutorial, cluster) as reader:
        reader.read(blocks_of(page), CONTROL_PLANE)
