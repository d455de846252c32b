"""A person's whole life by the provider's own Go SDK, on which its other tools are built."""

from collections.abc import Callable, Iterator

import pytest
from lives import (
    ByProgram,
    Town,
    cleaning_of_two_clusters,
    errors_as_read,
    temporary_life,
    throttling_as_read,
    whole_life,
)
from programs import Program, go_program

from installations import Installation

pytestmark = pytest.mark.sdk

Join = Callable[[str], ByProgram]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with go_program(tmp_path_factory.mktemp("go")) as program:
        yield program


@pytest.fixture
def join(program: Program, town: Town) -> Join:
    return lambda name: ByProgram(program, town, town.add(name))


@pytest.fixture
def account(program: Program, town: Town) -> ByProgram:
    return ByProgram(program, town, town.installation.key)


def test_a_life_by_the_go_sdk_from_unissued_to_removed(town: Town, join: Join, account: ByProgram) -> None:
    whole_life(town, join, account)


def test_a_temporary_kubeconfig_by_the_go_sdk_expires_and_another_is_given(town: Town, join: Join) -> None:
    temporary_life(town, join)


def test_go_sdk_reads_code_message_and_request_id_of_errors(town: Town, join: Join) -> None:
    errors_as_read(town, join)


def test_go_sdk_is_told_how_long_to_wait(program: Program, installation: Installation) -> None:
    throttling_as_read(program, installation)


def test_permissions_in_two_clusters_are_cleaned_by_a_task_that_the_go_sdk_follows(town: Town, join: Join) -> None:
    cleaning_of_two_clusters(town, join)
