"""`kubecustody init` and the start of `serve`: private from the first moment, whole or not at all."""

import os
import stat
import time
from pathlib import Path

import pytest
from commands import Done, refused, run, run_on_terminal, run_process

from installations import Installation, make_installation
from kubecustody.cli.initialise import initialise
from kubecustody.settings import load_settings


def environment(folder: Path, **more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KUBECUSTODY_")}
    return {**plain, "KUBECUSTODY_DATA_DIR": str(folder / "data"), **more}


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below with its mode, and its content where it is a file."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def test_what_init_makes_is_private(tmp_path: Path) -> None:
    out = tmp_path / "first.key"
    done = run_process(["init", "--out", str(out)], environment(tmp_path))
    assert (done.code, done.err) == (0, "")
    modes = {path: mode for path, (mode, _) in tree(tmp_path).items()}
    assert modes == {
        "data": 0o700,
        "data.key-ring": 0o600,
        "data/kubecustody.db": 0o600,
        "data/nonces": 0o600,
        "data/tls": 0o700,
        "data/tls/root.pem": 0o644,
        "data/tls/server-key.pem": 0o600,
        "data/tls/server.pem": 0o644,
        "first.key": 0o600,
    }
    names = [line.partition("=")[0] for line in out.read_text().splitlines()]
    assert names == ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "KUBECUSTODY_ENDPOINT"]
    secret = out.read_text().splitlines()[1].partition("=")[2]
    assert secret not in done.out
    assert all(secret.encode() not in content for path, (_, content) in tree(tmp_path).items() if path != "first.key")


def test_secret_is_told_to_a_terminal_once_and_not_to_a_pipe(tmp_path: Path) -> None:
    told = run_process(["init"], environment(tmp_path))
    assert (told.code, told.out) == (2, "")
    assert "standard output is no terminal" in told.err and "--out FILE" in told.err
    assert tree(tmp_path) == {}
    shown = run_on_terminal(["init"], environment(tmp_path))
    assert shown.code == 0, shown
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" in shown.out


def test_second_init_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run_process(["init", "--out", str(tmp_path / "first.key")], environment(tmp_path))
    before = tree(tmp_path)
    again = run_process(["init", "--out", str(tmp_path / "second.key")], environment(tmp_path))
    assert again.code == 2
    assert "already" in again.err and "nothing was changed" in again.err and "--data-dir" in again.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("lost", ["data/kubecustody.db", "data.key-ring", "data/nonces"])
def test_init_over_the_remains_of_an_installation_is_refused_and_changes_nothing(tmp_path: Path, lost: str) -> None:
    make_installation(tmp_path)
    (tmp_path / lost).unlink()
    before = tree(tmp_path)
    told = run_process(["init", "--out", str(tmp_path / "k.key")], environment(tmp_path))
    assert told.code == 2 and "nothing was changed" in told.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--host", "no host"],
        ["--host", "*.example"],
        ["--account-id", "abc"],
        ["--out", "/proc/nowhere/first.key"],
    ],
)
def test_failing_init_leaves_nothing_behind(tmp_path: Path, words: list[str]) -> None:
    out = [] if "--out" in words else ["--out", str(tmp_path / "first.key")]
    done = run_process(["init", *words, *out, "--data-dir", str(tmp_path / "a" / "b")], environment(tmp_path))
    assert done.code == 2 and done.err.startswith("Error: ")
    assert tree(tmp_path) == {}


def test_init_that_fails_late_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("kubecustody.cli.initialise.add_access_key", fail)
    settings = load_settings({}, {"data_dir": str(tmp_path / "deep" / "data")})
    with pytest.raises(OSError, match="the disk is full"):
        initialise(settings, ["localhost"], account_name="main", account_id=None, region_id="local")
    assert tree(tmp_path) == {}


def test_folder_of_others_is_neither_closed_nor_used(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "holiday.jpg").write_text("")
    told = run_process(["init", "--out", str(tmp_path / "first.key")], environment(tmp_path))
    assert told.code == 2 and f"chmod 700 {folder}" in told.err
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_empty_folder_is_taken_and_closed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    done = run_process(["init", "--out", str(tmp_path / "first.key")], environment(tmp_path))
    assert done.code == 0
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_key_ring_in_the_environment_is_not_passed_over(tmp_path: Path) -> None:
    ring = make_installation(tmp_path / "other").settings.key_ring_file.read_text()
    (tmp_path / "new").mkdir()
    told = run_process(
        ["init", "--out", str(tmp_path / "new" / "k")], environment(tmp_path / "new", KUBECUSTODY_KEY_RING=ring)
    )
    assert told.code == 2 and "Unset the variable first" in told.err
    assert tree(tmp_path / "new") == {}


def test_file_for_the_secret_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "first.key"
    for make in (lambda: out.write_text("precious"), lambda: out.symlink_to(tmp_path / "elsewhere")):
        make()
        told = run_process(["init", "--out", str(out)], environment(tmp_path))
        assert told.code == 2 and "name a new file" in told.err
        out.unlink()
    assert tree(tmp_path) == {}


def test_file_for_the_secret_may_be_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    done = run_process(["init", "--out", str(tmp_path / "keys" / "first.key")], environment(tmp_path))
    assert done.code == 0
    assert tree(tmp_path)["keys"][0] == 0o700


# --- serve


def serve(installation: Installation, *words: str, **environment: str) -> Done:
    return run_process(["serve", *words], {**installation.environment, **environment})


def test_serve_without_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    told = run_process(["serve"], environment(tmp_path))
    assert told.code == 2 and "Make one with `kubecustody init`." in told.err


def test_serve_without_the_key_ring_says_where_it_comes_from(installation: Installation) -> None:
    installation.settings.key_ring_file.unlink()
    told = serve(installation)
    assert told.code == 2 and "restore it from its backup" in told.err


def test_serve_with_another_key_ring_says_so(installation: Installation, tmp_path: Path) -> None:
    other = make_installation(tmp_path / "other")
    told = serve(installation, KUBECUSTODY_KEY_RING_FILE=str(other.settings.key_ring_file))
    assert told.code == 2 and "The key ring does not belong to" in told.err


@pytest.mark.parametrize("what", ["key_ring_file", "store_file", "nonces_file"])
def test_serve_refuses_what_others_can_read_and_says_how_to_close_it(installation: Installation, what: str) -> None:
    path: Path = getattr(installation.settings, what)
    path.chmod(0o644)
    told = serve(installation)
    assert told.code == 2 and f"chmod 600 {path}" in told.err


def test_serve_says_that_a_store_is_damaged(installation: Installation) -> None:
    installation.settings.store_file.write_bytes(b"not a database, and long enough to be read as one" * 100)
    told = serve(installation)
    assert told.code == 2 and "is damaged or is no SQLite file" in told.err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("nonsense", "is no NAME=VALUE of a setting"),
        ("port=1", "is no NAME=VALUE of a setting"),
        ("workers=0", "workers is 0; it must be at least 1."),
        ("workers=many", "workers is 'many'; it must be a number"),
        ("listen=8443", "listen is '8443'; it must be ADDRESS:PORT"),
        ("tls=maybe", "tls is 'maybe'; it must be one of on, off."),
        ("public_url=ftp://x", "it must be https://HOST[:PORT], without a path."),
        ("trusted_proxies=somebody", "trusted_proxies has 'somebody'"),
        ("key_rate_per_second=nan", "key_rate_per_second is nan; it must be at least 0."),
    ],
)
def test_setting_that_is_wrong_is_told_with_what_it_must_be(installation: Installation, word: str, told: str) -> None:
    assert told in refused(installation, "serve", "--set", word)


def test_address_that_is_none_is_told(installation: Installation) -> None:
    told = refused(installation, "serve", "--listen", "256.0.0.1:8443", "--set", "metrics_listen=off")
    assert "cannot be listened on" in told and "Set `listen`" in told


def test_settings_lists_every_setting_with_its_value_in_force(installation: Installation) -> None:
    done = run(installation, "settings", "-o", "json", env={"KUBECUSTODY_WORKERS": "3"})
    rows = {row["name"]: row for row in done.json}
    assert rows["workers"]["value"] == "3"
    assert rows["data_dir"]["value"] == str(installation.settings.data_dir)
    assert rows["listen"]["environment"] == "KUBECUSTODY_LISTEN"
    assert all(row["meaning"].endswith(".") for row in rows.values())
    assert "workers" in run(installation, "settings").out


def test_settings_file_is_read_and_its_unknown_names_are_told(installation: Installation) -> None:
    file = installation.settings.data_dir / "kubecustody.toml"
    file.write_text('workers = 2\nlisten = "127.0.0.1:9000"\n')
    rows = {row["name"]: row["value"] for row in run(installation, "settings", "-o", "json").json}
    assert (rows["workers"], rows["listen"], rows["public_url"]) == ("2", "127.0.0.1:9000", "https://127.0.0.1:9000")
    file.write_text("wrokers = 2\n")
    assert "wrokers is no setting" in refused(installation, "settings")
    file.write_text("workers = = 2\n")
    assert "is not TOML" in refused(installation, "settings")


def test_command_starts_within_two_seconds(installation: Installation) -> None:
    started = time.monotonic()
    assert run_process(["--version"], installation.environment).code == 0
    assert time.monotonic() - started < 2
