"""One control plane for all tests of a run; tests that use it bear the marker control_plane."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane, ProgramsMissing, find_programs
from control_plane.proxy import Proxy
from kubecustody.pki.issuing import make_ca


@pytest.fixture(scope="session")
def programs() -> Path:
    """The programs of a control plane. Without them: a loud skip, and in CI a failure."""
    try:
        return find_programs()
    except ProgramsMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"NO CONTROL PLANE: {missing}")
        pytest.skip(f"NO CONTROL PLANE: {missing}")


@pytest.fixture(scope="session")
def control_plane(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Two API servers of one cluster with their controllers. Whoever changes what all share puts it back."""
    client_ca = make_ca("client CA of the tests", int(time.time()), 1)
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), programs, client_ca) as plane:
        yield plane


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    """A proxy without clusters yet, in front of the control plane."""
    with Proxy(control_plane) as proxy:
        yield proxy
