"""The tutorial, done once: other pages begin where it ends."""

import pytest

from documentation.beginnings import Ended, do_tutorial


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return do_tutorial(tmp_path_factory.mktemp("tutorial"))
