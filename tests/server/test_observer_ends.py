"""The observer ends when it is told to, whatever it is told at the same moment."""

import asyncio
import time

import pytest

from installations import Installation
from kubecustody.custody.installation import Custody
from kubecustody.server import observer
from kubecustody.server.observer import Observer


@pytest.mark.parametrize("turns", range(5))
def test_observer_that_is_hurried_and_stopped_at_once_ends(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """asyncio.wait_for of Python 3.11 swallowed the cancellation at one of these turns of the loop."""
    monkeypatch.setattr(observer, "_FIRST_PAUSE_SECONDS", 0)

    async def work(custody: Custody) -> None:
        observing = Observer(custody, time.time)
        keeping = asyncio.create_task(observing.keep())
        await asyncio.sleep(0.05)  # now it waits for its next round
        observing.hurry(installation.account_id, [0])
        for _ in range(turns):
            await asyncio.sleep(0)
        keeping.cancel()
        _, left = await asyncio.wait([keeping], timeout=5)
        assert not left and keeping.cancelled()

    installation.run(work)
