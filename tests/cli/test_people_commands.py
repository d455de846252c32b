"""The commands that begin and end sessions of roles and that delegate what only the account may do."""

from pathlib import Path

import pytest

from cli.commands import admin, run
from custody.books import ask, contents
from installations import Installation

SESSION = ("roles", "session", "ci", "--reason", "nightly build")


@pytest.fixture
def place(installation: Installation) -> Installation:
    admin(installation, "roles", "add", "ci")
    admin(installation, "users", "add", "anna")
    return installation


def refused(place: Installation, *words: str | Path) -> str:
    """What is told of a command that is refused, once it was checked that it changed nothing."""
    before = contents(place.settings.store_file)
    done = run(place, "admin", *words)
    assert done.code != 0 and contents(place.settings.store_file) == before
    return done.err


def told(out: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in out.read_text().splitlines())


def test_a_session_is_told_once_into_a_file_of_ones_own(place: Installation, tmp_path: Path) -> None:
    done = admin(place, *SESSION, "--out", tmp_path / "env")
    values = told(tmp_path / "env")
    assert set(values) == {
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "KUBECUSTODY_ENDPOINT",
    }
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    assert values["ALIBABA_CLOUD_ACCESS_KEY_ID"].startswith("STS.") and " until " in done.err + done.out
    for secret in ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"):
        assert values[secret] not in done.out + done.err


def test_a_session_is_told_to_no_pipe_and_into_no_file_that_is_there(place: Installation, tmp_path: Path) -> None:
    assert "--out FILE" in refused(place, *SESSION)
    (tmp_path / "there").write_text("mine")
    assert "is there already" in refused(place, *SESSION, "--out", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize(
    "duration", ["14m", "0m", "13h", "721m", "-15m", "15", "15s", "1d", "h", "", "1.5h", "1_5m", "١٥m", "9" * 30 + "h"]
)
def test_a_duration_that_is_none_or_out_of_bounds_begins_nothing(
    place: Installation, tmp_path: Path, duration: str
) -> None:
    assert refused(place, *SESSION, "--out", tmp_path / "env", f"--duration={duration}")
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(("duration", "seconds"), [("15m", 900), ("1h", 3600), ("12h", 43_200), ("720m", 43_200)])
def test_a_session_lasts_as_long_as_it_was_asked_to(
    place: Installation, tmp_path: Path, duration: str, seconds: int
) -> None:
    admin(place, *SESSION, "--out", tmp_path / "env", "--duration", duration)
    sql = "SELECT json_extract(details, '$.ends_at') - occurred_at FROM events WHERE kind = 'session_begun'"
    assert ask(place.settings.store_file, sql) == [(seconds,)]


@pytest.mark.parametrize(
    "policy",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"Version":"2","Statement":[]}',
        b'{"Version":"1","Statement":[{"Effect":"Allow"}]}',
        b" " * 2049,
    ],
    ids=["empty", "cut off", "not utf-8", "version", "statement", "too long"],
)
def test_a_policy_that_is_none_begins_nothing(place: Installation, tmp_path: Path, policy: bytes) -> None:
    """Also an empty file: whoever wanted to narrow a session must not get one that is not narrowed."""
    (tmp_path / "policy.json").write_bytes(policy)
    assert refused(place, *SESSION, "--out", tmp_path / "env", "--policy", tmp_path / "policy.json")
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("name", ["a b", "", "1", "x" * 65, "a/b", "a\nb"])
def test_a_name_that_events_could_not_bear_begins_nothing(place: Installation, tmp_path: Path, name: str) -> None:
    assert refused(place, *SESSION, "--out", tmp_path / "env", "--name", name)


def test_a_session_needs_a_reason_and_a_role(place: Installation, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "env")
    assert "--reason" in refused(place, "roles", "session", "ci", *out)
    assert "is no role" in refused(place, "roles", "session", "anna", "--reason", "r", *out)
    assert "There is no user or role" in refused(place, "roles", "session", "nobody", "--reason", "r", *out)


def test_ending_sessions_needs_a_reason_and_is_written_down(place: Installation) -> None:
    assert "--reason" in refused(place, "roles", "end-sessions", "ci")
    assert "is ended" in admin(place, "roles", "end-sessions", "ci", "--reason", "token leaked").out
    sql = "SELECT reason FROM events WHERE kind = 'sessions_ended'"
    assert ask(place.settings.store_file, sql) == [("token leaked",)]


def test_delegating_and_taking_back_are_each_one_event_with_its_reason(place: Installation) -> None:
    assert "--reason" in refused(place, "users", "delegate", "anna")
    admin(place, "users", "delegate", "anna", "--reason", "first")
    admin(place, "users", "delegate", "anna", "--reason", "again")
    admin(place, "users", "delegate", "anna", "--take-back", "--reason", "left")
    sql = "SELECT kind, reason FROM events WHERE kind LIKE 'delegation%' ORDER BY event_no"
    assert ask(place.settings.store_file, sql) == [("delegation_given", "first"), ("delegation_taken", "left")]
    assert ask(place.settings.store_file, "SELECT SUM(delegated_admin) FROM principals") == [(0,)]
    assert refused(place, "users", "delegate", place.account_id, "--reason", "r")
