"""The tutorial, done once and only where a page begins where it ends."""

from collections.abc import Callable
from functools import cache

import pytest

from documentation.beginnings import Ended, do_tutorial


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Ended]:
    return cache(lambda: do_tutorial(tmp_path_factory.mktemp("tutorial")))
