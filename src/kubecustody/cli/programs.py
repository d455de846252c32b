"""Programs that run beside this one, each with a log of its own, and end with it, however it ends."""

import contextlib
import ctypes
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kubecustody.core.errors import OperatorError

PR_SET_PDEATHSIG = 1  # prctl(2)
TAIL_LINES = 15
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

# Below those that Linux gives to outgoing connections (from 32768 on): one of them could be faster than the server.
_PORTS = range(12_000, 32_000)
_given_ports: set[int] = set()


class StartFailed(OperatorError):
    """A program ended, or was not ready in time; the text ends with the tail of its log."""


def free_port() -> int:
    """A port of loopback that nobody listens on, never given twice."""
    while True:
        port = random.SystemRandom().choice(_PORTS)  # whatever seed a test sets
        if port in _given_ports:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given_ports.add(port)
            return port


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A running program. It must be started by the main thread: Linux kills it when the thread ends that did.

    Ctrl-C at the terminal is not for it: who started it stops it.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(  # noqa: S603 - a program that the caller found
                [*map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                preexec_fn=_die_with_parent,
                process_group=0,
            )

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def check_running(self) -> None:
        """Raise StartFailed if it ended."""
        if self.process.poll() is not None:
            raise StartFailed(f"{self.name} ended with code {self.process.returncode}:\n{self.tail()}")

    def memory_bytes(self) -> int:
        """Its resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def stop(self) -> None:
        """Kill it: what it wrote is thrown away, so there is nothing to end in good order."""
        self.process.kill()
        self.process.wait(20)


class Deadline:
    """Waits in short sleeps while a program lives, and tells its log when the time is over."""

    def __init__(self, program: Program, seconds: float = 60) -> None:
        self.program, self.seconds = program, seconds
        self.ends = time.monotonic() + seconds

    def wait(self, for_what: str, pause_seconds: float = 0.05) -> None:
        """Sleep a moment. Raises StartFailed if the program ended or the time is over."""
        self.program.check_running()
        if time.monotonic() > self.ends:
            what = f"{self.program.name}: not within {self.seconds} s: {for_what}"
            raise StartFailed(f"{what}\n{self.program.tail()}")
        time.sleep(pause_seconds)
