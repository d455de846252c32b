"""The explorer's modules for every test here."""

from collections.abc import Iterator

import pytest

from explorer.modules import Modules, running_modules


@pytest.fixture(scope="session")
def modules() -> Iterator[Modules]:
    with running_modules() as running:
        yield running
