"""A backup is the store as it was at its moment, and what comes back from one is not trusted until somebody looked."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from homes import CLEAN_ONE, EXPIRE, FULL, GET, REVOKE, STATES, Home, served_home
from wire import NO_ADDRESS_LIMIT, exchange, sign, write_request

from cli.commands import Done, run
from custody.books import ask, check_books, contents
from installations import PROGRAM, Installation, RunningServer, make_installation, serving
from kubecustody.pki.sealing import KeyRing
from kubecustody.settings import load_settings
from kubecustody.store.migrations import all_migrations

PASSPHRASE = "correct horse battery"
SIGNALS = ((signal.SIGINT, 130), (signal.SIGTERM, 143))
WHY = ("--reason", "the disk died")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with served_home(tmp_path) as home:
        home.add("alice", FULL)
        yield home


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    return path


def done(installation: Installation, *words: str | Path) -> str:
    ended = run(installation, "admin", *words)
    assert ended.code == 0, ended.err
    return ended.out


def refused(installation: Installation, *words: str | Path) -> str:
    ended = run(installation, "admin", *words)
    assert (ended.code, ended.out) == (2, ""), ended
    return ended.err


def elsewhere(home: Home, folder: Path) -> Installation:
    """Another machine of the same installation: its key ring, and no store."""
    settings = load_settings({}, {"data_dir": str(folder / "data"), "tls": "off"})
    folder.mkdir()
    shutil.copy(home.installation.settings.key_ring_file, settings.key_ring_file)
    return Installation(settings, home.installation.key)


def moved_on(home: Home, server: RunningServer) -> Home:
    return Home(home.installation, server, home.clusters, home.people)


def test_backup_comes_back_as_it_was(home: Home, tmp_path: Path, secret: Path) -> None:
    assert home.ask("alice", GET, home.clusters[0]).status == 200
    file = tmp_path / "backup.age"
    before = contents(home.path)
    said = done(home.installation, "backup", file, "--passphrase-file", secret)
    assert str(file) in said and "The key ring" in said and "is not in it" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert home.ask("alice", GET, home.clusters[1]).status == 200  # and is not in the backup

    told = run(home.installation, "admin", "verify-backup", file, "--passphrase-file", secret, "-o", "json").json
    assert told["key_ring_opens_it"] is True
    assert told["last_events"] == {home.installation.account_id: len(before["events"])}

    place = elsewhere(home, tmp_path / "other")
    assert "in quarantine" in done(place, "restore", file, "--passphrase-file", secret)
    after = contents(place.settings.store_file)
    (was,), (now,) = before.pop("installation"), after.pop("installation")
    assert now[:2] == was[:2] and now[2] == was[2] + 1  # epoch
    assert stat.S_IMODE(place.settings.store_file.stat().st_mode) == 0o600
    before.pop("leases"), after.pop("leases")
    assert after == before
    check_books(place.settings.store_file)
    assert [path.name for path in tmp_path.rglob(".kubecustody-*")] == []


def test_backup_under_load_is_one_moment(home: Home, tmp_path: Path, secret: Path) -> None:
    stopping, answers = threading.Event(), []

    def load() -> None:
        while not stopping.is_set():
            answers.append(home.ask("alice", REVOKE, home.clusters[0], body={}).status)

    worker = threading.Thread(target=load)
    worker.start()
    try:
        files = [tmp_path / f"backup-{number}.age" for number in range(3)]
        for file in files:
            time.sleep(0.1)
            done(home.installation, "backup", file, "--passphrase-file", secret)
    finally:
        stopping.set()
        worker.join()
    assert set(answers) == {200} and len(answers) > 3
    counts = []
    for number, file in enumerate(files):
        place = elsewhere(home, tmp_path / f"other-{number}")
        done(place, "restore", file, "--passphrase-file", secret)
        check_books(place.settings.store_file)
        ((count,),) = ask(place.settings.store_file, "SELECT COUNT(*) FROM events")
        counts.append(count)
    assert counts == sorted(counts) and counts[0] < counts[-1]
    # Each is what the store itself had recorded up to there.
    store = ask(home.path, "SELECT * FROM events ORDER BY event_no")
    for number, count in enumerate(counts):
        assert (
            ask(tmp_path / f"other-{number}/data/kubecustody.db", "SELECT * FROM events ORDER BY event_no")
            == store[:count]
        )


def test_public_keys_of_age_and_of_openssh(home: Home, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "age.key").write_text(f"# made for a test\n{identity}\n")
    key = ed25519.Ed25519PrivateKey.generate()
    encoding, no_encryption = serialization.Encoding, serialization.NoEncryption()
    (tmp_path / "ssh.key").write_bytes(
        key.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, no_encryption)
    )
    public = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    file = tmp_path / "backup.age"
    done(
        home.installation, "backup", file, "--recipient", str(identity.to_public()), "--recipient", public + " me@host"
    )
    for name in ("age.key", "ssh.key"):
        assert "is whole" in done(home.installation, "verify-backup", file, "--identity", tmp_path / name)
    # Anybody's age opens it, to one SQLite file.
    plain = pyrage.decrypt(file.read_bytes(), [identity])
    assert plain.startswith(b"SQLite format 3\0")
    ring = KeyRing.parse(home.installation.settings.key_ring_file.read_text())
    assert not any(master in plain for master in ring.keys.values())
    other = tmp_path / "other.key"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    assert "does not open" in refused(home.installation, "verify-backup", file, "--identity", other)


def test_restored_store_lets_nobody_in_until_it_is_accepted(home: Home, tmp_path: Path, secret: Path) -> None:
    first, second = home.clusters
    account = home.people["account"]
    assert home.ask("alice", GET, first).status == 200
    file = tmp_path / "backup.age"
    done(home.installation, "backup", file, "--passphrase-file", secret)
    time.sleep(1.1)  # times in it are whole seconds
    alice = home.people["alice"]
    # What the backup will lack: a removal, a disabled key, a certificate.
    assert home.ask("account", CLEAN_ONE, first, uid=alice.uid, query=(("Force", "true"),)).status == 200
    assert home.ask("account", GET, second).status == 200
    done(home.installation, "keys", "disable", alice.access_key_id, "--reason", "leaver")
    home.server.stop()

    taken = refused(home.installation, "restore", file, "--passphrase-file", secret)
    assert "a restore never replaces a store" in taken
    lost = tmp_path / "lost"
    lost.mkdir()
    for path in home.path.parent.glob(home.path.name + "*"):
        path.rename(lost / path.name)
    done(home.installation, "restore", file, "--passphrase-file", secret)
    with serving(home.installation, **NO_ADDRESS_LIMIT) as server:
        back = moved_on(home, server)
        early = sign(server, account, signed_at=int(time.time()) - 60)
        answer = exchange(server, write_request(early))
        assert answer.code == "InvalidTimeStamp.Expired" and "restored from a backup" in answer.json["Message"]
        for operation, cluster, more in (
            (GET, first, {}),
            (REVOKE, first, {"body": {}}),
            (EXPIRE, first, {"body": {"user": alice.uid, "expire_hour": 5}}),
        ):
            assert "is in quarantine" in back.refusal(
                back.ask("account", operation, cluster, **more), "ErrorInQuarantine"
            )
        assert back.ask("account", STATES, uid=alice.uid).status == 200
        assert back.ask("account", CLEAN_ONE, first, uid=alice.uid, query=(("Force", "true"),)).status == 200

        assert "--reason" in refused(home.installation, "restore", "--accept")
        listed = run(home.installation, "admin", "restore", "--accept", *WHY)
        assert listed.code == 2 and "say --yes" in listed.err and alice.access_key_id in listed.out
        assert back.ask("account", GET, first).code == "ErrorInQuarantine"
        told = run(
            home.installation, "admin", "restore", "--accept", *WHY, "--yes", "--compare", lost / home.path.name,
            "-o", "json",
        ).json  # fmt: skip
        kinds = [event["kind"] for event in told["missing_events"]]
        assert {"removal_requested", "access_key_disabled", "credential_issued"} <= set(kinds)
        assert {alice.access_key_id, account.access_key_id} <= {key["access_key_id"] for key in told["working_keys"]}
        # The server that runs notices.
        assert back.ask("account", GET, second).status == 200
    assert "nothing to accept" in refused(home.installation, "restore", "--accept", "--yes", *WHY)
    assert ask(home.path, "SELECT COUNT(*) FROM events WHERE kind = 'restore_accepted'") == [(1,)]


def test_backup_for_another_key_ring_is_not_restored(home: Home, tmp_path: Path, secret: Path) -> None:
    file = tmp_path / "backup.age"
    done(home.installation, "backup", file, "--passphrase-file", secret)
    stranger = make_installation(tmp_path / "stranger")
    told = run(stranger, "admin", "verify-backup", file, "--passphrase-file", secret)
    assert told.code == 1 and "does not open its secrets" in told.out
    for path in stranger.settings.store_file.parent.glob("kubecustody.db*"):
        path.unlink()
    assert "The key ring does not open this backup; nothing was restored." in refused(
        stranger, "restore", file, "--passphrase-file", secret
    )
    assert not stranger.settings.store_file.exists()


@pytest.mark.parametrize("fault", ["cut", "changed", "passphrase", "other file", "missing"])
def test_what_is_no_whole_backup_is_refused(home: Home, tmp_path: Path, secret: Path, fault: str) -> None:
    file = tmp_path / "backup.age"
    done(home.installation, "backup", file, "--passphrase-file", secret)
    data = bytearray(file.read_bytes())
    if fault == "cut":
        file.write_bytes(data[:-1000])
    elif fault == "changed":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif fault == "passphrase":
        secret.write_text("wrong horse battery\n")
    elif fault == "other file":
        file.write_bytes(b"hello")
    else:
        file.unlink()
    place = elsewhere(home, tmp_path / "other")
    for command in ("verify-backup", "restore"):
        told = refused(place, command, file, "--passphrase-file", secret)
        assert str(file) in told and PASSPHRASE not in told
    assert not place.settings.store_file.exists()


def test_encrypted_file_without_a_store_is_refused(home: Home, tmp_path: Path, secret: Path) -> None:
    empty = tmp_path / "empty.db"
    with contextlib.closing(sqlite3.connect(empty)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    for content in (empty.read_bytes(), b"nothing of the kind"):
        file = tmp_path / "backup.age"
        file.write_bytes(pyrage.passphrase.encrypt(content, PASSPHRASE))
        assert "store" in refused(home.installation, "verify-backup", file, "--passphrase-file", secret)


def test_bad_words_for_a_backup(home: Home, tmp_path: Path, secret: Path) -> None:
    file = tmp_path / "backup.age"
    short = tmp_path / "short"
    short.write_text("short\n")
    blank = tmp_path / "blank"
    blank.write_text("\n")
    there = tmp_path / "there"
    there.write_text("precious")
    for words, told in (
        ([file], "Say to whom"),
        ([file, "--recipient", "age1nonsense"], "is no public key"),
        ([file, "--passphrase-file", short], "it needs 12 at least"),
        ([file, "--passphrase-file", blank], "must be the passphrase"),
        ([file, "--passphrase-file", tmp_path / "absent"], "cannot be read"),
        ([there, "--passphrase-file", secret], "is there already"),
        ([tmp_path / "no" / "file", "--passphrase-file", secret], "cannot be written to"),
    ):
        assert told in refused(home.installation, "backup", *words)
    assert not file.exists() and there.read_text() == "precious"
    assert "either --identity FILE or --passphrase-file FILE" in refused(home.installation, "verify-backup", there)


def test_store_of_a_newer_program_is_not_restored(home: Home, tmp_path: Path, secret: Path) -> None:
    file = tmp_path / "backup.age"
    copy = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(home.path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'later', 'pre', '99.0.0', 0)")
        connection.commit()
    file.write_bytes(pyrage.passphrase.encrypt(copy.read_bytes(), PASSPHRASE))
    assert "Install the newer version" in refused(
        elsewhere(home, tmp_path / "other"), "restore", file, "--passphrase-file", secret
    )


def undo_migrations_after(path: Path, version: int) -> None:
    """Make the store one that an older program left: what later migrations added goes."""
    added = re.compile(r"^CREATE (TABLE|INDEX) (\w+)|^ALTER TABLE (\w+) ADD COLUMN (\w+)", re.MULTILINE)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for migration in reversed([one for one in all_migrations() if one.version > version]):
            for kind, name, table, column in reversed(added.findall(migration.sql)):
                connection.execute(f"DROP {kind} {name}" if kind else f"ALTER TABLE {table} DROP COLUMN {column}")
            connection.execute("DELETE FROM migrations WHERE version = ?", (migration.version,))
        connection.commit()


def test_a_migration_copies_the_store_beside_itself(home: Home, secret: Path, tmp_path: Path) -> None:
    home.server.stop()
    assert done(home.installation, "migrate") == "The schema is up to date.\n"
    undo_migrations_after(home.path, 4)
    # An older store can be saved and brought back as well.
    assert "Run `kubecustody admin migrate`" in refused(
        home.installation, "backup", tmp_path / "x", "--passphrase-file", secret
    )
    before = contents(home.path)
    done(home.installation, "migrate")
    (copy,) = home.path.parent.glob("kubecustody.db.before-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert contents(copy) == before
    assert home.installation.run(lambda custody: custody.is_quarantined()) is False


def test_failed_backup_leaves_nothing(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    damaged = tmp_path / "damaged"
    shutil.copytree(home.installation.settings.data_dir, damaged)
    home.server.stop()
    store = damaged / home.path.name
    store.write_bytes(store.read_bytes()[: 64 * 1024])
    identity = pyrage.x25519.Identity.generate()
    told = refused(
        Installation(load_settings({}, {"data_dir": str(damaged)}), home.installation.key),
        "backup", folder / "one.age", "--recipient", str(identity.to_public()),
    )  # fmt: skip
    assert "damaged" in told or "malformed" in told
    assert list(folder.iterdir()) == []


def stopped(installation: Installation, number: signal.Signals, folder: Path, *words: str | Path) -> Done:
    """How a command ended that got a signal in the middle: while its scratch folder stands in `folder`."""
    process = subprocess.Popen(
        [*PROGRAM, "admin", *map(str, words)],
        env={**os.environ, **installation.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.poll() is None and not any(folder.glob(".kubecustody-*/*")):
            time.sleep(0.005)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)


def test_a_stop_in_the_middle_leaves_nothing(home: Home, tmp_path: Path) -> None:
    home.server.stop()
    with contextlib.closing(sqlite3.connect(home.path)) as connection:
        connection.execute("CREATE TABLE padding (content BLOB)")
        connection.executemany("INSERT INTO padding VALUES (randomblob(1000000))", [()] * 200)
        connection.commit()
    identity = pyrage.x25519.Identity.generate()
    key, folder, file = tmp_path / "backup.key", tmp_path / "backups", tmp_path / "backups" / "one.age"
    key.write_text(str(identity))
    folder.mkdir()
    backup = ("backup", file, "--recipient", str(identity.to_public()))
    for number, code in SIGNALS:
        ended = stopped(home.installation, number, folder, *backup)
        assert (ended.code, ended.out) == (code, "") and list(folder.iterdir()) == []
    done(home.installation, *backup)

    place = elsewhere(home, tmp_path / "other")
    data = place.settings.data_dir
    for number, code in SIGNALS:
        ended = stopped(place, number, data, "restore", file, "--identity", key)
        assert (ended.code, ended.out) == (code, "") and list(data.iterdir()) == []
    done(place, "restore", file, "--identity", key)
    check_books(place.settings.store_file)


def test_of_two_restores_at_once_one_stands(home: Home, tmp_path: Path, secret: Path) -> None:
    file = tmp_path / "backup.age"
    done(home.installation, "backup", file, "--passphrase-file", secret)
    place = elsewhere(home, tmp_path / "other")
    words = [*PROGRAM, "admin", "restore", str(file), "--passphrase-file", str(secret)]
    both = [
        subprocess.Popen(words, env={**os.environ, **place.environment}, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert "nothing was changed" in "".join(errors) or "never replaces a store" in "".join(errors)
    ((epoch,),) = ask(place.settings.store_file, "SELECT epoch FROM installation")
    assert epoch == ask(home.path, "SELECT epoch FROM installation")[0][0] + 1
