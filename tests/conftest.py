"""Fixtures that many tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from installations import Installation, make_installation, running_demo

# A shell that starts us in the background has ctrl-C ignored, here and in every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["control_plane.fixtures"]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A new installation with an account and its access key."""
    return make_installation(tmp_path)


@pytest.fixture(scope="session")
def demo() -> Iterator[dict[str, Any]]:
    """The demo, served: endpoint, region, account_id, keys, uids by state, clusters."""
    with running_demo() as described:
        yield described
