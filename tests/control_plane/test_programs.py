"""The programs of a control plane start, say why if they do not, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from control_plane.control_plane import REPOSITORY, ControlPlane, ProgramsMissing, find_programs
from control_plane.waiting import eventually
from kubecustody.cli.programs import Program, StartFailed
from kubecustody.pki.issuing import make_ca

# A test process that starts a program and waits for its end.
STARTER = """
import sys
from pathlib import Path
from kubecustody.cli.programs import Program
program = Program("sleep", ["sleep", "600"], Path(sys.argv[1]) / "log")
print(program.process.pid, flush=True)
program.process.wait()
"""


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_killed_test_process_takes_its_programs_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    paths = os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_running(pid)
        starter.send_signal(signal.SIGKILL)
    eventually(lambda: not is_running(pid), seconds=5)


def test_a_program_that_ends_is_told_with_the_tail_of_its_log(tmp_path: Path) -> None:
    program = Program("sh", ["sh", "-c", "echo what is the matter; exit 3"], tmp_path / "log")
    program.process.wait(10)
    with pytest.raises(StartFailed, match="sh ended with code 3:\nwhat is the matter"):
        program.check_running()


def test_a_given_folder_must_hold_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ProgramsMissing, match=r"KUBEBUILDER_ASSETS is .* but kube-apiserver is not there"):
        find_programs()
    for name in ("kube-apiserver", "etcd"):
        (tmp_path / name).touch(0o700)
    assert find_programs() == tmp_path
    (tmp_path / "etcd").chmod(0o600)
    with pytest.raises(ProgramsMissing, match="etcd is not there or may not be run"):
        find_programs()


def children() -> set[int]:
    """The processes that this one started and that run."""
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


@pytest.mark.control_plane
def test_a_start_that_fails_says_why_and_stops_what_it_started(
    control_plane: ControlPlane, programs: Path, tmp_path: Path
) -> None:
    before = children()
    broken = ControlPlane(tmp_path, programs, control_plane.client_ca, etcd=control_plane.etcd, authorization="{}")
    with pytest.raises(StartFailed, match=r"(?s)kube-apiserver-0 ended with code 1.*[Aa]uthorization"), broken:
        pass
    assert children() == before


@pytest.mark.control_plane
def test_a_control_plane_is_stopped_at_the_end_of_its_block(programs: Path, tmp_path: Path) -> None:
    before = children()
    with ControlPlane(tmp_path, programs, make_ca("short", int(time.time()), 1), servers=1) as plane:
        assert len(children() - before) == 3
        assert plane.ask("GET", "/version").document["gitVersion"].startswith("v1.")
    assert children() == before
    assert not plane.etcd.data.exists()


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes audit events, and the events it took."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["items"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", events
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.control_plane
def test_a_second_cluster_shares_the_etcd_alone_and_tells_who_came(
    control_plane: ControlPlane, programs: Path, tmp_path: Path
) -> None:
    with (
        listener() as (url, events),
        ControlPlane(
            tmp_path,
            programs,
            control_plane.client_ca,
            servers=1,
            etcd=control_plane.etcd,
            name="second",
            audit_webhook=url,
        ) as second,
    ):
        assert second.uid() != control_plane.uid()
        person = second.issue("2111-1")
        assert second.ask("GET", "/api/v1/namespaces", person).status == 403
        (event,) = eventually(lambda: [one for one in events if one["user"]["username"] == "2111-1"])
    assert event["responseStatus"]["code"] == 403
    seen = event["user"]["extra"]["authentication.kubernetes.io/credential-id"]
    assert seen == [f"X509SHA256={person.fingerprint}"]
