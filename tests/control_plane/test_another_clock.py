"""A cluster whose clock is an hour off: the server's is an hour before it or behind it, and the API servers judge.

`ours` is by how much this server's clock is ahead of the cluster's. The whole server process lives in that hour, and so
does whoever asks it; the API servers, which no one can make believe another time, live in the machine's.
"""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

import installations
from control_plane import at_another_time
from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import Keeper, bound_by_others, keeping, name_of, role_binding, statuses
from control_plane.test_managing import again
from control_plane.waiting import eventually
from kubecustody.cli.programs import free_port
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import add_principal
from kubecustody.custody.sessions import NewSession, begin_session

pytestmark = pytest.mark.control_plane

HOUR = 3600
DIFFERENT = "cluster_clock_differs", "cluster_clock_agrees"


@pytest.fixture(params=[HOUR, -HOUR], ids=["ours_is_ahead", "ours_is_behind"])
def ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """By how much this server's clock is ahead; for this process too."""
    seconds: int = request.param
    live_in(seconds, monkeypatch)
    yield seconds


def live_in(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installations, "PROGRAM", [sys.executable, at_another_time.__file__, str(seconds)])
    monkeypatch.setattr(time, "time", at_another_time.shifted(seconds))


@pytest.fixture
def keeper(ours: int, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """A cluster that signs itself, managed."""
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(signer=False)
        keeper.manage()
        yield keeper


def skew_of(keeper: Keeper) -> int:
    (listed,) = keeper.client.describe_clusters_v1(detail=True).clusters
    assert isinstance(listed.clock_skew_seconds, int)
    return listed.clock_skew_seconds


# --- what is told


def test_the_skew_is_told_recorded_counted_and_over_once_the_clocks_agree(
    control_plane: ControlPlane, tmp_path: Path, ours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = free_port()
    with keeping(tmp_path, control_plane, metrics_listen=f"127.0.0.1:{metrics}") as keeper:
        report = keeper.register()
        (told,) = [one.text for one in report.findings if not one.ok]
        way = "behind" if ours > 0 else "ahead of"
        assert re.match(rf"Its clock is 3[56]\d\d s {way} this server's: certificates ", told)
        keeper.manage()
        code, out, _ = keeper.clusters_command("test", "prod")
        assert code == 1 and "NO  clock: Its clock is " in out
        assert abs(skew_of(keeper) + ours) <= 3
        counted = keeper.cluster_metric(metrics, "clock_skew_seconds")
        assert counted is not None and abs(counted + ours) <= 3
        ((kind, _, details),) = keeper.events(*DIFFERENT)
        assert kind == DIFFERENT[0] and abs(details["clock_skew_seconds"] + ours) <= 3
        keeper.server.stop()
        live_in(0, monkeypatch)
        with again(keeper) as restarted:
            assert restarted.look() == {}
            assert skew_of(restarted) == 0
            assert [kind for kind, _, _ in restarted.events(*DIFFERENT)] == [*DIFFERENT]


# --- issuing, renewing, removing


def test_what_either_signer_issues_works_at_once_and_is_renewed_and_removed_with_proof(
    keeper: Keeper, ours: int
) -> None:
    """What would be over at once is refused: what the CA here signs, the API servers would take too late, and what the
    cluster signs, this server would bind no more.
    """
    anna = keeper.add_person("anna")
    keeper.grant(anna, "admin")
    for signer, minutes in (("csr", 30), ("ca", 45)):
        if signer == "ca":
            keeper.let_issue(keeper.plane.client_ca)
        by_whose_clock = 0 if signer == "ca" else -ours
        credential = keeper.get(anna, minutes=240)
        eventually(lambda it=credential: statuses(keeper.plane, it) == [200, 200])
        assert abs(end_of(credential) - (time.time() + by_whose_clock + 4 * HOUR)) < 60
        assert keeper.get(anna, minutes=240) == credential, "it is handed out again while half of it is left"
        if (signer == "csr") == (ours > 0):
            with pytest.raises(ApiError) as refused:
                keeper.get(anna, minutes=minutes)
            assert refused.value.code == "ErrorClusterState"
            assert "would be over" in refused.value.message and "(NTP)" in refused.value.message
        else:
            short = keeper.get(anna, minutes=minutes)
            eventually(lambda it=short: statuses(keeper.plane, it) == [200, 200])
        assert keeper.revoke(credential) == "proof"
        eventually(lambda it=credential: keeper.removed_by(it) == "proved")
        assert statuses(keeper.plane, credential) == [403, 403]
    lasting = keeper.get(anna)
    keeper.client.update_k8s_cluster_user_config_expire(keeper.cluster_id, 2, anna)
    renewed = keeper.get(anna)
    eventually(lambda: statuses(keeper.plane, lasting, renewed) == [200] * 4)
    assert abs(end_of(renewed) - (time.time() + 2 * HOUR)) < 60
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(lasting) == keeper.removed_by(renewed) == "proved")
    assert statuses(keeper.plane, lasting, renewed) == [403] * 4
    assert keeper.state(anna).cert_state == "Removed"
    assert keeper.events("signed_longer") == []


def end_of(credential: Identity) -> float:
    assert credential.pair is not None
    return x509.load_pem_x509_certificate(credential.pair.certificate).not_valid_after_utc.timestamp()


# --- ends


def test_an_end_is_by_this_servers_second_and_whoever_still_gets_in_is_told_and_removed(
    keeper: Keeper, tmp_path: Path, ours: int
) -> None:
    """The API servers go by their own second: an hour later where they are behind, an hour sooner where ahead."""
    is_taken = ours > 0
    people = anna, bert = keeper.add_person("anna"), keeper.add_person("bert")
    theirs = [imported(keeper, tmp_path, uid, seconds=8) for uid in people]
    ends_at = int(end_of(theirs[1]))
    with (
        bound_by_others(keeper.plane, role_binding("others-1", name_of(theirs[0]), role="cluster-admin")),
        bound_by_others(keeper.plane, role_binding("others-2", name_of(theirs[1]), role="cluster-admin")),
    ):
        keeper.clean(bert)
        is_so = [200 if is_taken else 401] * 4
        eventually(lambda: statuses(keeper.plane, *theirs) == is_so)
        check_states(keeper, anna, int(end_of(theirs[0])))
        eventually(lambda: time.time() > ends_at + 1)
        assert statuses(keeper.plane, *theirs) == is_so
        keeper.look()
        for uid in people:
            row = keeper.state(uid)
            assert (row.cert_state, row.can_get_in) == ("Expired", "unproven" if is_taken else "no")
            assert row.cert_state_reason.startswith("The newest certificate known here ended at ")
            assert row.cert_state_reason.endswith("it is taken there for so much longer.") == is_taken
        assert keeper.removed_by(theirs[1]) is None
    keeper.look()
    expected = "proved" if is_taken else None  # what is over everywhere needs no proof
    assert [keeper.removed_by(one) for one in theirs] == [None, expected]


def imported(keeper: Keeper, folder: Path, uid: str, *, seconds: int) -> Identity:
    """A credential of the person's that ends so soon by the server's clock, of the cluster's CA."""
    credential = keeper.plane.issue(f"{uid}-1", begins=-3 * HOUR, ends=seconds)
    file = folder / f"{uid}.kubeconfig"
    file.write_text(keeper.plane.kubeconfig(credential))
    keeper.installation.command(
        "admin", "credentials", "import", str(file), "--cluster", keeper.cluster_id, "--keep-private-keys"
    )
    return credential


def check_states(keeper: Keeper, uid: str, ends_at: int) -> None:
    """It is Unexpired up to this second of the server's clock, and Expired after it."""
    seen = set()
    while time.time() < ends_at + 2:
        before, state, after = time.time(), keeper.state(uid).cert_state, time.time()
        assert state == "Unexpired" or after > ends_at
        assert state == "Expired" or before <= ends_at + 1
        seen.add(state)
        time.sleep(0.05)
    assert seen == {"Unexpired", "Expired"}


@pytest.mark.parametrize("ours", [HOUR], indirect=True)
def test_sessions_go_by_this_servers_clock_alone(keeper: Keeper) -> None:
    installation = keeper.installation
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="deployer")
    installation.change(set_attachment, "AliyunCSFullAccess", attached=True, user="deployer")
    begun: NewSession = installation.change(
        begin_session, "deployer", name="ci", seconds=900, now=int(time.time()) - 900 + 5
    )
    session = begun.session
    endpoint = Endpoint(keeper.server.url, session.access_key_id, session.secret, security_token=begun.token)
    with Client(endpoint) as client:
        assert client.describe_clusters_v1().clusters
        eventually(lambda: time.time() > session.ends_at + 1)
        with pytest.raises(ApiError) as refused:
            client.describe_clusters_v1()
    assert "Expired" in refused.value.code
