"""The audit trail as a proof: `admin audit verify`, signed exports, and their check without the server."""

import base64
import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.commands import Done, admin, run
from custody.books import ask, check_books, tell
from installations import AUTHOR, PROGRAM, Installation, make_installation
from kubecustody.core.events import Event
from kubecustody.core.exports import event_line
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.auditing import Range, export_events, get_audit_key
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster, set_cluster
from kubecustody.custody.principals import add_principal
from kubecustody.pki.issuing import make_ca
from kubecustody.pki.signatures import key_fingerprint
from kubecustody.store.migrations import create_store

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "audit.md"

# Every BLOB of the schema: sealed by the key ring, or no secret.
SEALED = {
    "installation.key_check",
    "installation_secrets.sealed",
    "access_keys.sealed_secret",
    "signers.sealed_key",
    "private_keys.sealed",
    "cluster_accesses.sealed",
    "pending_issues.sealed_key",
}
NO_SECRETS = {
    *("accounts.last_seal_hash", "event_seals.hash", "credentials.fingerprint", "certificates.chain"),
    "client_ca_keys.key_sha256",
}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An account with a day of events, an hour apart; one change leaves two events under one seal."""
    made = make_installation(tmp_path)
    for hour, name in enumerate(("anna", "bert", "carl"), 1):
        made.change(add_principal, kind=PrincipalKind.USER, name=name, now=_far(hour))
    ca = make_ca("kubernetes", int(time.time()) - 1000, 100)
    made.change(add_cluster, ClusterFields(name="prod", client_ca=ca.certificate), now=_far(4))
    made.change(set_cluster, "prod", ClusterFields(name="生产"), now=_far(5))
    made.change(delete_cluster, "生产", now=_far(6))
    check_books(made.settings.store_file)
    return made


def _far(hour: int) -> float:
    """Hours from the start of 2040 on, behind whatever made the installation."""
    return 2_208_988_800 + 3600.0 * hour


@pytest.fixture
def key(installation: Installation, tmp_path: Path) -> Path:
    path = tmp_path / "audit.pem"
    path.write_text(admin(installation, "audit", "key").out)
    return path


@pytest.fixture
def exported(installation: Installation, key: Path, tmp_path: Path) -> Path:
    out = tmp_path / "november.ndjson"
    admin(installation, "audit", "export", "--out", out)
    return out


def check(installation: Installation, file: Path, key: Path) -> Done:
    return run(installation, "audit", "check", file, "--key", key)


def faults(installation: Installation, file: Path, key: Path) -> list[str]:
    done = run(installation, "audit", "check", file, "--key", key, "-o", "json")
    found: list[str] = done.json["faults"]
    assert done.code == (1 if found else 0)
    return found


# --- verify


def test_a_whole_chain_is_told_with_its_last_seal(installation: Installation) -> None:
    store = installation.settings.store_file
    events, seal_hash = ask(store, "SELECT last_event_no, last_seal_hash FROM accounts")[0]
    ((seals,),) = ask(store, "SELECT COUNT(*) FROM event_seals")
    assert admin(installation, "audit", "verify").out == (
        f"{events} events under {seals} seals hold. The last seal is {seal_hash.hex()}.\n"
    )


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE events SET reason = 'because' WHERE event_no = 4", "Changed since it was recorded: event 4"),
        ("UPDATE events SET uid = '1' WHERE kind = 'trust_changed'", "one of the events 6 to 7"),
        ("DELETE FROM events WHERE event_no = 5", "Missing: event 5."),
        ("DELETE FROM event_seals WHERE last_event_no = 5", "Seals do not join: one ends with event 4"),
        ("UPDATE event_seals SET hash = zeroblob(32) WHERE last_event_no = 5", "event 5, or the seal over it"),
        ("UPDATE accounts SET last_event_no = last_event_no + 1", "events at the end were dropped or added"),
    ],
)
def test_what_was_changed_in_the_store_is_told_and_never_signed(
    installation: Installation, tmp_path: Path, sql: str, told: str
) -> None:
    admin(installation, "audit", "key")
    store = installation.settings.store_file
    tell(store, sql)
    done = run(installation, "admin", "audit", "verify")
    assert done.code == 1 and told in done.out and "what was recorded" in done.out
    refused = run(installation, "admin", "audit", "export", "--out", tmp_path / "no.ndjson")
    assert refused.code == 2 and "audit verify" in refused.err and not list(tmp_path.glob("*no.ndjson*"))


# --- export and check


def test_an_export_holds_every_event_as_it_is_stored_and_the_check_says_so(
    installation: Installation, exported: Path, key: Path
) -> None:
    lines = [json.loads(line) for line in exported.read_bytes().splitlines()]
    events = [line for line in lines if "event_no" in line]
    stored = [Event._make(row) for row in ask(installation.settings.store_file, "SELECT * FROM events")][:-1]
    assert [event_line(event) for event in stored] == [
        json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for event in events
    ]
    assert all(event["details"] == json.loads(row.details) for event, row in zip(events, stored, strict=True))
    assert lines[0]["key"] == key_fingerprint(key.read_bytes())
    done = check(installation, exported, key)
    assert done.code == 0 and f"{len(events)} events (1 to {len(events)})" in done.out
    assert exported.stat().st_mode & 0o777 == 0o600
    ((kind, details),) = ask(
        installation.settings.store_file, "SELECT kind, details FROM events ORDER BY event_no DESC LIMIT 1"
    )
    assert kind == "audit_exported" and json.loads(details)["sha256"] == lines[-1]["sha256"]


def test_the_documented_lines_of_openssl_and_python_check_it(exported: Path) -> None:
    text = HOW_TO.read_text("utf-8").replace("events.ndjson", exported.name)
    (block,) = (block for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if "openssl" in block)
    shell = "\n".join(re.findall(r"^\$ (.*)$", block, re.MULTILINE))
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for program in (["sh", "-ec", shell], [sys.executable, "-c", python]):
        good = subprocess.run(program, cwd=exported.parent, capture_output=True, text=True, check=True, timeout=60)
        assert "Signature Verified Successfully" in good.stdout or "events hold" in good.stdout
    exported.write_bytes(
        exported.read_bytes().replace(b"bert", b"burt").replace(b'"reason":"test"', b'"reason":"nope"')
    )
    for program in (["sh", "-ec", shell], [sys.executable, "-c", python]):
        bad = subprocess.run(program, cwd=exported.parent, capture_output=True, check=False, timeout=60)
        assert bad.returncode != 0


Lines = list[bytes]
Tamper = Callable[[Lines], Lines]


def _edit(number: int, old: bytes, new: bytes) -> Tamper:
    def tamper(lines: Lines) -> Lines:
        assert old in lines[number]
        return [*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]]

    return tamper


def _hash_anew(lines: Lines) -> Lines:
    """Somebody who knows the form: the event's own digest fits what they made of it."""
    at = next(n for n, line in enumerate(lines) if b"principal_created" in line)
    members = json.loads(lines[at])
    members["reason"] = "another"
    event = Event(
        **{name: members[name] for name in Event._fields}
        | {"details": json.dumps(members["details"], separators=(",", ":"))}
    )
    return [*lines[:at], event_line(event), *lines[at + 1 :]]


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_edit(1, b'"actor":"', b'"actor":"x'), "Line 2 was changed: event 1 is not what was written."),
        (_edit(3, b'"sha256":"', b'"sha256":"0'), "Line 4 was changed: event 2"),
        (_edit(2, b'"seal":"', b'"seal": "'), "Line 3 was changed: it is not as it was written."),
        (_edit(0, b'"exported_by":"', b'"exported_by":"x'), "has another digest than the lines before it"),
        (lambda lines: [*lines[:3], *lines[4:]], "seals events 2 to 2; missing before it: 2 to 2."),
        (lambda lines: [*lines[:3], *lines[5:]], "Line 4 holds event 3; missing before it: 2."),
        (lambda lines: [*lines[:5], lines[3], *lines[5:]], "Line 6 holds event 2 a second time or in the wrong place."),
        (
            lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
            "Line 6 seals events 2 to 2, and that does not hold",
        ),
        (lambda lines: [lines[0], *lines[3:5], *lines[1:3], *lines[5:]], "Line 2 holds event 2; missing before it: 1."),
        (lambda lines: [*lines[:2], *lines[3:]], "a seal from 1 on is missing before it"),
        (lambda lines: lines[:-1], "The file was cut: it ends after line"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "The file was cut"),
        (lambda lines: lines[:1], "The file was cut: it ends after line 1"),
        (lambda _: [], "The file was cut: it ends after line 0"),
        (lambda lines: [*lines, lines[-1]], "stands behind the end"),
        (lambda lines: [*lines[:-3], lines[-1]], "line 1 promises"),
        (lambda lines: lines[1:], "Line 1"),
        (_hash_anew, "and that does not hold: one of the lines"),
        (lambda lines: [b"\xff\xfe\n", *lines[1:]], "Line 1 was changed: it is not as it was written."),
    ],
)
def test_what_was_done_to_an_export_is_told_with_its_place(
    installation: Installation, exported: Path, key: Path, tamper: Tamper, told: str
) -> None:
    assert faults(installation, exported, key) == []
    exported.write_bytes(b"".join(tamper(exported.read_bytes().splitlines(keepends=True))))
    found = faults(installation, exported, key)
    assert any(told in fault for fault in found), found


def test_each_single_byte_of_an_export_counts(installation: Installation, exported: Path, key: Path) -> None:
    whole = exported.read_bytes()
    for place in range(0, len(whole), 97):
        exported.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert faults(installation, exported, key), place


def test_an_export_that_was_made_anew_is_not_signed_by_the_key(
    installation: Installation, exported: Path, key: Path, tmp_path: Path
) -> None:
    other = make_installation(tmp_path / "other")
    forged, others = tmp_path / "forged.ndjson", tmp_path / "other.pem"
    admin(other, "audit", "export", "--out", forged)
    others.write_text(admin(other, "audit", "key").out)
    assert faults(installation, forged, others) == []
    found = faults(installation, forged, key)
    assert "says that the key" in found[0] and "has a signature that is not of this key" in found[-1]


def test_the_end_of_another_export_does_not_fit(installation: Installation, exported: Path, key: Path) -> None:
    again = exported.with_name("again.ndjson")
    admin(installation, "audit", "export", "--out", again)
    ends = [path.read_bytes().splitlines(keepends=True) for path in (exported, again)]
    exported.write_bytes(b"".join([*ends[0][:-1], ends[1][-1]]))
    assert "has another digest" in faults(installation, exported, key)[0]


def test_bounds_of_time_take_whole_transactions(installation: Installation, tmp_path: Path) -> None:
    key = tmp_path / "audit.pem"
    pem = installation.run(lambda custody: get_audit_key(custody, AUTHOR, _far(7)))
    key.write_bytes(pem)
    for since, until, kinds in (
        (_far(3.5), _far(5.5), ["cluster_added", "trust_changed", "cluster_renamed"]),
        (_far(4), _far(5), ["cluster_added", "trust_changed"]),
        (_far(6), None, ["cluster_deleted", "audit_key_made", "audit_exported", "audit_exported"]),
        (_far(100), None, []),
        (None, _far(1), ["account_created", "access_key_created"]),
    ):
        out = tmp_path / f"{since}-{until}.ndjson"
        bounds = Range(since and int(since), until and int(until))
        installation.change(export_events, out=out, which=bounds, now=_far(8))
        lines = [json.loads(line) for line in out.read_bytes().splitlines()]
        assert [line["kind"] for line in lines if "kind" in line] == kinds
        assert faults(installation, out, key) == []


def test_bad_arguments_are_told_and_write_nothing(installation: Installation, exported: Path, tmp_path: Path) -> None:
    before = exported.read_bytes()
    for words, told in (
        (["--out", exported], "is there already"),
        (["--out", tmp_path / "none" / "x"], "cannot be made"),
        (["--since", "yesterday", "--out", tmp_path / "x"], "--since: 'yesterday' is no time"),
    ):
        done = run(installation, "admin", "audit", "export", *words)
        assert done.code == 2 and told in done.err
    assert exported.read_bytes() == before and not (tmp_path / "x").exists()
    for words, told in (
        ([exported, "--key", exported], "no public key of Ed25519"),
        ([exported, "--key", tmp_path / "none.pem"], "cannot be read"),
        ([tmp_path / "none", "--key", tmp_path / "audit.pem"], "cannot be read"),
    ):
        done = run(installation, "audit", "check", *words)
        assert done.code == 2 and told in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_export_leaves_nothing(
    installation: Installation, tmp_path: Path, number: int, code: int
) -> None:
    account = installation.account_id
    with closing(sqlite3.connect(installation.settings.store_file)) as store, store:
        (before,) = store.execute("SELECT last_event_no FROM accounts").fetchone()
        row = (0, 0, "task_begun", "a", "", "", 0, "", "", "{}")
        store.executemany(
            f"INSERT INTO events VALUES (?, ?, {', '.join('?' * 10)})",
            ((account, n, *row) for n in range(before + 1, before + 300_001)),
        )
        store.execute("INSERT INTO event_seals VALUES (?, ?, ?, ?)", (account, before + 300_000, before + 1, bytes(32)))
        store.execute("UPDATE accounts SET last_event_no = ?", (before + 300_000,))
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "admin", "audit", "export", "--out", str(folder / "x.ndjson")], env=installation.environment
    )
    deadline = time.monotonic() + 30
    while not list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=30) == code and list(folder.iterdir()) == []


# --- the key


def test_the_key_stays_the_same_is_sealed_and_outlives_a_new_master_key(
    installation: Installation, exported: Path, key: Path
) -> None:
    ((sealed,),) = ask(
        installation.settings.store_file, "SELECT sealed FROM installation_secrets WHERE name = 'audit-key'"
    )
    admin(installation, "rotate-master-key", "--reason", "test")
    ((after,),) = ask(
        installation.settings.store_file, "SELECT sealed FROM installation_secrets WHERE name = 'audit-key'"
    )
    assert after != sealed
    assert admin(installation, "audit", "key").out == key.read_text()
    assert check(installation, exported, key).code == 0
    ((made,),) = ask(installation.settings.store_file, "SELECT details FROM events WHERE kind = 'audit_key_made'")
    assert json.loads(made) == {"key": key_fingerprint(key.read_bytes())}
    der = base64.b64decode("".join(key.read_text().splitlines()[1:-1]))
    assert hashlib.sha256(der).hexdigest() == key_fingerprint(key.read_bytes())


def test_every_blob_of_the_schema_is_known_as_sealed_or_as_no_secret(tmp_path: Path) -> None:
    create_store(tmp_path / "store.db", 0)
    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        columns = store.execute(
            "SELECT t.name || '.' || c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c "
            "WHERE t.type = 'table' AND (c.type = 'BLOB' OR c.name LIKE '%sealed%')"
        )
        assert {name for (name,) in columns} == SEALED | NO_SECRETS
