"""`kubecustody demo`: what it prints is true, and nothing stays."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from commands import ESCAPES, run_on_terminal, run_process

from installations import PROGRAM
from kubecustody.catalogue.operations import get_operation
from kubecustody.client import Endpoint
from kubecustody.client.calls import Reply, call_operation
from kubecustody.core.states import CertState

STATES = get_operation("ListUserKubeConfigStates")


def ask(demo: dict[str, Any], key: str, **parameters: str) -> Reply:
    keys = demo["keys"][key]
    endpoint = Endpoint(demo["endpoint"], keys["access_key_id"], keys["access_key_secret"])
    return call_operation(endpoint, STATES, parameters)


def test_described_demo_has_what_samples_need(demo: dict[str, Any]) -> None:
    assert set(demo) == {"endpoint", "region", "account_id", "keys", "uids", "clusters"}
    assert set(demo["keys"]) == {"account", "admin", "reader", "nobody"}
    for key in demo["keys"].values():
        assert set(key) == {"uid", "access_key_id", "access_key_secret"}
    assert demo["keys"]["account"]["uid"] == demo["account_id"]
    assert set(demo["uids"]) == {state.value for state in CertState}


@pytest.mark.parametrize("state", list(CertState))
def test_each_uid_that_is_listed_under_a_state_has_a_row_in_it(demo: dict[str, Any], state: CertState) -> None:
    assert demo["uids"][state]
    for uid in demo["uids"][state]:
        rows = ask(demo, "reader", Uid=uid).body["states"]
        assert state in {row["cert_state"] for row in rows}
        assert [row["cluster_id"] for row in rows] == demo["clusters"]


@pytest.mark.parametrize(("key", "status"), [("account", 200), ("admin", 200), ("reader", 200), ("nobody", 403)])
def test_each_key_may_do_what_its_name_says(demo: dict[str, Any], key: str, status: int) -> None:
    assert ask(demo, key).status == status


def environment(folder: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KUBECUSTODY_")}
    return plain | {"TMPDIR": str(folder)}


def test_demo_once_shows_all_five_states_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_process(["demo", "--once"], environment(tmp_path))
    assert done.code == 0, done
    for state in CertState:
        assert state in done.out
    assert "asked through the provider's SDK" in done.out
    assert not ESCAPES.search(done.out + done.err)
    assert list(tmp_path.iterdir()) == []


def test_demo_that_describes_itself_for_programs_cannot_stop_at_once(tmp_path: Path) -> None:
    done = run_process(["demo", "--once", "--json"], environment(tmp_path))
    assert done.code == 2, done
    assert "leave out --once or --json" in done.err
    assert list(tmp_path.iterdir()) == []


def test_demo_on_a_terminal_has_colours(tmp_path: Path) -> None:
    shown = run_on_terminal(["demo", "--once"], environment(tmp_path) | {"TERM": "xterm-256color"})
    assert shown.code == 0 and "\x1b[" in shown.out


def test_demo_is_not_disturbed_by_the_settings_of_a_real_installation(tmp_path: Path) -> None:
    real = {
        "KUBECUSTODY_KEY_RING": "nonsense",
        "KUBECUSTODY_WORKERS": "4",
        "KUBECUSTODY_TLS": "on",
        "KUBECUSTODY_PUBLIC_URL": "https://real.example",
        "KUBECUSTODY_DATA_DIR": "/nowhere",
        "KUBECUSTODY_KEY_RING_FILE": str(tmp_path / "real-ring"),
        "KUBECUSTODY_KEY_BURST": "1",
    }
    done = run_process(["demo", "--once"], environment(tmp_path) | real)
    assert done.code == 0, done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_demo_that_is_stopped_takes_its_folder_along(tmp_path: Path, number: signal.Signals) -> None:
    command = [*PROGRAM, "demo", "--json"]
    with subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"{")
        assert [path.name.startswith("kubecustody-demo-") for path in tmp_path.iterdir()] == [True]
        process.send_signal(number)
        assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_commands_that_the_demo_suggests_work_as_they_stand(tmp_path: Path) -> None:
    """Run each in a shell while the demo serves, as its reader would."""
    command = [str(Path(PROGRAM[0]).with_name("kubecustody")), "demo"]
    lines: list[str] = []
    with subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if len([one for one in lines if one.startswith("# ")]) == 4 and not lines[-1].startswith("# "):
                    break
            following = [lines[number + 1] for number, line in enumerate(lines) if line.startswith("# ")]
            codes = [
                subprocess.run(each, shell=True, env=environment(tmp_path), capture_output=True, timeout=60).returncode
                for each in following
            ]
        finally:
            process.send_signal(signal.SIGTERM)
    assert codes == [0, 0, 1, 0], following


def test_temporary_folder_is_the_only_place_that_the_demo_writes_to() -> None:
    home = Path(tempfile.mkdtemp(prefix="home-"))
    done = run_process(["demo", "--once"], environment(Path(tempfile.gettempdir())) | {"HOME": str(home)})
    assert done.code == 0
    assert list(home.iterdir()) == []
    home.rmdir()


def test_without_the_programs_of_a_control_plane_it_says_what_to_run(tmp_path: Path) -> None:
    own = environment(tmp_path) | {"XDG_CACHE_HOME": str(tmp_path)}
    own.pop("KUBEBUILDER_ASSETS", None)
    done = run_process(["demo", "--control-plane", "--once"], own)
    assert (done.code, done.out) == (2, "")
    assert "Run scripts/control-plane" in done.err and "KUBEBUILDER_ASSETS" in done.err
    given = run_process(["demo", "--control-plane"], own | {"KUBEBUILDER_ASSETS": str(tmp_path)})
    assert given.code == 2
    assert f"is {tmp_path}, but kube-apiserver, kube-controller-manager, etcd cannot be run there" in given.err
    assert list(tmp_path.iterdir()) == []
