"""Two administrators at once on one machine: each command is done as a whole or refused with its reason."""

import os
import subprocess
from pathlib import Path

from custody.books import ask, check_books
from installations import PROGRAM, Installation, make_installation


def at_once(installation: Installation, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """Exit code and error text of each command, all started together."""
    processes = [
        subprocess.Popen(
            [*PROGRAM, "admin", *words],
            env={**os.environ, **installation.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    ended = [process.communicate(timeout=60)[1] for process in processes]
    assert not any("Traceback" in text for text in ended), ended
    return [(process.returncode, text) for process, text in zip(processes, ended, strict=True)]


def test_of_the_same_name_there_is_one(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    ended = at_once(installation, *[("users", "add", "anna")] * 3)
    assert sorted(code for code, _ in ended) == [0, 2, 2]
    assert all("anna" in text for code, text in ended if code)
    assert ask(installation.settings.store_file, "SELECT COUNT(*) FROM principals") == [(2,)]  # the account is one
    check_books(installation.settings.store_file)


def test_what_differs_is_all_done(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    (before,) = ask(installation.settings.store_file, "SELECT MAX(event_no), COUNT(*) FROM events")
    why = ("--reason", "two at once")
    ended = at_once(
        installation,
        ("users", "add", "anna"),
        ("groups", "add", "ops"),
        ("clusters", "add", "prod"),
        ("rotate-master-key", *why),
        ("rotate-master-key", *why),
    )
    assert [code for code, _ in ended[:3]] == [0, 0, 0], ended
    # A second rotation may find the ring changed under it; it says so, and the first one stands.
    assert 0 in [code for code, _ in ended[3:]]
    store = installation.settings.store_file
    assert [row[0] for row in ask(store, "SELECT name FROM clusters")] == ["prod"]
    (after,) = ask(store, "SELECT MAX(event_no), COUNT(*) FROM events")
    assert after[0] - before[0] == after[1] - before[1] >= 4
    check_books(store)
    code, text = at_once(installation, ("doctor",))[0]
    assert code == 0, text
