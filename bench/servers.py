"""Servers as processes of their own: start, wait until one answers, read its CPU time, stop it whatever happens."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
SERVER_CPU, LOAD_CPU = 0, 1
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Server:
    """A running server; used as a context manager, it is stopped at the end."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = name
        self.host = HOST
        self.port = port
        self._process = process

    @property
    def pid(self) -> int:
        """The process that was started; workers may be its children."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """User and system time of the process and all below it, to a clock tick (usually 10 ms)."""
        return cpu_seconds_below(self.pid)

    def stop(self) -> None:
        """Ask the server to end, and end it when it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def uvicorn_command(app: str, port: int) -> list[str]:
    """One worker on uvloop and httptools; the applications keep their own access log."""
    options = f"--host {HOST} --port {port} --loop uvloop --http httptools --workers 1 --no-access-log"
    return [sys.executable, "-m", "uvicorn", app, *options.split(), "--log-level", "warning"]


def start(
    name: str, command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Server:
    """The server of this command, once it answers, on the CPU for servers. Its output goes to `log`.

    Raises RuntimeError with the end of the log when it ends, or is not ready in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environment or {})})
    server = Server(name, process, port)
    try:
        os.sched_setaffinity(process.pid, {SERVER_CPU})
        _wait_until_it_answers(server, process, log)
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError(f"{server.name} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def cpu_seconds_below(root: int) -> float:
    """utime + stime + cutime + cstime (proc_pid_stat(5)) of the process and its descendants."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The second field, the name in brackets, may hold anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks[int(entry.name)] = sum(map(int, fields[11:15]))
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += ticks[pid]
        waiting.extend(children.get(pid, ()))
    return total / _TICKS_PER_SECOND
