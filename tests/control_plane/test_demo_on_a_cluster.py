"""`kubecustody demo --control-plane`: what it tells is what the API server says, and nothing stays."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.commands import ESCAPES, run_process
from control_plane.control_plane import ControlPlane
from control_plane.waiting import eventually
from installations import PROGRAM
from kubecustody.cli import demo_cluster
from kubecustody.cli.demo_cluster import Seen, ask_as
from kubecustody.client import Client, Endpoint

pytestmark = pytest.mark.control_plane

NAMESPACES = "default, kube-node-lease, kube-public, kube-system"
DEMO = ["demo", "--control-plane"]


@pytest.fixture
def environment(programs: Path, tmp_path: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KUBECUSTODY_")}
    return {**plain, "TMPDIR": str(tmp_path), "KUBEBUILDER_ASSETS": str(programs)}


def programs_in(folder: Path) -> list[str]:
    """The command lines of the processes that have something to do with the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


def assert_nothing_stays(folder: Path) -> None:
    assert programs_in(folder) == []
    assert list(folder.iterdir()) == []


def test_the_story_is_told_in_a_hundred_columns_and_nothing_stays(environment: dict[str, str], tmp_path: Path) -> None:
    done = run_process([*DEMO, "--once"], environment)
    assert done.code == 0, done
    assert not ESCAPES.search(done.out + done.err)
    assert max(map(len, done.out.splitlines())) <= 100
    _, _, table = done.out.partition("Side by side:")
    rows = [" ".join(line.split()) for line in table.splitlines()]
    (alice,) = [row for row in rows if row.startswith("alice ")]
    (lost,) = [row for row in rows if row.startswith("bob, the lost one ")]
    (new,) = [row for row in rows if row.startswith("bob, the new one ")]
    assert "(Forbidden) Removed" in alice and "(Forbidden) Removed" in lost
    assert "default" in new and "Unexpired" in new
    assert_nothing_stays(tmp_path)


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator["subprocess.Popen[str]"]:
    program = Path(PROGRAM[0]).with_name("kubecustody")  # as its reader starts it
    with subprocess.Popen([program, *DEMO, *words], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def asked(told: dict[str, Any], kubeconfig: str) -> "subprocess.CompletedProcess[str]":
    """kubectl, by the test itself, with a kubeconfig that the demo told."""
    path = Path(told["folder"]) / "config"
    path.write_text(kubeconfig)
    command = ["kubectl", "--kubeconfig", str(path), "get", "namespaces"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": told["folder"]}
    )


def test_what_programs_are_told_holds(
    environment: dict[str, str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(environment, "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline()) | {"folder": str(tmp_path_factory.mktemp("asked"))}
        answers = {name: asked(told, text) for name, text in told["kubeconfigs"].items()}
        account = told["keys"]["account"]
        key = Endpoint(told["endpoint"], account["access_key_id"], account["access_key_secret"])
        with Client(key) as client:
            rows = {
                name: client.list_user_kube_config_states(uid=told["keys"][name]["uid"]).states[0]
                for name in ("alice", "bob")
            }
    assert process.returncode == 0
    assert {name: answer.returncode for name, answer in answers.items()} == {"alice": 1, "bob": 0, "bob-old": 1}
    for name in ("alice", "bob-old"):
        uid = told["keys"][name.removesuffix("-old")]["uid"]
        assert f'(Forbidden): namespaces is forbidden: User "{uid}-' in answers[name].stderr
    assert {name: row.cert_state for name, row in rows.items()} == {"alice": "Removed", "bob": "Unexpired"}
    assert told["uids"] == {"Removed": [told["keys"]["alice"]["uid"]], "Unexpired": [told["keys"]["bob"]["uid"]]}
    assert [(one["who"], one["may"]) for one in told["shown"]] == [
        ("alice", False),
        ("bob, the lost one", False),
        ("bob, the new one", True),
    ]
    assert_nothing_stays(tmp_path)


def test_commands_that_it_suggests_work_as_they_stand(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while len([one for one in lines if one.startswith("# ")]) < 5 or lines[-1].startswith("# "):
            lines.append(process.stdout.readline().rstrip("\n"))
            assert process.poll() is None, lines
        following = [lines[number + 1] for number, line in enumerate(lines) if line.startswith("# ")]
        done = [
            subprocess.run(one, shell=True, env=environment, capture_output=True, text=True, timeout=60)
            for one in following
        ]
    assert [one.returncode for one in done] == [0] * 5, done
    assert "X509SHA256=" in done[1].stdout
    assert_nothing_stays(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_stopped_while_the_programs_start_it_takes_them_along(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with running(environment, "--once") as process:
        eventually(lambda: any("kube-apiserver" in words for words in programs_in(tmp_path)))
        process.send_signal(number)
        assert process.wait(20) == code
    assert_nothing_stays(tmp_path)


def test_stopped_in_the_middle_of_its_story_it_takes_all_along(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("3."):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert_nothing_stays(tmp_path)


def test_without_kubectl_the_same_request_is_made(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, nobody = control_plane.kubeconfig(), control_plane.kubeconfig(control_plane.issue("2111-1"))
    by_kubectl = [ask_as(control_plane, text) for text in (admin, nobody)]
    monkeypatch.setattr(demo_cluster, "find_kubectl", lambda: None)
    ours = [ask_as(control_plane, text) for text in (admin, nobody)]
    assert [one.may for one in ours] == [one.may for one in by_kubectl] == [True, False]
    assert ours[0] == by_kubectl[0] and "kube-system" in ours[0].text
    refusal = Seen(False, by_kubectl[1].text.replace("Error from server (Forbidden)", "403"))
    assert ours[1] == refusal
