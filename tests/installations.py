"""Real installations and servers for tests: made by the program's own commands, on loopback, stopped by the test."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubecustody.cli.initialise import initialise
from kubecustody.cli.programs import free_port
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, open_custody
from kubecustody.custody.principals import NewAccessKey
from kubecustody.settings import Settings, load_settings

AUTHOR = Author("test", reason="test")
PROGRAM = [sys.executable, "-m", "kubecustody.cli.main"]


@dataclass
class Installation:
    """An installation in a folder of its own; `key` is the account's first access key."""

    settings: Settings
    key: NewAccessKey

    @property
    def account_id(self) -> str:
        return self.key.uid

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which a command finds this installation."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("KUBECUSTODY_")}
        return {
            **plain,
            "KUBECUSTODY_DATA_DIR": str(self.settings.data_dir),
            "KUBECUSTODY_KEY_RING_FILE": str(self.settings.key_ring_file),
        }

    def run(self, work: Callable[[Custody], Awaitable[Any]]) -> Any:
        """What `work` returns with the installation open."""

        async def whole() -> Any:
            store, custody = await open_custody(self.settings)
            try:
                return await work(custody)
            finally:
                store.close()

        return asyncio.run(whole())

    def change(self, use_case: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
        """What a use case returns that changes the account (custody, account, author, now come first)."""
        now = named.pop("now", None)
        return self.run(
            lambda custody: use_case(
                custody, self.account_id, AUTHOR, time.time() if now is None else now, *arguments, **named
            )
        )

    def command(self, *arguments: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the program on this installation, as a process."""
        return subprocess.run(
            [*PROGRAM, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
            **more,
        )


def make_installation(folder: Path, **overrides: str) -> Installation:
    settings = load_settings({}, {"data_dir": str(folder / "data"), **overrides})
    key = initialise(settings, ["localhost", "127.0.0.1"], account_name="test", account_id=None, region_id="local")
    return Installation(settings, key)


@dataclass
class RunningServer:
    """A server process; `url` is where it answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """Stop it as an operator would; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def serving(installation: Installation, *, tls: str = "off", **settings: str) -> Iterator[RunningServer]:
    """A server of this installation as a process of its own, until the block ends."""
    port = free_port()
    given = {"listen": f"127.0.0.1:{port}", "tls": tls, "metrics_listen": "off", **settings}
    log = installation.settings.data_dir.parent / f"server-{port}.log"
    words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*PROGRAM, "serve", *words], env=installation.environment, stdout=stream, stderr=subprocess.STDOUT
        )
    server = RunningServer(f"{'https' if tls == 'on' else 'http'}://127.0.0.1:{port}", process, log)
    try:
        wait_for_port(port, process, log)
        yield server
    finally:
        server.stop()


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended: {log.read_text() if log else process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("the server did not listen within 30 seconds")


@contextlib.contextmanager
def running_demo() -> Iterator[dict[str, Any]]:
    """What `kubecustody demo --json` prints, while it serves."""
    command = [*PROGRAM, "demo", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
