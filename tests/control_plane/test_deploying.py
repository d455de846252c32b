"""The manifests in deploy/kubernetes, judged by a real API server with its admission."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from control_plane.control_plane import ControlPlane

pytestmark = pytest.mark.control_plane

MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes" / "kubecustody.yaml"
TRY = ("apply", "--dry-run=server", "--validate=strict", "-f")


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster with the namespace alone: what is in it can only be tried where it is."""
    namespace = next(yaml.safe_load_all(MANIFEST.read_text()))
    file = tmp_path_factory.mktemp("manifest") / "namespace.yaml"
    file.write_text(yaml.safe_dump(namespace))
    control_plane.kubectl("apply", "-f", file)
    yield control_plane
    control_plane.kubectl("delete", "-f", file, "--wait=false")


def test_a_cluster_takes_every_object_and_pod_security_warns_of_nothing(place: ControlPlane) -> None:
    done = place.run_kubectl(*TRY, MANIFEST)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(list(yaml.safe_load_all(MANIFEST.read_text())))


@pytest.mark.parametrize(
    ("before", "after", "code", "told"),
    [
        ("runAsNonRoot", "runAsNonRot", 1, "unknown field"),
        ("drop: [ALL]", "add: [SYS_ADMIN]", 0, "would violate PodSecurity"),
        ("path: /healthz, port: https", "path: /healthz, port: htps!", 1, "Invalid value"),
    ],
)
def test_the_cluster_sees_what_is_wrong(
    place: ControlPlane, tmp_path: Path, before: str, after: str, code: int, told: str
) -> None:
    text = MANIFEST.read_text()
    assert before in text
    (tmp_path / "changed.yaml").write_text(text.replace(before, after))
    done = place.run_kubectl(*TRY, tmp_path / "changed.yaml")
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
