"""Shared makers: one folder, and the matrix made once for all tests."""

import functools
from collections.abc import Callable

import pytest

from .matrix import MATRIX, Chain
from .openssl import Openssl


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    return Openssl(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="session")
def chain_of(openssl: Openssl) -> Callable[[str], Chain]:
    """The chain of a case of the matrix, made when it is first asked for."""
    return functools.cache(lambda name: MATRIX[name][1](openssl))
