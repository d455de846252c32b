"""Whatever happens to credentials and trust, the stored holdings are what the credentials add up to."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import pytest

from custody.books import check_books, plain, rebuilt_holdings, stored_holdings
from custody.fleets import NOW, Fleet
from installations import AUTHOR, Installation
from kubecustody.core.errors import OperatorError
from kubecustody.custody import clusters
from kubecustody.custody.clusters import ClusterFields, TrustChange, set_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import delete_principal
from kubecustody.custody.removals import Selection, attest_removal, withdraw_attestation
from kubecustody.custody.verdicts import judge_ahead
from kubecustody.kubeconfig.candidates import Candidate, read_candidates
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate

DAY = 86400
USERS = ("2001", "2002", "2003")
CLUSTERS = ("prod", "test")
STEPS = 60


@dataclass(frozen=True)
class Drawer:
    """Authorities and certificates made once: of each holder under each authority, some over, some not yet valid."""

    authorities: list[PemPair]
    candidates: list[Candidate]

    @property
    def fingerprints(self) -> list[str]:
        return [one.leaf.fingerprint_hex for one in self.candidates if one.leaf]


@pytest.fixture(scope="module")
def drawer() -> Drawer:
    authorities = [make_ca("kubernetes", NOW - 900 * DAY, days) for days in (4000, 4000, 901)]
    candidates = []
    for ca in authorities:
        for number, uid in enumerate([*USERS, "2999", "admin"] * 2):
            groups = ["system:masters"] if number == 3 else ["system:users"]
            begins, ends = NOW - (20 - number) * DAY, NOW + (30 * number - 100) * DAY
            pair = make_client_certificate(ca, uid, groups, min(begins, ends - DAY), ends)
            candidates += read_candidates(pair.certificate, "file")
    return Drawer(authorities, candidates)


async def step(custody: Custody, account_id: str, drawer: Drawer, dice: random.Random) -> None:
    """One random change; many are refused, which is one of the things to be proved harmless."""
    cluster, now = dice.choice(CLUSTERS), NOW + dice.randint(0, 3 * DAY)
    start = (custody, account_id, AUTHOR, now)
    match dice.choice(["import", "import", "import", "attest", "withdraw", "trust", "delete"]):
        case "import":
            chosen = dice.sample(drawer.candidates, dice.randint(1, 5))
            holder = dice.choice([None, None, *USERS])
            await import_credentials(*start, chosen, which_cluster=cluster, holder=holder)
        case "trust":
            bundle = b"".join(ca.certificate for ca in dice.sample(drawer.authorities, dice.randint(1, 2)))
            await set_cluster(*start, cluster, ClusterFields(client_ca=bundle))
        case "delete" if dice.random() < 0.2:
            await delete_principal(*start, dice.choice(USERS))
        case "attest" | "withdraw" as what:
            use_case = attest_removal if what == "attest" else withdraw_attestation
            by_user, by_print = {"user": dice.choice(USERS)}, {"fingerprint": dice.choice(drawer.fingerprints)}
            selection = Selection(**dice.choice([by_user, by_print]))
            await use_case(*start, which_cluster=cluster, selection=selection)


@pytest.mark.parametrize("seed", range(5))
def test_stored_holdings_are_those_rebuilt_from_the_credentials(
    installation: Installation, drawer: Drawer, seed: int
) -> None:
    fleet, dice = Fleet(installation), random.Random(seed)
    for uid in USERS:
        fleet.add_user(f"user{uid}", uid)
    fleet.add_cluster(CLUSTERS[0])
    fleet.add_cluster(CLUSTERS[1], drawer.authorities[0].certificate)

    async def churn(custody: Custody) -> int:
        refused = 0
        with plain(fleet.path) as connection:
            for _ in range(STEPS):
                try:
                    await step(custody, fleet.account_id, drawer, dice)
                except OperatorError:
                    refused += 1
                stored = stored_holdings(connection, fleet.account_id)
                assert stored == rebuilt_holdings(connection, fleet.account_id)
            assert len(stored) == len(USERS) * len(CLUSTERS)
        return refused

    assert 0 < installation.run(churn) < STEPS / 2
    check_books(fleet.path)


def test_changes_at_once_add_up_as_those_one_after_the_other(installation: Installation, drawer: Drawer) -> None:
    fleet, dice = Fleet(installation), random.Random(99)
    for uid in USERS:
        fleet.add_user(f"user{uid}", uid)
    for cluster in CLUSTERS:
        fleet.add_cluster(cluster, drawer.authorities[0].certificate)

    async def churn(custody: Custody) -> None:
        for _ in range(5):
            steps = [step(custody, fleet.account_id, drawer, dice) for _ in range(20)]
            for answer in await asyncio.gather(*steps, return_exceptions=True):
                assert answer is None or isinstance(answer, OperatorError), answer

    installation.run(churn)
    check_books(fleet.path)


def test_what_comes_in_while_a_new_bundle_is_weighed_is_judged_by_it_too(
    installation: Installation, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, (first, second) = Fleet(installation), drawer.candidates[:2]
    for uid in USERS:
        fleet.add_user(f"user{uid}", uid)
    fleet.add_cluster(CLUSTERS[0])
    fleet.take([first], CLUSTERS[0])
    weighed: list[bytes] = []

    async def change_and_import(custody: Custody) -> TrustChange | None:
        async def weigh(*arguments: Any) -> Any:
            found = await judge_ahead(*arguments)
            weighed.extend(found)
            await import_credentials(
                custody, fleet.account_id, AUTHOR, NOW, [second], which_cluster=CLUSTERS[0], holder=None
            )
            return found

        monkeypatch.setattr(clusters, "judge_ahead", weigh)
        fields = ClusterFields(client_ca=drawer.authorities[0].certificate)
        return await set_cluster(custody, fleet.account_id, AUTHOR, NOW, CLUSTERS[0], fields)

    changed = installation.run(change_and_import)
    assert changed is not None
    assert (len(weighed), changed.judged) == (1, 2)
    with plain(fleet.path) as connection:
        stored = stored_holdings(connection, fleet.account_id)
        assert stored == rebuilt_holdings(connection, fleet.account_id)
        assert {uid for uid, _ in stored} == set(USERS[:2])
    check_books(fleet.path)
