"""Starting, stopping and losing processes."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from wire import NO_ADDRESS_LIMIT, call, connect, read_answer, sign, write_request

from installations import PROGRAM, Installation, RunningServer, free_port, serving, wait_for_port
from kubecustody.custody.principals import set_access_key_disabled


def children_of(pid: int) -> list[int]:
    """The processes that this one started and that live."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def workers_of(server: RunningServer) -> list[int]:
    """The workers among the children; multiprocessing keeps another process beside them."""
    return [
        child
        for child in children_of(server.process.pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(what: str, true: object) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if true():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError(f"not within 20 seconds: {what}")


def answers_from(server: RunningServer, installation: Installation) -> bool:
    try:
        return call(server, installation.key).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_request_is_answered_before_a_stop_and_the_exit_code_is_zero(
    installation: Installation, workers: str, number: signal.Signals
) -> None:
    with serving(installation, workers=workers) as server:
        wait_until("the server answers", lambda: answers_from(server, installation))
        signed = sign(server, installation.key, body=b"slow")
        with connect(server) as connection:
            connection.sendall(write_request(signed, added=[("content-length", "4")]) + b"sl")
            time.sleep(0.3)
            server.process.send_signal(number)
            time.sleep(0.5)
            assert server.process.poll() is None
            connection.sendall(b"ow")
            assert read_answer(connection).status == 200
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stop_waits_no_longer_than_told_for_a_request_that_never_ends(installation: Installation, workers: str) -> None:
    with serving(installation, workers=workers, graceful_timeout_seconds="1") as server:
        wait_until("the server answers", lambda: answers_from(server, installation))
        signed = sign(server, installation.key, body=b"slow")
        with connect(server) as connection:
            connection.sendall(write_request(signed, added=[("content-length", "4")]) + b"sl")
            time.sleep(0.3)
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
            assert time.monotonic() - started < 6


@pytest.mark.parametrize("workers", ["1", "2"])
def test_signal_as_soon_as_the_address_listens_stops_the_server(installation: Installation, workers: str) -> None:
    for pause in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
        with serving(installation, workers=workers) as server:
            time.sleep(pause)
            server.process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert server.process.wait(20) == 0, f"{pause}: {server.log.read_text()}"
            assert time.monotonic() - started < 6


def test_killed_worker_is_replaced_while_the_other_answers(installation: Installation) -> None:
    with serving(installation, workers="2") as server:
        wait_until("two workers", lambda: len(workers_of(server)) == 2)
        wait_until("they answer", lambda: answers_from(server, installation))
        before = workers_of(server)
        os.kill(before[0], signal.SIGKILL)
        wait_until("a new worker", lambda: len(set(workers_of(server)) - set(before)) == 1)
        assert before[1] in workers_of(server)
        assert {call(server, installation.key).status for _ in range(20)} == {200}
        assert f"worker {before[0]} ended with exit code -9; another is started" in server.log.read_text()
        codes = [call(server, installation.key, nonce="of both").code for _ in range(8)]
        assert codes == ["", *["SignatureNonceUsed"] * 7]


def test_nonces_survive_the_worker_that_took_them(installation: Installation) -> None:
    with serving(installation, workers="2") as server:
        wait_until("two workers", lambda: len(workers_of(server)) == 2)
        wait_until("they answer", lambda: answers_from(server, installation))
        data = [write_request(sign(server, installation.key)) for _ in range(20)]
        for request in data:
            with connect(server) as connection:
                connection.sendall(request)
                assert read_answer(connection).status == 200
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        wait_until("new workers answer", lambda: answers_from(server, installation))
        for request in data:
            with connect(server) as connection:
                connection.sendall(request)
                assert read_answer(connection).code == "SignatureNonceUsed"


def test_workers_end_with_their_parent_even_when_it_is_killed(installation: Installation) -> None:
    with serving(installation, workers="2") as server:
        wait_until("two workers", lambda: len(workers_of(server)) == 2)
        wait_until("they answer", lambda: answers_from(server, installation))
        workers = workers_of(server)
        server.process.kill()
        server.process.wait(10)
        wait_until("no worker lives", lambda: not any(map(is_alive, workers)))
    with serving(installation, workers="2") as server:
        wait_until("the next server answers", lambda: answers_from(server, installation))


def test_disabled_key_is_refused_by_each_of_two_workers_under_load(installation: Installation) -> None:
    with serving(installation, workers="2", **NO_ADDRESS_LIMIT) as server:
        wait_until("they answer", lambda: answers_from(server, installation))
        after: list[str] = []
        disabled, stop = threading.Event(), threading.Event()

        def keep_calling() -> None:
            while not stop.is_set():
                known = disabled.is_set()
                code = call(server, installation.key).code
                if known:
                    after.append(code)

        threads = [threading.Thread(target=keep_calling) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        installation.change(set_access_key_disabled, installation.key.access_key_id, disabled=True)
        disabled.set()
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        assert after and set(after) == {"InvalidAccessKeyId.Inactive"}


# --- what is refused at the start


def start_and_fail(installation: Installation, *settings: str) -> str:
    """What a server says that refuses to start."""
    words = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        [*PROGRAM, "serve", *words], env=installation.environment, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2, done
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.stderr


def test_no_tls_on_an_address_that_others_reach_is_refused_without_a_declared_proxy(
    installation: Installation,
) -> None:
    told = start_and_fail(installation, "tls=off", "listen=0.0.0.0:0")
    assert "without TLS the API listens on loopback only" in told and "trusted_proxies" in told
    assert "loopback only" in start_and_fail(installation, "tls=off", "listen=[::]:0")


def test_no_tls_is_taken_behind_a_declared_proxy(installation: Installation) -> None:
    port = free_port()
    words = ["--set", "tls=off", "--set", "trusted_proxies=127.0.0.1", "--set", f"listen=0.0.0.0:{port}"]
    words += ["--set", "public_url=https://custody.example.com"]
    process = subprocess.Popen(
        [*PROGRAM, "serve", *words, "--set", "metrics_listen=off"],
        env=installation.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("setting", ["listen", "metrics_listen"])
def test_address_in_use_is_told_with_the_setting_to_change(installation: Installation, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        others = {"listen": f"127.0.0.1:{free_port()}", "metrics_listen": "off"} | {setting: address}
        told = start_and_fail(installation, *(f"{name}={value}" for name, value in others.items()))
        assert f"{address} cannot be listened on: Address already in use." in told
        assert f"`{setting}`" in told


def test_certificate_that_is_not_there_is_told(installation: Installation) -> None:
    told = start_and_fail(installation, "tls_certificate_file=/nowhere/server.pem", "metrics_listen=off")
    assert "There is no file /nowhere/server.pem." in told


def test_certificate_that_is_none_is_told(installation: Installation, tmp_path: Path) -> None:
    nonsense = tmp_path / "server.pem"
    nonsense.write_text("no certificate")
    listen = f"listen=127.0.0.1:{free_port()}"
    told = start_and_fail(installation, f"tls_certificate_file={nonsense}", listen, "metrics_listen=off")
    assert str(nonsense) in told and "tls_certificate_file" in told
