"""The benchmarks of real clusters work, and what they must notice they notice."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import revoke, sweep

from control_plane.control_plane import ControlPlane
from control_plane.keeping import Keeper
from control_plane.proxy import Fault, Proxy

pytestmark = pytest.mark.control_plane

IS_FULL = os.environ.get("KUBECUSTODY_SIZE") == "full"
CLUSTERS, ROUNDS = (100, 20) if IS_FULL else (4, 2)


@pytest.fixture
def others(control_plane: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy in front of a cluster that the test has for itself."""
    name = request.node.name.partition("[")[0].replace("_", "-")
    with sweep.started_plane(tmp_path, name, etcd=control_plane.etcd) as plane, Proxy(plane) as proxy:
        yield proxy


def test_a_sweep_costs_no_more_than_it_may(others: Proxy, tmp_path: Path) -> None:
    told = sweep.measure(tmp_path, others, clusters=CLUSTERS, rounds=1)
    assert sweep.is_well(told), told
    assert 0 < told["seconds"] < sweep.MOST_CPU_SECONDS * CLUSTERS / 500 + 1
    assert told["clusters"] == CLUSTERS


def test_a_cluster_that_is_not_looked_at_whole_is_noticed(
    others: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = sweep.memory_when_idle

    def cut(installation: Any) -> int:
        others.clusters[1].fault = Fault.status(503, strikes=lambda _, path: path.endswith("/clusterrolebindings"))
        others.clusters[2].fault = Fault.down()
        return idle(installation)

    monkeypatch.setattr(sweep, "memory_when_idle", cut)
    told = sweep.measure(tmp_path, others, clusters=4, rounds=1)
    assert told["unseen"] == 2 and not sweep.is_well(told)


def test_a_key_that_touches_the_disk_is_noticed(control_plane: ControlPlane, tmp_path: Path) -> None:
    identity = control_plane.issue("2111-1")
    assert identity.pair is not None
    with sweep.watched(tmp_path) as came:
        (tmp_path / "etilqs_1").touch()
        (tmp_path / "pair.pem").touch()
        (tmp_path / "pair.pem").unlink()
    assert came == ["pair.pem"]
    (tmp_path / "kept").write_bytes(b"{" + identity.pair.private_key + b"}")
    assert sweep.files_with(tmp_path, [control_plane.issue("2111-2"), identity]) == 1


@pytest.mark.parametrize(
    "wrong", [{"worst_seconds": 60.1}, {"extra_megabytes": 151}, {"files_with_keys": 1}, {"unseen": 1}]
)
def test_a_figure_that_is_missed_is_told(wrong: dict[str, float]) -> None:
    well = {"worst_seconds": 60.0, "extra_megabytes": 150.0, "files_with_keys": 0, "unseen": 0}
    assert sweep.is_well(well) and not sweep.is_well(well | wrong)


def test_what_is_removed_is_dead_in_time(control_plane: ControlPlane, others: Proxy, tmp_path: Path) -> None:
    told = revoke.measure(tmp_path, control_plane, others, clusters=CLUSTERS, rounds=ROUNDS)
    assert revoke.is_well(told), told
    assert 0 < told["seconds_to_dead"] <= told["worst_seconds"] <= revoke.MOST_SECONDS


def test_a_removal_that_is_none_is_noticed(
    control_plane: ControlPlane, others: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keeper, "clean", lambda *_: None)
    monkeypatch.setattr(revoke, "LONGEST_SECONDS", 3)
    told = revoke.measure(tmp_path, control_plane, others, clusters=1, rounds=1)
    assert (told["wrong"], told["seconds_to_dead"]) == (1, None)
    assert not revoke.is_well(told)
