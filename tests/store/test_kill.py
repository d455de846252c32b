"""Whatever was acknowledged is there after a kill at any moment, and what is there is whole."""

import os
import random
from pathlib import Path

from bench.crash import THERE, kill_again_and_again

KILLS = 200 if os.environ.get("KUBECUSTODY_SIZE") == "full" else 50


def test_whatever_was_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    ledger = kill_again_and_again(tmp_path, KILLS, random.Random(4711))
    assert (ledger.kills, ledger.lost, ledger.broken) == (KILLS, set(), [])
    # The kills met work of every kind, and met it half done.
    assert {entry.split()[0] for entry in ledger.told} == set(THERE)
    assert ledger.acknowledged > 10 * KILLS
    assert ledger.cut_off > KILLS / 2
