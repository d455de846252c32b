"""A file of clusters is applied: all of them, or nothing; never less than there was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from control_plane.control_plane import ControlPlane
from control_plane.keeping import ONLY_WHEN_ASKED, Keeper, keeping
from control_plane.proxy import Cluster, Fault, Proxy
from custody.books import ask as rows_of
from custody.books import contents

pytestmark = pytest.mark.control_plane


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper of no cluster yet."""
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        yield keeper


def write(keeper: Keeper, folder: Path, clusters: dict[str, Cluster], **more: object) -> Path:
    """A fleet file of these clusters by name, each with a kubeconfig beside it."""
    listed = []
    for name, cluster in clusters.items():
        (folder / f"{name}.kubeconfig").write_text(keeper.plane.kubeconfig(url=cluster.url))
        listed.append({"name": name, "kubeconfig": f"{name}.kubeconfig", **more})
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump({"clusters": listed}))
    return file


def names(keeper: Keeper) -> list[str]:
    return [name for (name,) in rows_of(keeper.path, "SELECT name FROM clusters WHERE deleted_at IS NULL ORDER BY seq")]


def test_a_fleet_is_added_changed_and_told_of_what_it_lacks(own: Keeper, proxy: Proxy, tmp_path: Path) -> None:
    one, two, three = (proxy.add_cluster() for _ in range(3))
    file = write(own, tmp_path, {"one": one, "two": two})
    code, out, _ = own.clusters_command("apply", file, "--dry-run")
    assert code == 0 and out == "one is added.\ntwo is added.\n" and names(own) == []
    code, out, err = own.clusters_command("apply", file)
    assert code == 0, out + err
    assert names(own) == ["one", "two"]
    file = write(own, tmp_path, {"uno": one, "three": three}, region="eu", mode="manage")
    code, out, err = own.clusters_command("apply", file, "--dry-run")
    assert code == 0 and "is changed: name one -> uno; region local -> eu." in out
    assert "three is added." in out and "is not in the file." in out
    assert "is to be in mode manage" in err and names(own) == ["one", "two"]
    code, out, err = own.clusters_command("apply", file)
    assert code == 0, out + err
    assert names(own) == ["uno", "two", "three"], "what the file lacks stays"
    assert rows_of(own.path, "SELECT region_id FROM cluster_details ORDER BY cluster_seq") == [
        ("eu",),
        ("local",),
        ("eu",),
    ]
    code, out, err = own.clusters_command("apply", file, "--prune", "--yes")
    assert code == 0 and "two is removed; 0 credentials live on there." in out
    assert names(own) == ["uno", "three"]


def test_where_one_cannot_be_recorded_none_is_and_every_fault_is_named(
    own: Keeper, proxy: Proxy, tmp_path: Path
) -> None:
    good, dead, html = (proxy.add_cluster() for _ in range(3))
    dead.fault, html.fault = Fault.down(), Fault.html()
    file = write(own, tmp_path, {"good": good, "dead": dead, "html": html})
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", file)
    assert code == 2 and "Nothing was recorded." in err
    assert "(dead)" in err and "connection failed" in err and "(html)" in err and "not JSON" in err
    assert contents(own.path) == before


def test_one_cluster_under_two_names_and_a_name_that_is_taken_are_refused(
    own: Keeper, proxy: Proxy, tmp_path: Path
) -> None:
    one, two = proxy.add_cluster(), proxy.add_cluster()
    own.register(one.url, "taken", signer=False)
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", write(own, tmp_path, {"taken": two}))
    assert code == 2 and "There is a cluster called taken already" in err
    code, _, err = own.clusters_command("apply", write(own, tmp_path, {"this": one, "that": one}))
    assert code == 2 and "one and the same" in err
    assert contents(own.path) == before
