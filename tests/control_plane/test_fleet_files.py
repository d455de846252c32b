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


def events(keeper: Keeper) -> int:
    ((count,),) = rows_of(keeper.path, "SELECT COUNT(*) FROM events")
    return int(count)


def test_a_fleet_is_added_changed_and_told_of_what_it_lacks(own: Keeper, proxy: Proxy, tmp_path: Path) -> None:
    one, two, three = (proxy.add_cluster() for _ in range(3))
    file = write(own, tmp_path, {"one": one, "two": two})
    code, out, err = own.clusters_command("apply", file, "--dry-run")
    assert code == 0, err
    assert "one is added.\n" in out and "two is added.\n" in out and names(own) == []
    code, out, err = own.clusters_command("apply", file)
    assert code == 0, out + err
    assert names(own) == ["one", "two"]
    file = write(own, tmp_path, {"uno": one, "three": three}, region="eu")
    code, out, err = own.clusters_command("apply", file, "--dry-run")
    assert code == 0 and "is changed: name one -> uno; region local -> eu." in out
    assert "three is added." in out and "is not in the file." in out
    assert names(own) == ["one", "two"]
    code, out, err = own.clusters_command("apply", file)
    assert code == 0, out + err
    assert names(own) == ["uno", "two", "three"], "what the file lacks stays"
    sql = "SELECT region_id FROM cluster_details ORDER BY cluster_seq"
    assert rows_of(own.path, sql) == [("eu",), ("local",), ("eu",)]
    code, out, err = own.clusters_command("apply", file, "--prune", "--yes")
    assert code == 0 and "two is removed; 0 credentials live on there." in out
    assert names(own) == ["uno", "three"]


def test_what_is_applied_again_changes_nothing_and_names_may_be_swapped(
    own: Keeper, proxy: Proxy, tmp_path: Path
) -> None:
    one, two = proxy.add_cluster(), proxy.add_cluster()
    file = write(own, tmp_path, {"one": one, "two": two})
    assert own.clusters_command("apply", file)[0] == 0
    before = contents(own.path)
    code, out, err = own.clusters_command("apply", file)
    assert code == 0 and out.count("is unchanged.") == 2, out + err
    assert contents(own.path) == before
    count = events(own)
    code, out, _ = own.clusters_command("apply", write(own, tmp_path, {"one": two, "two": one}))
    assert code == 0 and "name two -> one" in out and "name one -> two" in out
    assert names(own) == ["two", "one"] and events(own) == count + 2
    code, out, _ = own.clusters_command("apply", write(own, tmp_path, {"one": two}, api_servers=2))
    assert code == 1 and "API servers (none) -> 2" in out and "names 0 API servers, and 2 are declared" in out
    sql = "SELECT declared_api_servers FROM cluster_details ORDER BY cluster_seq"
    assert rows_of(own.path, sql) == [(None,), (2,)]


def test_a_cluster_is_managed_by_the_plan_that_the_file_accepts(own: Keeper, proxy: Proxy, tmp_path: Path) -> None:
    cluster = proxy.add_cluster()
    file = write(own, tmp_path, {"prod": cluster}, mode="manage")
    code, out, err = own.clusters_command("apply", file)
    assert code == 1 and "prod is to be managed. The plan:\nNothing is to be changed." in out
    plan = err.rsplit("`plan: ", 1)[1].split("`")[0]
    assert rows_of(own.path, "SELECT mode FROM cluster_details") == [("observe",)]
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", write(own, tmp_path, {"prod": cluster}, mode="manage", plan="other"))
    assert code == 2 and "(prod): the plan is another by now" in err and contents(own.path) == before
    file = write(own, tmp_path, {"prod": cluster}, mode="manage", plan=plan)
    code, out, err = own.clusters_command("apply", file)
    assert code == 0 and "prod is managed from now on." in out, out + err
    code, out, err = own.clusters_command("apply", file)
    assert code == 0 and "is unchanged." in out and "managed from now on" not in out, out + err
    code, out, err = own.clusters_command("apply", write(own, tmp_path, {"prod": cluster}, mode="observe"))
    assert code == 0 and "mode manage -> observe" in out
    assert rows_of(own.path, "SELECT mode FROM cluster_details") == [("observe",)]


def test_where_one_cannot_be_recorded_none_is_and_every_fault_is_named(
    own: Keeper, proxy: Proxy, tmp_path: Path
) -> None:
    good, dead, html = (proxy.add_cluster() for _ in range(3))
    dead.fault, html.fault = Fault.down(), Fault.html()
    file = write(own, tmp_path, {"good": good, "dead": dead, "html": html})
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", file)
    assert code == 1 and "Nothing was recorded." in err
    assert "(dead)" in err and "connection failed" in err and "(html)" in err and "not JSON" in err
    assert contents(own.path) == before


def test_one_that_is_changed_stays_as_it_is_where_another_cannot_be_recorded(
    own: Keeper, proxy: Proxy, tmp_path: Path
) -> None:
    one, two = proxy.add_cluster(), proxy.add_cluster()
    own.register(one.url, "one", signer=False)
    own.register(proxy.add_cluster().url, "taken", signer=False)
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", write(own, tmp_path, {"uno": one, "taken": two}, region="eu"))
    assert code == 1 and "Clusters[1] (taken): There is a cluster called taken already" in err
    assert contents(own.path) == before


def test_one_cluster_under_two_names_is_refused(own: Keeper, proxy: Proxy, tmp_path: Path) -> None:
    one = proxy.add_cluster()
    before = contents(own.path)
    code, _, err = own.clusters_command("apply", write(own, tmp_path, {"this": one, "that": one}))
    assert code == 1 and "Clusters[0] (this) and Clusters[1] (that) are one cluster." in err
    assert contents(own.path) == before
