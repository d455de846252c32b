"""The demo's fleet: a CA for each cluster, certificates for several people, imported as an operator would."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from kubecustody.catalogue.policies import FULL_ACCESS, READ_ONLY_ACCESS
from kubecustody.cli.initialise import all_hosts, initialise
from kubecustody.cli.machine import actor
from kubecustody.core.names import PrincipalKind
from kubecustody.core.states import CertState
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.installation import Custody, open_custody
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal, delete_principal
from kubecustody.custody.removals import Selection, attest_removal
from kubecustody.custody.signers import import_signer
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import DAY_SECONDS, PemPair, make_ca, make_client_certificate
from kubecustody.pki.sealing import RandomBytes
from kubecustody.settings import Settings

REGION = "local"
FLIPS_AFTER_SECONDS = 60

_CLUSTERS = ("prod-eu", "prod-us", "staging", "build", "edge", "sandbox")


class Certificate(NamedTuple):
    """One certificate to make: whose, where, from and until when (seconds from the start), by which CA."""

    who: str
    cluster: str
    begins: int
    ends: int
    foreign_ca: bool = False
    attested: bool = False


_YEAR = 365 * DAY_SECONDS
_CERTIFICATES = (
    Certificate("alice", "prod-eu", -30 * DAY_SECONDS, 60 * DAY_SECONDS),
    Certificate("alice", "prod-us", -200 * DAY_SECONDS, -20 * DAY_SECONDS),
    Certificate("alice", "staging", -100 * DAY_SECONDS, 265 * DAY_SECONDS, attested=True),
    Certificate("alice", "edge", -10 * DAY_SECONDS, 80 * DAY_SECONDS, foreign_ca=True),
    Certificate("alice", "sandbox", -3600, FLIPS_AFTER_SECONDS),
    Certificate("bob", "prod-eu", -300 * DAY_SECONDS, -5 * DAY_SECONDS),
    Certificate("bob", "prod-eu", -5 * DAY_SECONDS, 85 * DAY_SECONDS),
    Certificate("bob", "build", -400 * DAY_SECONDS, -30 * DAY_SECONDS),
    # Left the company; the certificate did not.
    Certificate("carol", "prod-us", -2 * _YEAR, _YEAR),
    Certificate("carol", "build", -2 * _YEAR, _YEAR, attested=True),
)
_USERS = ("admin", "reader", "nobody", "alice", "bob", "carol")
_POLICIES = {"admin": FULL_ACCESS, "reader": READ_ONLY_ACCESS}


@dataclass(slots=True)
class DemoFleet:
    """What the demo made. keys: by account, admin, reader, nobody; uids: by name; flips_at: unix seconds."""

    account_id: str
    region: str
    keys: dict[str, NewAccessKey]
    uids: dict[str, str]
    clusters: dict[str, str]
    flips_at: int
    authorities: dict[str, PemPair] = field(repr=False, default_factory=dict)

    def uids_by_state(self) -> dict[str, list[str]]:
        """To each state the uids that have a row in it, now and for the next hour."""
        return {
            CertState.UNISSUED: [self.uids[name] for name in ("bob", "carol", "reader", "nobody")],
            CertState.UNEXPIRED: [self.uids[name] for name in ("alice", "bob", "carol")],
            CertState.EXPIRED: [self.uids[name] for name in ("alice", "bob")],
            CertState.REMOVED: [self.uids[name] for name in ("alice", "carol")],
            CertState.UNKNOWN: [self.uids["alice"]],
        }


def make_fleet(
    settings: Settings, clock: Callable[[], float] = time.time, random_bytes: RandomBytes = os.urandom
) -> DemoFleet:
    """Make an installation in the data folder of these settings and fill it."""
    account_key = initialise(
        settings,
        all_hosts(()),
        account_name="demo",
        account_id=None,
        region_id=REGION,
        clock=clock,
        random_bytes=random_bytes,
    )
    return asyncio.run(_fill(settings, account_key, clock, random_bytes))


async def _fill(
    settings: Settings, account_key: NewAccessKey, clock: Callable[[], float], random_bytes: RandomBytes
) -> DemoFleet:
    store, custody = await open_custody(settings, random_bytes=random_bytes)
    try:
        return await _Filling(custody, account_key.uid, clock).fill(account_key)
    finally:
        store.close()


class _Filling:
    def __init__(self, custody: Custody, account_id: str, clock: Callable[[], float]) -> None:
        self._custody = custody
        self._account = account_id
        self._clock = clock
        self._start = int(clock())
        self._author = Author(actor(), reason="demo")

    async def fill(self, account_key: NewAccessKey) -> DemoFleet:
        uids = {name: await self._add_user(name) for name in _USERS}
        fleet = DemoFleet(self._account, REGION, {"account": account_key}, uids, {}, self._start + FLIPS_AFTER_SECONDS)
        for name in ("admin", "reader", "nobody"):
            fleet.keys[name] = await add_access_key(self._custody, self._account, self._author, self._clock(), name)
        for name, policy in _POLICIES.items():
            await set_attachment(
                self._custody, self._account, self._author, self._clock(), policy, attached=True, user=name
            )
        for name in _CLUSTERS:
            await self._add_cluster(fleet, name)
        for wanted in _CERTIFICATES:
            await self._import(fleet, wanted)
        await delete_principal(self._custody, self._account, self._author, self._clock(), "carol")
        return fleet

    async def _add_user(self, name: str) -> str:
        return await add_principal(
            self._custody, self._account, self._author, self._clock(), kind=PrincipalKind.USER, name=name
        )

    async def _add_cluster(self, fleet: DemoFleet, name: str) -> None:
        authority = make_ca(f"{name} client CA", self._start - 3 * _YEAR, 10 * 365)
        fleet.authorities[name] = authority
        fields = ClusterFields(
            name=name, client_ca=authority.certificate, public_endpoint=f"https://{name}.example.com:6443"
        )
        fleet.clusters[name] = await add_cluster(self._custody, self._account, self._author, self._clock(), fields)
        if name == _CLUSTERS[0]:
            await import_signer(self._custody, self._account, self._author, self._clock(), name, authority)

    async def _import(self, fleet: DemoFleet, wanted: Certificate) -> None:
        authority = fleet.authorities[wanted.cluster]
        if wanted.foreign_ca:
            authority = make_ca(f"{wanted.cluster} client CA", self._start - 3 * _YEAR, 10 * 365)
        begins, ends = self._start + wanted.begins, self._start + wanted.ends
        pair = make_client_certificate(authority, f"{fleet.uids[wanted.who]}-{begins}", ["system:users"], begins, ends)
        name = f"{wanted.who}@{wanted.cluster}.pem"
        rows = await import_credentials(
            self._custody,
            self._account,
            self._author,
            self._clock(),
            read_candidates(pair.certificate, name),
            which_cluster=wanted.cluster,
            holder=wanted.who if wanted.foreign_ca else None,
        )
        if wanted.attested:
            await attest_removal(
                self._custody,
                self._account,
                Author(actor(), reason="bindings deleted by hand, ticket 4711"),
                self._clock(),
                which_cluster=wanted.cluster,
                selection=Selection(fingerprint=rows[0].fingerprint),
            )
