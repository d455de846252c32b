"""Samples of what needs an API server, run against a real one: each gives the answer of the explorer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.keeping import ONLY_WHEN_ASKED, keeping
from explorer.modules import running_modules
from explorer.samples import RUNNERS, Call, Writer, check

pytestmark = pytest.mark.control_plane


@dataclass
class Place:
    """A server that keeps the control plane's cluster, and calls that change nothing in it."""

    writer: Writer
    calls: list[Call]


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("keeper")
    with running_modules() as modules, keeping(folder, control_plane, **ONLY_WHEN_ASKED) as keeper:
        keeper.register(signer=False)
        key, kubeconfig = keeper.installation.key, control_plane.kubeconfig()
        named = {"ClusterId": keeper.cluster_id}
        registering = {"Name": "prod", "ReplaceAccess": True, "DryRun": True, "Kubeconfig": kubeconfig}
        yield Place(
            Writer(modules, keeper.server.url),
            [
                Call("RegisterCluster", registering, key, {"kubeconfig": kubeconfig}),
                Call("TestCluster", named, key),
                Call("ManageCluster", {**named, "Mode": "manage"}, key),
            ],
        )


@pytest.mark.parametrize("language", sorted(RUNNERS))
def test_sample_about_a_real_cluster_gives_the_answer_of_the_explorer(
    place: Place, language: str, tmp_path: Path
) -> None:
    written = [(call, place.writer.write(language, call)) for call in place.calls]
    # A secret of the request must not be an argument of a command.
    codes = [(call, sample["code"]) for call, sample in written if not sample.get("refused")]
    assert len(codes) == (2 if language == "kubecustody" else 3)
    printed = RUNNERS[language](codes, tmp_path)
    for call, _ in codes:
        expected = place.writer.answer(call)
        assert expected["status"] == 200
        check(language, call, expected, printed[call.operation])
