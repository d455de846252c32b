"""Issuing through the cluster itself: what it signs is recorded once, whatever happens meanwhile."""

import json
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from control_plane.control_plane import ControlPlane
from control_plane.keeping import Keeper, keeping, name_of, statuses
from control_plane.proxy import Cluster, Fault, Proxy
from control_plane.test_managing import again
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from custody.books import tell
from kubecustody.client import ApiError, CallFailed, Client
from kubecustody.core.times import parse_time
from kubecustody.custody.principals import delete_principal

pytestmark = pytest.mark.control_plane

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
DAY = 86_400


@pytest.fixture
def place(proxy: Proxy) -> Cluster:
    return proxy.add_cluster()


@pytest.fixture
def keeper(control_plane: ControlPlane, place: Cluster, tmp_path: Path) -> Iterator[Keeper]:
    """A cluster that is managed and was never told what issues for it: it signs itself."""
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(place.url, signer=False)
        keeper.manage()
        yield keeper


def requests_left(keeper: Keeper) -> list[str]:
    items = keeper.plane.ask("GET", CSRS).document["items"]
    ours = tuple(f"kubecustody-{uid}-" for uid in keeper.people)
    return [one["metadata"]["name"] for one in items if one["metadata"]["name"].startswith(ours)]


def recorded(keeper: Keeper) -> int:
    ((count,),) = rows_of(keeper.path, "SELECT COUNT(*) FROM credentials")
    ((pending,),) = rows_of(keeper.path, "SELECT COUNT(*) FROM pending_issues")
    assert pending == 0
    return int(count)


def test_what_the_cluster_signs_works_in_kubectl_with_what_is_granted(keeper: Keeper) -> None:
    anna = keeper.add_person("anna")
    with Client(keeper.endpoint_of(anna)) as client:
        config = client.describe_cluster_user_kubeconfig(keeper.cluster_id).config
    keeper.grant(anna, "dev", namespace="default")
    plane = keeper.plane
    config = config.replace(yaml.safe_load(config)["clusters"][0]["cluster"]["server"], plane.url)
    may = ("auth", "can-i", "create", "pods", "-n", "default")
    eventually(lambda: plane.run_kubectl(*may, kubeconfig=config).stdout.strip() == "yes")
    assert plane.run_kubectl("auth", "can-i", "create", "pods", "-n", "kube-system", kubeconfig=config).returncode == 1
    assert (recorded(keeper), requests_left(keeper)) == (1, [])


def test_what_the_cluster_signs_for_less_says_when_it_really_ends(keeper: Keeper) -> None:
    """The controller manager of the tests signs for a day at most."""
    anna = keeper.add_person("anna")
    keeper.client.update_k8s_cluster_user_config_expire(keeper.cluster_id, 500 * 24, anna)
    asked_at = time.time()
    with Client(keeper.endpoint_of(anna)) as client:
        answer = client.describe_cluster_user_kubeconfig(keeper.cluster_id)
    ((_, uid, details),) = keeper.events("signed_shorter")
    assert (uid, details["asked_seconds"]) == (anna, 500 * DAY)
    ends_at = parse_time(answer.expiration)
    assert ends_at == details["not_after"] and abs(ends_at - asked_at - DAY) < 600
    assert keeper.state(anna).cert_expire_time == answer.expiration
    assert keeper.events("signed_longer", "removal_requested") == []


class Older(Cluster):
    """The plane as it was before Kubernetes 1.22: what is asked of how long to sign for is dropped silently."""

    def body_of(self, method: str, path: str, body: bytes) -> bytes:
        if (method, path) != ("POST", CSRS):
            return body
        document = json.loads(body)
        del document["spec"]["expirationSeconds"]
        return json.dumps(document).encode()


def test_what_the_cluster_signs_for_longer_is_given_to_nobody_and_removed(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """The real signer signs by its default, a day, where an hour was asked."""
    older = Older(proxy, "127.1.9.9", str(uuid.uuid4()))
    proxy.run(older.listen())
    proxy.clusters.append(older)
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(older.url, signer=False)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.grant(anna, "admin")
        asked_at = time.time()
        with pytest.raises(ApiError) as refused:
            keeper.get(anna, minutes=60)
        assert refused.value.code == "ErrorClusterState"
        assert "it signed for 1.0 days, so that this is given to nobody" in refused.value.message
        ((_, uid, details),) = keeper.events("signed_longer")
        assert (uid, details["asked_seconds"]) == (anna, 3600)
        assert abs(details["not_after"] - asked_at - DAY) < 600
        assert [uid for _, uid, _ in keeper.events("removal_requested")] == [anna]
        assert keeper.events("private_key_disclosed") == [] == requests_left(keeper)
        keeper.look()
        ((removed_by, not_after),) = rows_of(keeper.path, "SELECT removed_by, not_after FROM credentials")
        assert (removed_by, not_after) == ("proved", details["not_after"])
        row = keeper.state(anna)
        assert (row.cert_state, row.can_get_in) == ("Removed", "no")
        assert keeper.subjects() == {}


def test_what_is_signed_as_asked_is_told_as_nothing_else(keeper: Keeper) -> None:
    keeper.get(keeper.add_person("anna"), minutes=60)
    assert keeper.events("signed_longer", "signed_shorter") == []


@pytest.mark.parametrize("cut_at", ["POST", "PUT", "GET", "DELETE"])
def test_a_server_that_is_killed_while_the_cluster_signs_leaves_one_credential_and_no_request(
    keeper: Keeper, place: Cluster, cut_at: str
) -> None:
    """Killed while the answer to making, approving, fetching or deleting the request is on its way."""
    anna = keeper.add_person("anna")
    place.fault = Fault.slow(20, strikes=lambda method, path: method == cut_at and path.startswith(CSRS), times=1)

    def ask() -> None:
        with pytest.raises((CallFailed, ApiError)):
            keeper.get(anna, minutes=60)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: [seen for seen in place.requests if seen.method == cut_at and seen.path.startswith(CSRS)])
    keeper.server.process.send_signal(signal.SIGKILL)
    asking.join(30)
    place.fault = None
    # Nobody is at it any more; and what was signed so much later, or by a clock an hour ahead, is as long as was asked.
    tell(keeper.path, "UPDATE pending_issues SET begun_at = begun_at - 3600")
    with again(keeper) as restarted:

        def is_completed() -> bool:
            restarted.look()
            ((pending,),) = rows_of(keeper.path, "SELECT COUNT(*) FROM pending_issues")
            return pending == 0

        eventually(is_completed, seconds=20)
        credential = restarted.get(anna, minutes=60)
        assert recorded(restarted) == 1
        assert restarted.events("signed_longer", "signed_shorter", "removal_requested") == []
        restarted.grant(anna, "admin")
        eventually(lambda: statuses(restarted.plane, credential) == [200, 200])
        # What is recorded and was not deleted yet Kubernetes deletes by itself, an hour after it was signed.
        assert requests_left(restarted) == ([f"kubecustody-{name_of(credential)}"] if cut_at == "DELETE" else [])


def test_who_is_deleted_while_the_cluster_signs_is_given_nothing(keeper: Keeper, place: Cluster) -> None:
    anna = keeper.add_person("anna")
    place.fault = Fault.slow(3, strikes=lambda method, path: method == "PUT" and path.startswith(CSRS), times=1)
    refused: list[ApiError] = []

    def ask() -> None:
        try:
            keeper.get(anna)
        except ApiError as error:
            refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: [seen for seen in place.requests if seen.method == "PUT"])
    keeper.installation.change(delete_principal, "anna")
    asking.join(30)
    assert len(refused) == 1
    tell(keeper.path, "UPDATE pending_issues SET begun_at = begun_at - 120")
    keeper.look()
    keeper.look()
    assert (recorded(keeper), requests_left(keeper)) == (1, [])
    ((requested, removed_by),) = rows_of(keeper.path, "SELECT removal_requested_at, removed_by FROM credentials")
    assert requested is not None and removed_by == "proved"
    assert keeper.events("private_key_disclosed") == []
