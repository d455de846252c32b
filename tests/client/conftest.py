"""Both clients, called in one way, and a served installation for them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from callers import QUICK, Awaited, Connect, Estate

from custody.books import check_books
from installations import make_installation, serving
from kubecustody.client import Client, Endpoint
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.signers import make_signer


@pytest.fixture(params=[Client, Awaited], ids=["blocking", "asynchronous"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes a client: an endpoint, or the URL of one for a key that nobody checks."""
    with contextlib.ExitStack() as made:

        def make(endpoint: Endpoint | str, **named: Any) -> Any:
            if isinstance(endpoint, str):
                endpoint = Endpoint(endpoint, "KEY", "wholly-secret")
            client = request.param(endpoint, **{"retries": QUICK, **named})
            made.callback(client.end if isinstance(client, Awaited) else client.close)
            return client

        yield make


@pytest.fixture(scope="package")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    installation = make_installation(tmp_path_factory.mktemp("estate"))
    clusters = {}
    for name in ("prod", "stage"):
        fields = ClusterFields(
            name=name, public_endpoint="https://203.0.113.7:6443", private_endpoint="https://10.0.0.7:6443"
        )
        clusters[name] = installation.change(add_cluster, fields)
        installation.change(make_signer, name)
    with serving(installation, tls="on") as server:
        yield Estate(installation, server, clusters)
    check_books(installation.settings.store_file)
