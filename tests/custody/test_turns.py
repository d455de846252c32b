"""Turns over all workers: one at a time, and who died holds nobody up for long."""

import asyncio
import time
from pathlib import Path

import pytest

from custody.books import ask as rows_of
from installations import Installation, make_installation
from kubecustody.custody import turns
from kubecustody.custody.installation import Custody
from kubecustody.custody.turns import take_turn
from kubecustody.store.tasks import take_lease

NAME = "pass/1/1"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return make_installation(tmp_path)


async def hold(custody: Custody, name: str, spans: list[tuple[float, float]], seconds: float = 0.3) -> str | None:
    async def work() -> str:
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        spans.append((begun, time.monotonic()))
        return name

    return await take_turn(custody, name, time.time, work)


def test_two_under_one_name_take_turns_and_two_names_do_not(installation: Installation) -> None:
    async def whole(custody: Custody) -> None:
        same: list[tuple[float, float]] = []
        assert await asyncio.gather(*(hold(custody, NAME, same) for _ in range(3))) == [NAME] * 3
        assert all(after[0] >= before[1] for before, after in zip(sorted(same), sorted(same)[1:], strict=False))
        other: list[tuple[float, float]] = []
        await asyncio.gather(hold(custody, "pass/1/2", other), hold(custody, "pass/1/3", other))
        assert max(begun for begun, _ in other) < min(ended for _, ended in other)

    installation.run(whole)
    assert rows_of(installation.settings.store_file, "SELECT name FROM leases") == []


def test_the_lease_of_who_died_ends(installation: Installation) -> None:
    async def whole(custody: Custody) -> float:
        now = int(time.time())
        await custody.store.write(lambda tx: take_lease(tx, NAME, "dead", now, now + 2))
        begun = time.monotonic()
        assert await hold(custody, NAME, [], 0) == NAME
        return time.monotonic() - begun

    assert 0.5 < installation.run(whole) < 5


def test_a_turn_that_does_not_come_is_not_waited_for_without_end(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_WAIT_SECONDS", 0.5)

    async def whole(custody: Custody) -> None:
        now = int(time.time())
        await custody.store.write(lambda tx: take_lease(tx, NAME, "another", now, now + 60))
        spans: list[tuple[float, float]] = []
        assert await hold(custody, NAME, spans) is None
        assert spans == []

    installation.run(whole)


def test_who_lost_the_lease_stops(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_BEAT_SECONDS", 0.2)

    async def whole(custody: Custody) -> None:
        spans: list[tuple[float, float]] = []
        held = asyncio.create_task(hold(custody, NAME, spans, 20))
        await asyncio.sleep(0.1)
        later = int(time.time()) + turns.LEASE_SECONDS + 1  # as if this worker had stood still for so long
        assert await custody.store.write(lambda tx: take_lease(tx, NAME, "another", later, later + 60))
        assert await asyncio.wait_for(held, 5) is None
        assert spans == []

    installation.run(whole)
    assert rows_of(installation.settings.store_file, "SELECT holder FROM leases") == [("another",)]


def test_who_is_told_to_stop_gives_the_lease_back(installation: Installation) -> None:
    async def whole(custody: Custody) -> None:
        held = asyncio.create_task(hold(custody, NAME, [], 20))
        await asyncio.sleep(0.2)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held

    installation.run(whole)
    assert rows_of(installation.settings.store_file, "SELECT name FROM leases") == []
