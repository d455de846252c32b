"""The fleet, made once, and the servers that serve it; towns, in which people live."""

from collections.abc import Iterator

import pytest
from real_fleet import Fleet, Making

from custody.books import check_books
from installations import RunningServer, make_installation, serving
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.signers import make_signer

pytest.register_assert_rewrite("lives")

from lives import Town  # noqa: E402


@pytest.fixture(scope="session")
def making(tmp_path_factory: pytest.TempPathFactory) -> Making:
    return Making(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="session")
def fleet(making: Making) -> Fleet:
    return making.make()


@pytest.fixture(scope="session")
def plain(fleet: Fleet) -> Iterator[RunningServer]:
    """The fleet, served over HTTP."""
    with serving(fleet.installation) as server:
        yield server


@pytest.fixture(scope="session")
def secure(fleet: Fleet) -> Iterator[RunningServer]:
    """The fleet, served over HTTPS with the certificate that `init` made."""
    with serving(fleet.installation, tls="on") as server:
        yield server


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    installation = make_installation(tmp_path_factory.mktemp("town"))
    clusters = {}
    for name in ("prod", "stage"):
        fields = ClusterFields(name=name, public_endpoint="https://203.0.113.7:6443")
        clusters[name] = installation.change(add_cluster, fields)
        installation.change(make_signer, name)
    with serving(installation) as server:
        yield Town(installation, server, clusters)
    check_books(installation.settings.store_file)
