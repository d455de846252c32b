"""The proxy's clusters are told apart, let people in as who they are, and go wrong as they are told to."""

import json
import ssl
import time
from contextlib import closing
from http.client import HTTPException, HTTPSConnection, IncompleteRead

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import NOBODY, Identity, client_context
from control_plane.proxy import KUBE_SYSTEM, Cluster, Fault, Proxy

pytestmark = pytest.mark.control_plane

NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
def cluster(proxy: Proxy) -> Cluster:
    return proxy.add_cluster()


def connect(plane: ControlPlane, cluster: Cluster) -> HTTPSConnection:
    context = client_context(plane.server_ca, plane.admin.pair)
    return HTTPSConnection(cluster.address, cluster.port, context=context, timeout=10)


def get(plane: ControlPlane, cluster: Cluster, path: str = NAMESPACES) -> tuple[int, dict[str, str], bytes]:
    """The whole answer, headers included."""
    with closing(connect(plane, cluster)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


def status_of(plane: ControlPlane, cluster: Cluster) -> int:
    return plane.ask("GET", NAMESPACES, url=cluster.url).status


def test_each_cluster_has_a_uid_of_its_own(control_plane: ControlPlane, proxy: Proxy) -> None:
    clusters = [proxy.add_cluster() for _ in range(3)]
    seen = [control_plane.ask("GET", KUBE_SYSTEM, url=one.url).document["metadata"]["uid"] for one in clusters]
    assert seen == [one.uid for one in clusters]
    assert len({*seen, control_plane.uid()}) == 4
    assert len({one.address for one in clusters}) == 3
    shown = control_plane.kubectl(
        "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}", url=clusters[0].url
    )
    assert shown == clusters[0].uid


def test_a_holder_goes_on_as_the_same_user(control_plane: ControlPlane, cluster: Cluster) -> None:
    person = control_plane.issue("2111-1")
    direct, through = control_plane.whoami(person), control_plane.whoami(person, url=cluster.url)
    assert through == direct
    assert cluster.requests[-1].user == "2111-1"


def test_nobody_stays_nobody_and_tokens_go_on_as_they_are(control_plane: ControlPlane, cluster: Cluster) -> None:
    assert control_plane.whoami(NOBODY, url=cluster.url).status == 403
    assert control_plane.whoami(Identity(token="wrong"), url=cluster.url).status == 401
    made = control_plane.ask("POST", f"{NAMESPACES}/default/serviceaccounts", body={"metadata": {"name": "robot"}})
    assert made.status == 201
    token = control_plane.kubectl("create", "token", "robot").strip()
    user = control_plane.whoami(Identity(token=token), url=cluster.url).document
    assert user["username"] == "system:serviceaccount:default:robot"


def test_nobody_becomes_somebody_by_the_proxys_own_headers(control_plane: ControlPlane, cluster: Cluster) -> None:
    headers = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
    answer = control_plane.ask("GET", NAMESPACES, control_plane.issue("2111-1"), url=cluster.url, headers=headers)
    assert answer.status == 403
    assert control_plane.ask("GET", NAMESPACES, NOBODY, url=cluster.url, headers=headers).status == 403


def test_a_certificate_of_another_ca_breaks_the_handshake(control_plane: ControlPlane, cluster: Cluster) -> None:
    expired = control_plane.issue("2111-1", begins=-120, ends=-60)
    with pytest.raises(OSError):
        control_plane.whoami(expired, url=cluster.url)


def test_tls_passed_through_is_the_api_servers_own(control_plane: ControlPlane, proxy: Proxy) -> None:
    through = proxy.add_cluster(passes_tls_through=True)
    expired = control_plane.issue("2111-1", begins=-120, ends=-60)
    assert control_plane.whoami(expired, url=through.url).status == 401
    assert control_plane.whoami(control_plane.issue("2111-1"), url=through.url).status == 201
    assert control_plane.ask("GET", KUBE_SYSTEM, url=through.url).document["metadata"]["uid"] == control_plane.uid()
    through.fault = Fault.down()
    with pytest.raises(ConnectionRefusedError):
        status_of(control_plane, through)
    through.fault = Fault.slow(0.3)
    begun = time.monotonic()
    assert status_of(control_plane, through) == 200
    assert time.monotonic() - begun >= 0.3


def test_writes_and_watches_go_through(control_plane: ControlPlane, cluster: Cluster) -> None:
    with closing(connect(control_plane, cluster)) as connection:
        connection.request("GET", f"{NAMESPACES}/default/configmaps?watch=1&timeoutSeconds=20")
        watch = connection.getresponse()
        control_plane.kubectl("create", "configmap", "through", "--from-literal=a=b", url=cluster.url)
        while json.loads(watch.readline())["object"]["metadata"]["name"] != "through":
            pass
    control_plane.kubectl("delete", "configmap", "through", url=cluster.url)


def test_down_refuses_and_ends_what_is_open(control_plane: ControlPlane, cluster: Cluster) -> None:
    with closing(connect(control_plane, cluster)) as connection:
        connection.request("GET", NAMESPACES)
        connection.getresponse().read()
        cluster.fault = Fault.down()
        with pytest.raises((OSError, HTTPException)):
            connection.request("GET", NAMESPACES)
            connection.getresponse()
    with pytest.raises(ConnectionRefusedError):
        status_of(control_plane, cluster)
    cluster.fault = None
    assert status_of(control_plane, cluster) == 200


def test_slow_answers_later(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.slow(0.5)
    begun = time.monotonic()
    assert status_of(control_plane, cluster) == 200
    assert time.monotonic() - begun >= 0.5


def test_wrong_ca_is_vouched_for_by_nobody(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.wrong_ca()
    with pytest.raises(ssl.SSLCertVerificationError):
        status_of(control_plane, cluster)
    assert "x509" in control_plane.run_kubectl("get", "namespaces", url=cluster.url).stderr
    cluster.fault = None
    assert status_of(control_plane, cluster) == 200


@pytest.mark.parametrize("code", [401, 403, 409, 429, 500, 503])
def test_a_status_is_one_that_kubectl_understands(code: int, control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.status(code, strikes=lambda _, path: path == NAMESPACES)
    status, headers, text = get(control_plane, cluster)
    document = json.loads(text)
    assert (status, document["code"], document["kind"]) == (code, code, "Status")
    assert "Retry-After" not in headers
    done = control_plane.run_kubectl("get", "namespaces", url=cluster.url)
    assert done.returncode == 1
    told = "You must be logged in" if code == 401 else f"Error from server ({document['reason']})"
    assert told in done.stderr


def test_retry_after_is_said_and_a_fault_can_be_over_by_itself(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.status(429, retry_after_seconds=1, times=2)
    assert get(control_plane, cluster)[1]["Retry-After"] == "1"
    assert [status_of(control_plane, cluster) for _ in range(2)] == [429, 200]
    cluster.fault = Fault.status(429, retry_after_seconds=1, times=1)
    before = len(cluster.requests)
    control_plane.kubectl("get", "--raw", NAMESPACES, url=cluster.url)
    first, second = cluster.requests[before:]
    assert second.at - first.at >= 1, "kubectl waited as long as it was told to"


def test_a_fault_strikes_what_it_is_told_to(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.status(409, strikes=lambda method, path: method == "POST" and path == NAMESPACES)
    assert status_of(control_plane, cluster) == 200
    assert control_plane.ask("POST", NAMESPACES, body={}, url=cluster.url).status == 409


def test_cut_ends_in_the_middle_of_the_real_answer(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.cut()
    with pytest.raises(IncompleteRead) as cut:
        get(control_plane, cluster)
    assert cut.value.partial.startswith(b'{"kind":"NamespaceList"')
    assert cut.value.expected is not None and cut.value.expected > 0


def test_html_says_all_is_well_and_is_no_json(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.html()
    status, headers, text = get(control_plane, cluster)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert text.startswith(b"<html>")


def test_endless_goes_on_until_the_asker_leaves(control_plane: ControlPlane, cluster: Cluster) -> None:
    cluster.fault = Fault.endless()
    wanted = 32 * 1024 * 1024
    with closing(connect(control_plane, cluster)) as connection:
        connection.request("GET", NAMESPACES)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read(wanted))) == (200, wanted)
    cluster.fault = None
    assert status_of(control_plane, cluster) == 200


def test_hundreds_of_clusters_are_one_api_server(control_plane: ControlPlane, proxy: Proxy) -> None:
    clusters = [proxy.add_cluster() for _ in range(300)]
    assert len({one.url for one in clusters}) == 300
    assert [status_of(control_plane, one) for one in (clusters[0], clusters[-1])] == [200, 200]
