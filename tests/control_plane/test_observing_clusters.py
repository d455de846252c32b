"""What becomes of clusters that are looked at again and again: another CA, another cluster, none."""

import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.keeping import KUBE_SYSTEM, ONLY_WHEN_ASKED, Keeper, keeping
from control_plane.proxy import Cluster, Fault, Proxy
from control_plane.test_managing import forget_client_ca, objects, trusting
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from kubecustody.client import ApiError, Client
from kubecustody.client.flow import NO_RETRIES
from kubecustody.pki.issuing import make_ca

pytestmark = pytest.mark.control_plane


def epochs(keeper: Keeper) -> list[int]:
    return [details["epoch"] for _, _, details in keeper.events("trust_changed")]


def test_what_a_cluster_says_of_its_client_ca_is_followed(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    other = make_ca("another client CA", int(time.time()), 30)
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper, trusting(control_plane, other) as distrust:
        keeper.register(proxy.add_cluster().url, signer=False)
        keeper.let_issue(other)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        assert (keeper.state(anna).cert_state, epochs(keeper)) == ("Unexpired", [1])
        distrust()
        keeper.look()
        assert keeper.state(anna).cert_state == "Unexpired", "API servers only add to what they tell"
        forget_client_ca(control_plane)
        keeper.look()
        row = keeper.state(anna)
        assert (row.cert_state, row.can_get_in, epochs(keeper)) == ("Unknown", "unproven", [1, 2])
        keeper.look()
        assert epochs(keeper) == [1, 2]
        bert = keeper.add_person("bert")
        with pytest.raises(ApiError) as refused:
            keeper.get(bert)
        assert refused.value.code == "ErrorClusterState" and "would not take what is issued" in refused.value.message
        keeper.clean(anna)
        keeper.look()
        assert keeper.state(anna).cert_state == "Removed", "that its CA is gone is proof"
        keeper.let_issue(control_plane.client_ca)
        assert keeper.get(bert) and keeper.state(bert).cert_state == "Unexpired"


def test_of_another_cluster_at_the_address_nothing_is_taken_and_nothing_is_written_to_it(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    other = make_ca("another client CA", int(time.time()), 30)
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        own_uid, cluster.uid = cluster.uid, str(uuid.uuid4())
        with trusting(control_plane, other):
            before = objects(control_plane)
            keeper.look()
            keeper.grant(anna, "admin")
            for _ in range(2):
                assert cluster.uid in keeper.look()["identity"]
            assert objects(control_plane) == before
            assert epochs(keeper) == [1]
        assert len(keeper.events("cluster_identity_changed")) == 1, "told once, and not at each look"
        with pytest.raises(ApiError) as refused:
            keeper.get(keeper.add_person("bert"))
        assert refused.value.code == "ErrorClusterState"
        row = keeper.state(anna)
        assert (row.cert_state, row.reachable) == ("Unknown", False)
        cluster.uid = own_uid
        assert keeper.look() == {}
        row = keeper.state(anna)
        assert (row.cert_state, row.reachable) == ("Unexpired", True)
        assert len(keeper.ours()) == 1


def test_another_cluster_at_the_address_is_asked_to_sign_nothing(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """Also before anybody has looked and seen that it is another."""
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        keeper.register(cluster.url, signer=False)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        cluster.uid = str(uuid.uuid4())
        cluster.requests.clear()
        with pytest.raises(ApiError) as refused:
            keeper.get(anna, minutes=60)
        assert refused.value.code == "ErrorClusterNotUsable" and "another cluster answers" in refused.value.message
        assert [seen for seen in cluster.requests if seen.method != "GET"] == []


def test_a_cluster_that_does_not_say_who_it_is_is_not_believed_about_its_ca(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    other = make_ca("another client CA", int(time.time()), 30)
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        cluster.fault = Fault.status(403, strikes=lambda _, path: path == KUBE_SYSTEM)
        with trusting(control_plane, other):
            told = keeper.look()
            assert "403" in told["identity"]
            assert epochs(keeper) == [1]
            cluster.fault = None
            keeper.look()
            assert epochs(keeper) == [1, 2]


def test_a_cluster_that_is_down_keeps_its_states_and_is_shown_as_not_reachable(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane, **ONLY_WHEN_ASKED) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        before = keeper.state(anna)
        cluster.fault = Fault.down()
        for _ in range(2):
            assert "connection failed" in keeper.look()["version"]
        row = keeper.state(anna)
        assert (row.cert_state, row.reachable, before.reachable) == (before.cert_state, False, True)
        assert [one.state for one in keeper.client.describe_clusters_v1().clusters] == ["running"]
        cluster.fault = None
        keeper.look()
        assert keeper.state(anna).reachable is True
        kinds = [kind for kind, _, _ in keeper.events("cluster_reached", "cluster_not_reached")]
        assert kinds == ["cluster_reached", "cluster_not_reached", "cluster_reached"]


def looks(cluster: Cluster) -> list[float]:
    """When somebody began to look at it."""
    return [seen.at for seen in cluster.requests if seen.path.startswith("/version")]


def test_clusters_that_hang_or_are_dead_delay_nobody(control_plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane, observe_every_seconds="1") as keeper:
        clusters = {name: proxy.add_cluster() for name in ("hanging", "dead", "well")}
        for name, cluster in clusters.items():
            keeper.register(cluster.url, name, signer=False)
        clusters["hanging"].fault, clusters["dead"].fault = Fault.slow(30), Fault.down()
        eventually(lambda: len(keeper.events("cluster_not_reached")) == 1)
        well = clusters["well"]
        seen = len(looks(well))
        eventually(lambda: len(looks(well)) >= seen + 4, seconds=10)


def test_slow_clusters_that_are_registered_delay_no_look_of_the_observer(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    with keeping(tmp_path, control_plane, observe_every_seconds="1") as keeper:
        well, hanging = proxy.add_cluster(), proxy.add_cluster()
        keeper.register(well.url, "well", signer=False)
        hanging.fault = Fault.slow(30)
        kubeconfig = control_plane.kubeconfig(url=hanging.url)

        def register(number: int) -> str:
            with Client(keeper.endpoint, retries=NO_RETRIES) as client, pytest.raises(ApiError) as refused:
                client.register_cluster(kubeconfig, f"hanging-{number}")
            return refused.value.code

        with ThreadPoolExecutor(12) as pool:
            begun = time.monotonic()
            answers = list(pool.map(register, range(12)))
        times = [at for at in looks(well) if at > begun]
        assert len(times) >= 6
        assert max(after - before for before, after in itertools.pairwise(times)) < 4
        assert sorted(set(answers)) == ["ErrorClusterNotUsable", "Throttling.User"]
        assert answers.count("ErrorClusterNotUsable") == 4


def test_workers_share_the_looking(control_plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane, observe_every_seconds="5", workers="2") as keeper:
        cluster = proxy.add_cluster()
        keeper.register(cluster.url, signer=False)
        begun = time.monotonic()
        eventually(lambda: len([at for at in looks(cluster) if at > begun]) >= 3, seconds=30)
        times = [at for at in looks(cluster) if at > begun]
        assert len(times) >= 3
        assert all(after - before > 2.9 for before, after in itertools.pairwise(times))
        assert rows_of(keeper.path, "SELECT COUNT(*) FROM leases WHERE name LIKE 'look/%'") == [(1,)]
