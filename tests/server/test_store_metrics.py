"""What the metrics tell of the store: what its facts say, at each scrape."""

import math
import random
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from test_observing import read_metrics, sample
from test_running import wait_until

from custody.books import tell
from installations import Installation, free_port, serving, wait_for_port
from kubecustody.cli.demo_fleet import make_fleet
from kubecustody.core.names import PrincipalKind
from kubecustody.core.states import Credential, RemovedBy, is_live, state_of_credential
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.principals import NewAccessKey, add_principal
from kubecustody.pki.issuing import make_ca
from kubecustody.server.store_metrics import WATCHED_EVENTS, StoreMetrics
from kubecustody.settings import load_settings

NOW = 1_800_000_000
MOMENTS = (NOW - 2, NOW - 1, NOW, NOW + 1, NOW + 2)


def samples(metrics: StoreMetrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric by the values of their labels."""
    return {
        tuple(one.labels.values()): one.value
        for family in metrics.collect()
        for one in family.samples
        if one.name == name
    }


def at(moment: float) -> Any:
    return lambda: moment


@pytest.fixture
def cluster_id(installation: Installation) -> str:
    ca = make_ca("client CA", NOW - 1000, 1000).certificate
    found: str = installation.change(add_cluster, ClusterFields(name="prod", client_ca=ca))
    return found


def plant(installation: Installation, credentials: Iterable[Credential]) -> None:
    """Credentials of these facts in the first cluster, whatever could have led to them."""
    sql = (
        "INSERT INTO credentials (account_id, credential_no, uid, cluster_seq, origin, cn, issued_at, not_before, "
        "not_after, vouched_until, trust_epoch, verdict, masters, recorded_at, removal_requested_at, removed_at) "
        "VALUES (?, ?, '1', 1, 'imported', '1', 0, 0, ?, ?, ?, 'chains', 0, 0, ?, ?)"
    )
    for one in credentials:
        facts = (one.not_after, one.vouched_until, one.trust_epoch, one.removal_requested_at, one.removed_at)
        tell(installation.settings.store_file, sql, installation.account_id, one.number, *facts)


@pytest.mark.parametrize("now", [NOW, NOW + 0.001, NOW + 0.999])
@pytest.mark.usefixtures("cluster_id")
def test_credentials_are_counted_by_the_states_that_the_rule_gives(installation: Installation, now: float) -> None:
    dice = random.Random(now)
    credentials = [
        Credential(
            number,
            0,
            0,
            dice.choice([None, *MOMENTS]),
            dice.choice([None, *MOMENTS]),
            dice.choice([0, 1, 2]),
            removed_at=dice.choice([None, None, NOW - 5]),
            removed_by=RemovedBy.PROVED,
            removal_requested_at=dice.choice([None, NOW - 7, NOW - 6]),
        )
        for number in range(1, 400)
    ]
    plant(installation, credentials)
    metrics = StoreMetrics(installation.settings, at(now))
    wanted = Counter(state_of_credential(one, 1, now).value for one in credentials)
    assert len(wanted) == 4
    account = installation.account_id
    assert samples(metrics, "kubecustody_credentials") == {(account, state): wanted[state] for state in wanted}
    waiting = [one for one in credentials if one.removal_requested_at and is_live(one, now)]
    assert samples(metrics, "kubecustody_removals_waiting") == {(account,): len(waiting)}
    oldest = "kubecustody_oldest_waiting_removal_timestamp_seconds"
    assert samples(metrics, oldest) == {(account,): NOW - 7}


def test_the_soonest_end_is_that_of_the_person_who_is_left_without_first(tmp_path: Path) -> None:
    """Not the end of what bob held before, nor of what carol holds and was attested as removed."""
    settings = load_settings({}, {"data_dir": str(tmp_path / "data")})
    fleet = make_fleet(settings, at(NOW))
    day = 86400
    name = "kubecustody_soonest_end_timestamp_seconds"
    ends = {cluster: end for (_, cluster), end in samples(StoreMetrics(settings, at(NOW)), name).items()}
    by_name = {name: ends.get(cluster) for name, cluster in fleet.clusters.items()}
    assert by_name.pop("prod-eu") == NOW + 60 * day and by_name.pop("sandbox") == NOW + 60
    assert by_name.pop("prod-us") == NOW + 365 * day
    assert set(by_name.values()) == {None}
    ends_later = samples(StoreMetrics(settings, at(NOW + 61 * day)), name)
    assert ends_later[fleet.account_id, fleet.clusters["prod-eu"]] == NOW + 85 * day
    assert samples(StoreMetrics(settings, at(NOW)), "kubecustody_clusters") == {(fleet.account_id,): 6}


def test_events_are_counted_once_and_watched_kinds_are_there_before_they_happen(installation: Installation) -> None:
    metrics, account = StoreMetrics(installation.settings), installation.account_id
    first = samples(metrics, "kubecustody_events_total")
    assert first == {(account, kind): 0 for kind in WATCHED_EVENTS}
    for number in range(3):
        installation.change(add_principal, kind=PrincipalKind.USER, name=f"user{number}")
        metrics._reused_until = 0
        for _ in range(2):
            assert samples(metrics, "kubecustody_events_total")[account, "principal_created"] == number + 1


def test_a_store_that_takes_long_is_read_less_often(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, account = StoreMetrics(installation.settings), installation.account_id
    clock = [0.0]
    reading = metrics._read_store

    async def slow() -> Any:
        clock[0] += 2
        return await reading()

    monkeypatch.setattr(metrics, "_read_store", slow)
    monkeypatch.setattr("kubecustody.server.store_metrics.time.monotonic", lambda: clock[0])
    samples(metrics, "kubecustody_events_total")
    installation.change(add_principal, kind=PrincipalKind.USER, name="user")
    assert (account, "principal_created") not in samples(metrics, "kubecustody_events_total")
    clock[0] += 18
    assert samples(metrics, "kubecustody_events_total")[account, "principal_created"] == 1


def test_what_cannot_be_read_is_left_out_and_said(installation: Installation, caplog: pytest.LogCaptureFixture) -> None:
    metrics = StoreMetrics(installation.settings)
    registry = CollectorRegistry()
    registry.register(metrics)
    assert not caplog.records, "nothing is read before the first scrape"
    store = installation.settings.store_file
    store.rename(store.with_name("away.db"))
    assert samples(metrics, "kubecustody_store_readable") == {(): 0}
    assert samples(metrics, "kubecustody_credentials") == {}
    assert f"There is no store at {store}" in caplog.text
    store.with_name("away.db").rename(store)
    assert samples(metrics, "kubecustody_store_readable") == {(): 1}
    installation.settings.tls_certificate_file.write_text("nonsense")
    assert samples(metrics, "kubecustody_server_certificate_end_timestamp_seconds") == {}
    assert "the end of the server certificate cannot be read" in caplog.text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_tells_of_its_store_once_however_many_workers_it_has(installation: Installation, workers: str) -> None:
    port, account = free_port(), installation.account_id
    with serving(installation, tls="on", workers=workers, metrics_listen=f"127.0.0.1:{port}") as server:
        wait_for_port(port, server.process, server.log)
        text = read_metrics(port)
        installation.change(add_principal, kind=PrincipalKind.USER, name="user")
        assert sample(text, "kubecustody_store_readable") == 1
        assert sample(text, "kubecustody_quarantined") == 0
        assert sample(text, "kubecustody_build_info", version="0.1.0") == 1
        assert sample(text, "kubecustody_credentials", account_id=account, state="Unexpired") == 0
        end = sample(text, "kubecustody_server_certificate_end_timestamp_seconds")
        assert 396 < (end - math.floor(time.time())) / 86400 < 398
        created = {"account_id": account, "kind": "principal_created"}
        wait_until("the event is told", lambda: sample(read_metrics(port), "kubecustody_events_total", **created) == 1)
    names = [family.name for family in text_string_to_metric_families(text)]
    assert len(names) == len(set(names))


def test_no_sample_of_the_store_names_a_person(installation: Installation) -> None:
    key: NewAccessKey = installation.key
    installation.change(add_principal, kind=PrincipalKind.USER, name="annabel", email="annabel@example.com", uid="4711")
    labels = {
        value
        for family in StoreMetrics(installation.settings).collect()
        for one in family.samples
        for value in one.labels.values()
    }
    assert installation.account_id in labels
    assert not [value for value in labels for secret in ("annabel", "4711", key.access_key_id) if secret in value]
