"""The fleet, made once, and the servers that serve it."""

from collections.abc import Iterator

import pytest
from real_fleet import Fleet, Making

from installations import RunningServer, serving


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
