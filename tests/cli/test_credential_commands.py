"""`find`, `kill`, `report` and `leaver` as processes, against a server, on files that openssl and kubectl made."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from commands import ESCAPES, Done, admin, run_process

from custody.books import ask as rows_of
from custody.books import contents, plain
from installations import PROGRAM, Installation, RunningServer, make_installation, serving
from kubeconfig.conftest import Kubectl
from kubecustody.core.names import PrincipalKind
from kubecustody.core.times import format_time
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal, delete_principal
from kubecustody.custody.signers import make_signer
from pki.openssl import Made, Openssl

ALICE, BOB = "2111", "2112"
REASON = ("--reason", "found in a public repository")


@dataclass
class Town:
    """Clusters prod and staging of one CA, edge of another, home that issues; alice, and bob who was deleted."""

    installation: Installation
    server: RunningServer
    openssl: Openssl
    ca: Made
    certificates: dict[str, Made]
    keys: dict[str, NewAccessKey] = field(default_factory=dict)

    def run(self, *words: str | Path, who: str = "account") -> Done:
        return run_process([*map(str, words)], self.environment(who))

    def environment(self, who: str = "account") -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.keys[who].access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.keys[who].secret,
            "KUBECUSTODY_ENDPOINT": self.server.url,
        }

    def json(self, *words: str | Path, code: int = 0) -> Any:
        done = self.run(*words, "-o", "json")
        assert done.code == code, done
        return done.json

    def take(self, cluster: str, made: Made, *, holder: str | None = None) -> None:
        more = ("--holder", holder) if holder else ()
        admin(self.installation, "credentials", "import", "--cluster", cluster, made.certificate_path, *more)

    def add(self, subject: str, cluster: str = "prod") -> Made:
        """A new certificate that the cluster knows."""
        made = self.openssl.make(subject, by=self.ca)
        self.take(cluster, made)
        return made

    def fingerprint(self, made: Made) -> str:
        told = self.openssl.run("x509", "-in", made.certificate_path, "-noout", "-fingerprint", "-sha256")
        return told.decode().partition("=")[2].strip()

    def serial(self, made: Made) -> str:
        told = self.openssl.run("x509", "-in", made.certificate_path, "-noout", "-serial")
        return told.decode().partition("=")[2].strip()

    def wished(self, made: Made) -> list[bool]:
        """Whether its removal is asked for, by cluster."""
        sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE fingerprint = ? ORDER BY cluster_seq"
        found = rows_of(self.path, sql, bytes.fromhex(self.fingerprint(made).replace(":", "")))
        return [bool(wish) for (wish,) in found]

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    installation = make_installation(tmp_path_factory.mktemp("town"))
    openssl = Openssl(tmp_path_factory.mktemp("openssl"))
    ca, other = openssl.make_ca(), openssl.make_ca("/CN=edge")
    installation.change(add_principal, kind=PrincipalKind.USER, name="alice", uid=ALICE, email="alice@example.com")
    installation.change(add_principal, kind=PrincipalKind.USER, name="bob", uid=BOB)
    for name, authority in (("prod", ca), ("staging", ca), ("edge", other)):
        admin(installation, "clusters", "add", name, "--client-ca", authority.certificate_path)
    admin(installation, "clusters", "add", "home", "--public-endpoint", "https://home.example:6443")
    installation.change(make_signer, "home")
    made = {
        "alice": openssl.make(f"/O=system:users/CN={ALICE}-1", by=ca),
        "root": openssl.make(f"/O=system:masters/CN={ALICE}-2", by=ca),
        "bob": openssl.make(f"/O=system:users/CN={BOB}-1", by=other),
        "old": openssl.make(f"/O=system:users/CN={ALICE}-3", by=ca, end="20260201000000Z"),
        "stranger": openssl.make("/CN=nobody", by=ca),
    }
    with serving(installation) as server:
        town = Town(installation, server, openssl, ca, made, {"account": installation.key})
        for cluster, who in (
            ("prod", "alice"),
            ("staging", "alice"),
            ("prod", "root"),
            ("edge", "bob"),
            ("prod", "old"),
        ):
            town.take(cluster, made[who])
        installation.change(delete_principal, "bob")
        installation.change(add_principal, kind=PrincipalKind.USER, name="reader")
        installation.change(set_attachment, "AliyunCSReadOnlyAccess", attached=True, user="reader")
        town.keys["reader"] = installation.change(add_access_key, "reader")
        yield town


# --- find


def test_a_certificate_is_found_by_file_and_fingerprint_and_serial(town: Town, tmp_path: Path) -> None:
    made = town.certificates["bob"]
    kubectl = Kubectl(tmp_path)
    kubectl.config("set-credentials", "someone", f"--client-certificate={made.certificate_path}", "--embed-certs=true")
    names = [town.fingerprint(made), town.fingerprint(made).replace(":", "").lower(), town.serial(made)]
    for what in (*names, made.certificate_path, kubectl.path):
        (row,) = town.json("find", what)
        assert (row["holder"], row["uid"], row["holder_state"]) == ("bob", BOB, "Deleted")
        assert (row["cluster"], row["state"], row["can_get_in"]) == ("edge", "Unexpired", "unproven")
        assert row["fingerprint"] == names[1] and row["why"].startswith("A certificate chains to")
        assert [event["event"] for event in row["events"]] == ["credential_imported"]


def test_one_that_two_clusters_know_is_found_in_both_and_told_as_a_table(town: Town) -> None:
    done = town.run("find", town.certificates["alice"].certificate_path)
    assert done.code == 0 and not ESCAPES.search(done.out)
    fingerprint = town.fingerprint(town.certificates["alice"]).replace(":", "").lower()
    for cluster in ("prod", "staging"):
        assert f"\n{fingerprint} in {cluster}:\n" in done.out
    assert done.out.count("credential_imported") == 2


def test_what_is_not_known_is_told_and_ends_with_three(town: Town) -> None:
    for what in (town.certificates["stranger"].certificate_path, "ab" * 32, "abcdef"):
        done = town.run("find", what)
        assert (done.code, done.out) == (3, "") and "Not known to this server" in done.err
    assert town.json("find", "ab" * 32, code=3) == []


@pytest.mark.parametrize("what", ["no-such-file", "xyz", "a" * 65, ""])
def test_what_names_nothing_is_a_fault(town: Town, what: str) -> None:
    done = town.run("find", what)
    assert (done.code, done.out) == (2, "") and "is no file, and no fingerprint" in done.err


def test_files_that_hold_no_certificate_are_faults(town: Town, tmp_path: Path) -> None:
    empty, broken, bomb = tmp_path / "empty", tmp_path / "broken", tmp_path / "bomb"
    empty.write_text("nothing\n")
    broken.write_text("apiVersion: v1\nkind: Config\nusers: [\n")
    bomb.write_text("kind: Config\na: &a [x,x]\nb: &b [*a,*a]\nclusters: [*b,*b]\nusers: *b\n")
    for path in (empty, broken, bomb):
        done = town.run("find", path)
        assert (done.code, done.out) == (2, "") and str(path) in done.err


class Recorder(BaseHTTPRequestHandler):
    """Answers that nothing is known, and keeps what came."""

    seen: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.seen.append((self.path, str(self.headers), body))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "18")
        self.end_headers()
        self.wfile.write(b'{"credentials":[]}')

    def log_message(self, *_: object) -> None:
        pass


def test_of_a_file_only_the_fingerprint_leaves_the_machine(town: Town, tmp_path: Path) -> None:
    made = town.certificates["alice"]
    kubectl = Kubectl(tmp_path)
    parts = (f"--client-certificate={made.certificate_path}", f"--client-key={made.key_path}", "--embed-certs=true")
    kubectl.config("set-credentials", "secret-name", *parts)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        environment = town.environment() | {"KUBECUSTODY_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"}
        assert run_process(["find", str(kubectl.path)], environment).code == 3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((target, headers, body),) = Recorder.seen
    query = dict(parse_qsl(urlsplit(target).query))
    assert query.pop("Fingerprint") == town.fingerprint(made).replace(":", "").lower()
    assert set(query) <= {"MaxResults", "DeletedHolders"} and body == b""
    assert "secret-name" not in target + headers


# --- kill


def test_one_credential_is_ended_after_a_look(town: Town) -> None:
    made = town.add(f"/O=system:users/CN={ALICE}-10")
    before = contents(town.path)
    (look,) = town.json("kill", town.fingerprint(made), *REASON, "--dry-run")
    assert (look["changed"], look["prospect"], look["cluster"]) == (True, "wish", "prod")
    assert contents(town.path) == before
    done = town.run("kill", town.serial(made), *REASON, "--yes")
    assert done.code == 0 and "lives until somebody takes its bindings away" in done.out
    assert town.wished(made) == [True]
    assert town.wished(town.certificates["alice"]) == [False, False]
    (event, _) = town.json("find", made.certificate_path)[0]["events"]
    assert (event["event"], event["reason"]) == ("removal_requested", REASON[1])
    (again,) = town.json("kill", made.certificate_path, *REASON, "--yes")
    assert again["changed"] is False


def test_one_that_two_clusters_know_is_ended_only_where_that_is_said(town: Town) -> None:
    made = town.add(f"/O=system:users/CN={ALICE}-11")
    town.take("staging", made)
    done = town.run("kill", made.certificate_path, *REASON, "--yes")
    assert done.code == 2 and "Several credentials are meant" in done.err
    assert " in prod: of alice, 2111;" in done.err and " in staging: " in done.err and done.out == ""
    assert town.wished(made) == [False, False]
    assert town.run("kill", made.certificate_path, *REASON, "--yes", "--cluster", "staging").code == 0
    assert town.wished(made) == [False, True]
    assert town.run("kill", made.certificate_path, *REASON, "--yes", "--all", "--compromised").code == 0
    assert town.wished(made) == [True, True]
    kinds = [[event["event"] for event in row["events"]] for row in town.json("find", made.certificate_path)]
    assert kinds == [
        ["credential_compromised", "removal_requested", "credential_imported"],
        ["credential_compromised", "removal_requested", "credential_imported"],
    ]


def test_nothing_is_ended_unless_somebody_says_yes(town: Town) -> None:
    made = town.add(f"/O=system:users/CN={ALICE}-12")
    words = ["kill", town.fingerprint(made), *REASON]
    done = subprocess.run(
        [*PROGRAM, *words], env=town.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2 and "--yes" in done.stderr
    for answer, code in ((b"n\n", 130), (b"\x03", 130)):
        assert answered(town, words, answer) == code
    assert town.wished(made) == [False]
    assert answered(town, words, b"y\n") == 0
    assert town.wished(made) == [True]


def answered(town: Town, words: list[str], answer: bytes) -> int:
    """The exit code of a command whose question is answered on a terminal."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *words],
        env=town.environment(),
        stdin=other_end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        assert process.stderr is not None
        seen = b""
        while b"]:" not in seen and (part := process.stderr.read1(4096)):
            seen += part
        assert b"[y/N]:" in seen
        code = None
        while code is None:  # an interrupt that comes just before the program waits for a line is not seen by it
            os.write(terminal, answer)
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(2)
    os.close(terminal)
    os.close(other_end)
    return code


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("ab" * 32, *REASON, "--yes"), 3, "Not known to this server"),
        (("ab" * 32,), 2, "--reason"),
        (("ab" * 32, "--reason", " ", "--yes"), 2, "--reason is blank"),
        (("ab" * 32, *REASON, "--cluster", "nowhere", "--yes"), 1, "ErrorClusterNotFound"),
    ],
)
def test_faults_of_kill(town: Town, words: tuple[str, ...], code: int, text: str) -> None:
    done = town.run("kill", *words)
    assert done.code == code and text in done.err and done.out == ""


def test_whoever_may_only_read_ends_nothing(town: Town) -> None:
    made = town.certificates["bob"]
    done = town.run("kill", made.certificate_path, *REASON, "--yes", who="reader")
    assert done.code == 1 and "kubecustody:RevokeCredential" in done.err and town.wished(made) == [False]


# --- report


def test_the_report_has_a_row_for_each_credential_and_says_what_it_does_not_see(town: Town) -> None:
    done = town.run("report", "-o", "json", who="reader")
    assert done.code == 0
    ((count,),) = rows_of(town.path, "SELECT COUNT(*) FROM credentials")
    assert len(done.json) == count
    assert "Never observed, so that nothing is proved there: 4 clusters (prod, staging, edge, home)." in done.err
    assert "certificates made elsewhere and tokens are not seen" in done.err


def test_filters_of_the_report(town: Town) -> None:
    assert {row["uid"] for row in town.json("report", "--deleted-holders")} == {BOB}
    assert {row["cluster"] for row in town.json("report", "--cluster", "edge")} == {"edge"}
    for who in (ALICE, "alice", "ALICE@example.com"):
        assert {row["uid"] for row in town.json("report", "--user", who)} == {ALICE}
    states = {row["state"] for row in town.json("report", "--user", "alice")}
    assert states == {"Unexpired", "Expired"}
    assert {row["state"] for row in town.json("report", "--state", "live")} == {"Unexpired"}
    assert town.json("report", "--expires-within", "30d") == []
    assert len(town.json("report", "--expires-within", "4000d")) == len(town.json("report", "--state", "Live"))


@pytest.mark.parametrize("condition", ["live", "masters"])
def test_a_condition_that_is_met_ends_with_three(town: Town, condition: str) -> None:
    met = town.run("report", "--cluster", "prod", "--fail-if", condition)
    assert met.code == 3 and f"Met: {condition}." in met.err
    assert town.run("report", "--cluster", "home", "--fail-if", condition).code == 0


def test_forms_of_the_report(town: Town) -> None:
    table = town.run("report", "--cluster", "edge")
    head, row = table.out.splitlines()
    assert head.split()[:4] == ["holder", "uid", "holder_state", "cluster"] and row.split()[0] == "bob"
    sheet = list(csv.DictReader(io.StringIO(town.run("report", "--cluster", "edge", "-o", "csv").out)))
    assert [(one["holder"], one["masters"]) for one in sheet] == [("bob", "no")]
    lines = town.run("report", "-o", "ndjson").out.splitlines()
    assert [json.loads(line) for line in lines] == town.json("report")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--user", "nobody-here"), 1, "EntityNotExist.User"),
        (("--cluster", "nowhere"), 1, "ErrorClusterNotFound"),
        (("--expires-within", "soon"), 2, "no span of time"),
        (("--expires-within", "1d", "--state", "Removed"), 2, "lists live credentials"),
        (("--state", "Unissued"), 2, "is not one of"),
        (("--fail-if", "weather"), 2, "is not one of"),
    ],
)
def test_faults_of_report(town: Town, words: tuple[str, ...], code: int, text: str) -> None:
    done = town.run("report", *words)
    assert done.code == code and text in done.err and done.out == ""


# --- leaver


def test_whoever_leaves_is_rehearsed_and_then_cleaned(town: Town) -> None:
    uid = town.installation.change(add_principal, kind=PrincipalKind.USER, name="carol", email="carol@example.com")
    soft, hard = town.add(f"/O=system:users/CN={uid}-1", "prod"), town.add(f"/O=system:masters/CN={uid}-2", "staging")
    admin(town.installation, "clusters", "set", "prod", "--attest-on-clean")
    try:
        before = contents(town.path)
        done = town.run("leaver", "carol", "--dry-run", "-o", "json")
        assert done.code == 0 and contents(town.path) == before
        first, second = done.json
        assert (first["cluster"], first["then"]) == ("prod", "lost, on the word of the cluster's operator")
        assert (second["cluster"], second["name"]) == ("staging", town.fingerprint(hard).replace(":", "").lower())
        assert second["then"].startswith("lives on: of system:masters")
        assert "Credentials that are lost: 1; that live on: 1;" in done.err
        act = town.run("leaver", "CAROL@example.com", "--yes")
        assert act.code == 0 and "Begun as task clean-user-permissions-" in act.err
        assert "\nprod: The removal of 1 " in act.err and "\nstaging: The removal of 1 " in act.err
    finally:
        admin(town.installation, "clusters", "set", "prod", "--no-attest-on-clean")
    assert town.wished(soft) == town.wished(hard) == [True]
    (removed, lives) = town.json("report", "--user", "carol")
    assert (removed["state"], removed["removed_by"], lives["state"]) == ("Removed", "attested", "Unexpired")


def test_whoever_holds_nothing_has_nothing_to_lose(town: Town) -> None:
    done = town.run("leaver", "reader", "--yes")
    assert done.code == 0 and "They hold nothing that lives" in done.out and "Begun" not in done.err


def test_a_cluster_that_refuses_is_told_and_ends_with_one(town: Town) -> None:
    uid = town.installation.change(add_principal, kind=PrincipalKind.USER, name="dora")
    made = town.add(f"/O=system:users/CN={uid}-1", "staging")
    admin(town.installation, "clusters", "set", "staging", "--state", "deleting")
    try:
        done = town.run("leaver", "dora", "--dry-run")
        assert done.code == 1 and "it is deleting" in done.out
    finally:
        admin(town.installation, "clusters", "set", "staging", "--state", "running")
    assert town.wished(made) == [False]


def test_faults_of_leaver(town: Town) -> None:
    for words, code, text in (
        (("nobody-here", "--yes"), 1, "EntityNotExist.User"),
        ((town.installation.account_id, "--yes"), 1, "ForbiddenCleanUserPermissions"),
        (("alice", "--cluster", "nowhere", "--yes"), 1, "ErrorClusterNotFound"),
    ):
        done = town.run("leaver", *words)
        assert done.code == code and text in done.err, done


# --- what does not end


class Endless(BaseHTTPRequestHandler):
    """Has always another page, and a task that is never done. stuck: each page leads to itself."""

    asked: ClassVar[int] = 0
    stuck: ClassVar[bool] = False

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path.startswith("/tasks/"):
            about = {"target": {"id": "1", "type": "user"}, "task_result": [], "events": [], "parameters": {}}
            about |= {"error": {"code": "", "message": ""}, "created": "", "updated": ""}
            self.tell({"task_id": "t", "task_type": "clean", "state": "running", **about})
        else:
            self.tell({"credentials": [], "next_token": "1" if self.stuck else str(self.asked)})

    def do_DELETE(self) -> None:
        permission = {"cluster_id": "", "cluster_name": "", "namespace": "", "role_name": "dev"}
        rehearsal = {"credentials": [], "permissions": [permission], "refused": []}
        self.tell({"task_id": "t", "request_id": "", "rehearsal": rehearsal})

    def tell(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[dict[str, str]]:
    """What reaches such a server."""
    Endless.asked, Endless.stuck = 0, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {
        "PATH": os.environ["PATH"],
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
        "KUBECUSTODY_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
    }
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("words", [("report", "-o", "json"), ("leaver", "2111", "--yes", "-o", "json")])
def test_an_interrupt_ends_what_goes_on_for_ever(endless: dict[str, str], words: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*PROGRAM, *words], env=endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while Endless.asked < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert out == "" if words[0] == "report" else json.loads(out)[0]["what"] == "permission"


def test_a_server_that_leads_in_a_circle_is_a_fault(endless: dict[str, str]) -> None:
    Endless.stuck = True
    done = run_process(["report"], endless)
    assert (done.code, done.out) == (2, "") and "again and again" in done.err


# --- many


def test_a_report_of_many_pages_has_each_credential_once(tmp_path: Path) -> None:
    installation = make_installation(tmp_path / "many")
    admin(installation, "clusters", "add", "prod")
    count, account = 1_203, installation.account_id
    with plain(installation.settings.store_file) as connection, connection:
        connection.executemany(
            "INSERT INTO credentials (account_id, credential_no, uid, cluster_seq, origin, fingerprint, cn, issued_at, "
            "not_before, trust_epoch, verdict, masters, recorded_at) "
            "VALUES (?, ?, '', 1, 'imported', ?, 'x', 0, 0, 0, '', 0, 0)",
            [(account, number, number.to_bytes(32, "big")) for number in range(1, count + 1)],
        )
    with serving(installation) as server:
        key = {"ALIBABA_CLOUD_ACCESS_KEY_ID": installation.key.access_key_id}
        key |= {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": installation.key.secret, "KUBECUSTODY_ENDPOINT": server.url}
        for more in ((), ("--state", "Unknown")):
            done = run_process(["report", "-o", "json", *more], {"PATH": os.environ["PATH"], **key})
            assert done.code == 0, done.err
            found = [int(row["fingerprint"], 16) for row in done.json]
            assert found == list(range(1, count + 1))
        assert (
            run_process(["report", "--state", "Removed"], {"PATH": os.environ["PATH"], **key}).out
            == "No credentials.\n"
        )


def test_a_report_of_a_past_time_is_what_it_was(town: Town) -> None:
    last = town.openssl.make(f"/O=system:users/CN={ALICE}-9", by=town.ca)
    town.take("staging", last)
    time.sleep(1.1)
    at = format_time(int(time.time()))
    time.sleep(1.1)
    was = town.json("report", "--user", ALICE)
    ended = town.run("kill", last.certificate_path, "--reason", "lost", "--yes")
    assert ended.code == 0, ended
    assert town.json("report", "--user", ALICE) != was

    def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(rows, key=lambda row: (row["fingerprint"], row["cluster"]))

    assert in_order(town.json("report", "--user", ALICE, "--at", at)) == in_order(was)
    early = town.run("report", "--at", "2020-01-01T00:00:00Z")
    assert early.code == 1 and "before the account's first event" in early.err
