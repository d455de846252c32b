"""What Prometheus is told of the store: facts, read when it asks."""

import asyncio
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from kubecustody import __version__
from kubecustody.core.errors import CustodyError
from kubecustody.pki.certificates import load_certificates
from kubecustody.settings import Settings
from kubecustody.store.figures import LISTED_ENDS, LISTED_REACHED, AccountFigures, Figures, ReachedFigures, read_figures
from kubecustody.store.sqlite import SQLiteStore

# Kinds of events that somebody should look at: there from the start with 0, so that the first one is an increase.
WATCHED_EVENTS = (
    "cluster_identity_changed",
    "own_access_not_renewed",
    "private_key_disclosed",
    "removal_lapsed",
    "trust_changed",
)
# What was read is told again for so many times as the reading took: it takes a tenth of a core at most.
_REUSED_FOR_READINGS = 9

log = logging.getLogger("kubecustody.server")


class StoreMetrics(Collector):
    """Reads the store of an installation for each scrape, from whichever thread asks."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._turn = threading.Lock()
        self._figures: Figures | None = None
        self._reused_until = 0.0
        self._events_read: dict[str, int] = {}
        self._events: dict[str, Counter[str]] = {}

    def describe(self) -> Iterable[Metric]:
        """The metrics without their samples, so that nothing is read before the first scrape."""
        return _families().values()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment. What cannot be read is left out, and kubecustody_store_readable is 0."""
        with self._turn:
            figures = self._read()
            families = _families()
            _add(families, "kubecustody_store_readable", [], float(figures is not None))
            families["kubecustody_build"].add_metric([], {"version": __version__})
            self._add_certificate(families)
            if figures is not None:
                _add(families, "kubecustody_quarantined", [], float(figures.quarantined))
                for account in figures.accounts:
                    self._add_account(families, account)
            yield from families.values()

    def _read(self) -> Figures | None:
        started = time.monotonic()
        if started < self._reused_until:
            return self._figures
        try:
            self._figures = asyncio.run(self._read_store())
        except CustodyError as error:
            log.error("the metrics of the store cannot be read: %s", error)
            self._figures = None
            return None
        for account in self._figures.accounts:
            self._events_read[account.account_id] = account.last_event_no
            counted = self._events.setdefault(account.account_id, Counter(dict.fromkeys(WATCHED_EVENTS, 0)))
            counted.update(account.events)
        took = time.monotonic() - started
        self._reused_until = started + took * (1 + _REUSED_FOR_READINGS)
        return self._figures

    async def _read_store(self) -> Figures:
        store = SQLiteStore(self._settings.store_file)
        try:
            # A certificate ends when now is later than its last second, of which now may be a part.
            now = math.ceil(self._clock())
            return await store.read(lambda tx: read_figures(tx, now, self._events_read))
        finally:
            store.close()

    def _add_account(self, families: dict[str, Any], account: AccountFigures) -> None:
        label = account.account_id
        for state, count in account.credentials.items():
            _add(families, "kubecustody_credentials", [label, state], count)
        _add(families, "kubecustody_clusters", [label], account.clusters)
        _add(families, "kubecustody_removals_waiting", [label], account.waiting)
        if account.waiting_since is not None:
            _add(families, "kubecustody_oldest_waiting_removal_timestamp_seconds", [label], account.waiting_since)
        for cluster_id, ends_at in account.ends.items():
            _add(families, "kubecustody_soonest_end_timestamp_seconds", [label, cluster_id], ends_at)
        for one in account.reached:
            _add_reached(families, [label, one.cluster_id], one)
        for kind, count in sorted(self._events[label].items()):
            _add(families, "kubecustody_events", [label, kind], count)

    def _add_certificate(self, families: dict[str, Any]) -> None:
        if self._settings.tls == "off":
            return
        try:
            (certificate, *_) = load_certificates(self._settings.tls_certificate_file.read_bytes())
        except (OSError, CustodyError) as error:
            log.error("the end of the server certificate cannot be read: %s", error)
            return
        _add(families, "kubecustody_server_certificate_end_timestamp_seconds", [], certificate.not_after)


def _add(families: dict[str, Any], name: str, labels: list[str], value: float) -> None:
    families[name].add_metric(labels, value)


def _add_reached(families: dict[str, Any], labels: list[str], one: ReachedFigures) -> None:
    _add(families, "kubecustody_cluster_up", labels, one.up)
    for name, at in (
        ("last_sync", one.reached_at),
        ("own_access_expiry", one.own_access_expires_at),
        ("oldest_waiting_removal", one.waiting_since),
    ):
        if at is not None:
            _add(families, f"kubecustody_cluster_{name}_timestamp_seconds", labels, at)
    if one.clock_skew_seconds is not None:
        _add(families, "kubecustody_cluster_clock_skew_seconds", labels, one.clock_skew_seconds)


def _families() -> dict[str, Any]:
    """Every metric by its name, without a sample yet."""
    families = [
        InfoMetricFamily("kubecustody_build", "The version of the program."),
        GaugeMetricFamily("kubecustody_store_readable", "Whether the store could be read for this answer (1) or not."),
        GaugeMetricFamily("kubecustody_quarantined", "Whether the store was restored and nobody accepted it yet (1)."),
        GaugeMetricFamily(
            "kubecustody_server_certificate_end_timestamp_seconds",
            "When the server's own TLS certificate ends, in unix seconds; absent where TLS is off.",
        ),
        GaugeMetricFamily("kubecustody_clusters", "Clusters that an account lists.", labels=["account_id"]),
        GaugeMetricFamily(
            "kubecustody_credentials", "Credentials that are known, by state.", labels=["account_id", "state"]
        ),
        GaugeMetricFamily(
            "kubecustody_removals_waiting",
            "Credentials that live although their removal is asked.",
            labels=["account_id"],
        ),
        GaugeMetricFamily(
            "kubecustody_oldest_waiting_removal_timestamp_seconds",
            "Since when the first of them waits, in unix seconds; absent where none does.",
            labels=["account_id"],
        ),
        GaugeMetricFamily(
            "kubecustody_soonest_end_timestamp_seconds",
            "When the first person of a cluster is left without a good certificate if nothing is renewed, in unix "
            f"seconds; of the {LISTED_ENDS:,} clusters of an account in which that is soonest.",
            labels=["account_id", "cluster_id"],
        ),
        *_families_of_clusters(),
        CounterMetricFamily(
            "kubecustody_events", "Events since the server began, by kind.", labels=["account_id", "kind"]
        ),
    ]
    return {family.name: family for family in families}


def _families_of_clusters() -> Iterator[GaugeMetricFamily]:
    """Of each cluster that is reached."""
    only = f"of the first {LISTED_REACHED:,} clusters of an account that are reached"
    for name, told in (
        ("up", f"Whether the cluster answered when it was last looked at (1) or not; {only}."),
        ("last_sync_timestamp_seconds", f"When it last answered, in unix seconds; {only}."),
        (
            "clock_skew_seconds",
            "By how much its clock was ahead of this server's when it last answered, in whole seconds; below 0 where "
            f"it was behind, absent where it is not known; {only}.",
        ),
        (
            "own_access_expiry_timestamp_seconds",
            f"When this server's own access to it ends, in unix seconds; absent where no end is known; {only}.",
        ),
        (
            "oldest_waiting_removal_timestamp_seconds",
            f"Since when the first removal waits there, in unix seconds; absent where none does; {only}.",
        ),
    ):
        yield GaugeMetricFamily(f"kubecustody_cluster_{name}", told, labels=["account_id", "cluster_id"])
