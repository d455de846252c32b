"""A cluster goes from the server: cleaned first, or with what lives on told."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import UNSET

from control_plane.control_plane import ControlPlane
from control_plane.keeping import KUBE_SYSTEM, ONLY_WHEN_ASKED, Keeper, keeping, name_of, statuses
from control_plane.proxy import Fault, Proxy
from custody.books import ask as rows_of
from custody.books import contents
from installations import free_port
from kubecustody.cluster.client import MARKER_NAME

pytestmark = pytest.mark.control_plane

MARKER = f"{KUBE_SYSTEM}/configmaps/{MARKER_NAME}"


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper of no cluster yet."""
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        yield keeper


def test_without_saying_what_becomes_of_people_nothing_is_removed(own: Keeper) -> None:
    own.register()
    before = contents(own.path)
    code, _, err = own.clusters_command("remove", own.cluster_id, "--yes")
    assert code == 2 and "--clean or --leave" in err
    code, _, err = own.clusters_command("remove", own.cluster_id, "--clean", "--leave", "--yes")
    assert code == 2
    with pytest.raises(Exception, match="Removal: is ''; it must be clean or leave"):
        own.client.remove_cluster(own.cluster_id, removal="")
    assert contents(own.path) == before


def test_a_cluster_that_is_cleaned_goes_with_everybodys_removal_proved(own: Keeper) -> None:
    plane = own.plane
    own.register()
    own.manage()
    people = [own.add_person(name) for name in ("anna", "bert")]
    credentials = [own.get(uid) for uid in people]
    for uid in people:
        own.grant(uid, "admin")
    own.look()
    assert statuses(plane, *credentials) == [200] * 4
    code, out, err = own.clusters_command("remove", own.cluster_id, "--clean", "--dry-run")
    assert code == 0 and out.startswith("2 credentials may still get in, the last of them until 20"), out + err
    assert all(name_of(one) in out for one in credentials)
    assert statuses(plane, *credentials) == [200] * 4
    code, out, err = own.clusters_command("remove", own.cluster_id, "--clean", "--yes")
    assert code == 0, out + err
    assert "Nothing that people hold there lives." in out and "is removed" in out and "kubectl delete namespace" in err
    assert statuses(plane, *credentials) == [403] * 4
    assert [own.removed_by(one) for one in credentials] == ["proved", "proved"]
    assert own.ours() == {} and plane.ask("GET", MARKER).status == 404
    assert rows_of(own.path, "SELECT COUNT(*) FROM cluster_accesses") == [(0,)], "its secret is kept no longer"
    ((_, _, details),) = own.events("cluster_deleted")
    assert details == {"removal": "clean"}
    code, _, err = own.clusters_command("remove", own.cluster_id, "--leave", "--yes")
    assert code == 1 and "it is deleted already" in err


def test_while_removals_wait_the_cluster_stays_and_the_same_command_goes_on(own: Keeper, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    own.register(cluster.url)
    own.manage()
    uid = own.add_person("anna")
    own.get(uid)
    own.grant(uid, "admin")
    own.look()
    cluster.fault = Fault.down()
    command = ("remove", own.cluster_id, "--clean", "--yes", "--wait", "1")
    code, out, err = own.clusters_command(*command)
    assert code == 1 and "removal asked" in out and "connection failed" in err and "the same command goes on" in err
    assert rows_of(own.path, "SELECT deleted_at FROM clusters") == [(None,)]
    cluster.fault = None
    code, out, err = own.clusters_command(*command)
    assert code == 0 and "is removed" in out, err
    assert own.ours() == {}


def test_of_a_cluster_that_is_only_observed_it_is_said_that_nobody_takes_anything_out(own: Keeper) -> None:
    own.register()
    own.manage()
    own.get(own.add_person("anna"))
    own.client.manage_cluster(own.cluster_id, mode="observe")
    code, _, err = own.clusters_command("remove", own.cluster_id, "--clean", "--yes", "--wait", "0")
    assert code == 1 and "only observed" in err and "removals attest" in err


def test_what_is_left_lives_on_and_is_told(own: Keeper) -> None:
    plane = own.plane
    own.register()
    own.manage()
    uid = own.add_person("anna")
    credential = own.get(uid)
    own.grant(uid, "admin")
    own.look()
    told = own.client.remove_cluster(own.cluster_id, removal="leave")
    assert (told.state, told.living_count, told.living[0].uid) == ("deleted", 1, uid)
    assert told.living_until == told.living[0].cert_expire_time != ""
    assert told.living[0].common_name == name_of(credential) and not told.living[0].removal_requested
    assert statuses(plane, credential) == [200, 200], "it lives on, as was said"
    assert plane.ask("GET", MARKER).status == 404, "another installation may manage it from now on"
    assert [one.state for one in own.client.describe_clusters_v1().clusters] == ["deleted"]


def test_a_cluster_that_is_gone_for_good_can_be_left(own: Keeper, proxy: Proxy) -> None:
    cluster = proxy.add_cluster()
    own.register(cluster.url)
    own.manage()
    cluster.fault = Fault.down()
    told = own.client.remove_cluster(own.cluster_id, removal="leave")
    assert told.state == "deleted" and "Its mark stays" in " ".join(told.notes)


def test_each_cluster_that_is_reached_has_its_metrics(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    port = free_port()
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED, metrics_listen=f"127.0.0.1:{port}") as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        value = functools.partial(keeper.cluster_metric, port)
        ((expires_at,),) = rows_of(keeper.path, "SELECT expires_at FROM cluster_accesses")
        assert value("up") == 1 and value("own_access_expiry_timestamp_seconds") == expires_at
        assert value("oldest_waiting_removal_timestamp_seconds") is None
        reached = value("last_sync_timestamp_seconds")
        (listed,) = keeper.client.describe_clusters_v1(detail=True).clusters
        assert listed.mode == "manage" and listed.own_access_expires_at
        assert keeper.client.describe_clusters_v1().clusters[0].mode is UNSET, "as the provider answers, unless asked"
        uid = keeper.add_person("anna")
        keeper.get(uid)
        cluster.fault = Fault.down()
        keeper.clean(uid)
        keeper.look()
        ((asked,),) = rows_of(keeper.path, "SELECT removal_requested_at FROM credentials")
        assert (value("up"), value("last_sync_timestamp_seconds")) == (0, reached)
        assert value("oldest_waiting_removal_timestamp_seconds") == asked
