"""What `kubecustody admin doctor` finds in installations that something is wrong with, and what it mends."""

import contextlib
import http.client
import http.server
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.commands import Done, run
from custody.books import ask, check_books, contents, tell
from installations import Installation, make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.principals import add_principal
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import make_ca, make_client_certificate


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = make_installation(tmp_path)
    ca = make_ca("kubernetes", int(time.time()) - 1000, 100)
    made.change(add_principal, kind=PrincipalKind.USER, name="anna", uid="2001")
    made.change(add_cluster, ClusterFields(name="prod", client_ca=ca.certificate))
    pair = make_client_certificate(ca, "2001-1", ["system:users"], int(time.time()) - 500, int(time.time()) + 10**6)
    made.change(import_credentials, read_candidates(pair.certificate, "file"), which_cluster="prod", holder=None)
    return made


def examined(installation: Installation, *words: str | Path) -> tuple[Done, dict[str, Any]]:
    """What was found, by what was looked at."""
    done = run(installation, "admin", "doctor", "-o", "json", *words)
    assert done.code in (0, 1), done
    findings = {finding["what"]: finding for finding in done.json}
    assert (done.code == 0) == all(finding["ok"] for finding in findings.values())
    assert all(finding["ok"] or finding["cure"] for finding in findings.values()), "a fault without a cure"
    return done, findings


def fault(installation: Installation, what: str, *words: str | Path) -> dict[str, Any]:
    """The only thing that is not well."""
    done, findings = examined(installation, *words)
    assert done.code == 1
    assert [name for name, finding in findings.items() if not finding["ok"]] == [what]
    found = findings[what]
    assert isinstance(found, dict)
    return found


def test_sound_installation_is_told_to_be_so(installation: Installation) -> None:
    done, findings = examined(installation)
    assert done.code == 0
    assert [*findings] == [
        "settings", "data_dir", "disk", "tls", "store", "key_ring", "quarantine", "clock", "books",
    ]  # fmt: skip


def test_a_look_changes_nothing(installation: Installation) -> None:
    before = contents(installation.settings.store_file)
    examined(installation)
    assert contents(installation.settings.store_file) == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE accounts SET cluster_count = 7", "clusters: the account says 7, and it is 1"),
        ("UPDATE accounts SET last_credential_no = 0", "last credential no: the account says 0, and it is 1"),
        ("UPDATE nodes SET cnt = 3 WHERE lvl = 1", "1 nodes are wrong"),
        ("DELETE FROM nodes", "3 nodes are wrong"),
        ("DELETE FROM holdings", "what 2001 holds in cluster number 1"),
        ("UPDATE holdings SET vouched_until = 5", "what 2001 holds in cluster number 1"),
    ],
)
def test_books_that_differ_are_told_and_made_anew(installation: Installation, change: str, told: str) -> None:
    path = installation.settings.store_file
    before = contents(path)
    tell(path, change)
    assert told in fault(installation, "books")["text"]
    done, findings = examined(installation, "--repair")
    assert done.code == 0 and told in findings["books"]["text"]
    check_books(path)
    after = contents(path)
    assert (after["nodes"], after["holdings"]) == (before["nodes"], before["holdings"])
    assert ask(path, "SELECT COUNT(*) FROM events WHERE kind = 'books_repaired'") == [(1,)]
    assert examined(installation, "--repair")[1]["books"]["text"].endswith("Nothing was to be repaired.")
    assert ask(path, "SELECT COUNT(*) FROM events WHERE kind = 'books_repaired'") == [(1,)]


def test_faults_of_files(installation: Installation, tmp_path: Path) -> None:
    settings = installation.settings
    settings.data_dir.chmod(0o755)
    assert fault(installation, "data_dir")["cure"] == f"chmod 700 {settings.data_dir}"
    settings.data_dir.chmod(0o700)
    settings.store_file.chmod(0o644)
    assert "can be read by others" in fault(installation, "store")["text"]
    settings.store_file.chmod(0o600)
    settings.tls_key_file.chmod(0o640)
    assert fault(installation, "tls")["cure"] == f"chmod 600 {settings.tls_key_file}"
    settings.tls_key_file.chmod(0o600)
    settings.key_ring_file.chmod(0o644)
    assert "chmod 600" in fault(installation, "key_ring")["text"]
    settings.key_ring_file.chmod(0o600)
    other = make_installation(tmp_path / "other")
    settings.key_ring_file.write_text(other.settings.key_ring_file.read_text())
    assert "is not the v1 that sealed" in fault(installation, "key_ring")["text"]


def test_faults_of_the_store(installation: Installation) -> None:
    path = installation.settings.store_file
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = fault(installation, "store")
    assert "damaged" in found["text"] or "malformed" in found["text"]
    assert "restore" in found["cure"]
    path.write_bytes(whole)
    tell(path, "INSERT INTO migrations VALUES (9999, 'later', 'pre', '99.0.0', 0)")
    assert "Install the newer version" in fault(installation, "schema")["text"]
    tell(path, "DELETE FROM migrations WHERE version = 9999")
    tell(path, "UPDATE installation SET quarantined = 1, restored_at = 1")
    assert "--accept" in fault(installation, "quarantine")["cure"]
    tell(path, "UPDATE installation SET quarantined = 0")
    tell(path, "UPDATE events SET recorded_at_ms = recorded_at_ms + 86400000")
    assert "the clock was set back" in fault(installation, "clock")["text"]
    path.unlink()
    assert "kubecustody init" in fault(installation, "store")["text"]


def test_faults_of_tls_and_settings(installation: Installation) -> None:
    environment = installation.environment

    def told(**settings: str) -> Any:
        variables = {f"KUBECUSTODY_{name.upper()}": value for name, value in settings.items()}
        done = run(installation, "admin", "doctor", "-o", "json", env={**environment, **variables})
        assert done.code == 1
        return [(one["what"], one["text"]) for one in done.json if not one["ok"]]

    ((what, text),) = told(public_url="https://custody.example.com")
    assert what == "tls" and "custody.example.com of public_url is not in it" in text
    ((what, text),) = told(tls="off", listen="0.0.0.0:8443")
    assert what == "settings" and "tls" in text
    ((what, text),) = told(workers="none")
    assert what == "settings" and "workers" in text
    installation.settings.tls_certificate_file.unlink()
    assert "cannot be used" in fault(installation, "tls")["text"]


# --- the signed call


class _Renaming(http.server.BaseHTTPRequestHandler):
    """A proxy that passes another Host than it got."""

    target = ""

    def do_GET(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=10)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        headers["Host"] = "inside.example"
        connection.request("GET", self.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", answer.headers["content-type"])
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def bad_proxy(target: str) -> Iterator[str]:
    handler = type("Handler", (_Renaming,), {"target": target})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_signed_call_shows_whether_proxies_pass_what_is_signed(installation: Installation, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(
        f"ALIBABA_CLOUD_ACCESS_KEY_ID={installation.key.access_key_id}\n"
        f"ALIBABA_CLOUD_ACCESS_KEY_SECRET={installation.key.secret}\n"
    )
    with serving(installation) as server:
        done, findings = examined(installation, "--key-file", key, "--endpoint", server.url)
        assert done.code == 0 and "came through as it was signed" in findings["call"]["text"]
        with bad_proxy(server.url) as url:
            found = fault(installation, "call", "--key-file", key, "--endpoint", url)
            assert "SignatureDoesNotMatch" in found["text"] and "pass Host and path as they are" in found["cure"]
    found = fault(installation, "call", "--key-file", key, "--endpoint", server.url)
    assert "Is the server running" in found["cure"]
    assert installation.key.secret not in str(found)
