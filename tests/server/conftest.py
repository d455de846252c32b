"""Servers that several tests share."""

from collections.abc import Iterator

import pytest
from wire import NO_ADDRESS_LIMIT, Place

from installations import make_installation, serving
from kubecustody.custody.clusters import ClusterFields, add_cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server with one cluster, for tests that leave it as it was."""
    installation = make_installation(tmp_path_factory.mktemp("server"))
    installation.change(add_cluster, ClusterFields(name="only"))
    with serving(installation, **NO_ADDRESS_LIMIT, body_timeout_seconds="0.5", max_body_bytes="4096") as server:
        yield Place(installation, server)
