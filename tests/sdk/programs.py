"""Programs in other languages that call the server with the provider's own SDK.

Packages are installed by lock, and outside the repository: npm's and Java's in a folder of the user's cache named
after the lock file's hash, Go's where Go keeps its modules. The first use needs the network, a later one does not.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
GO = HERE.parents[1] / "scripts" / "go"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubecustody" / "sdk"
INSTALL_SECONDS, ANSWER_SECONDS = 400, 60


@dataclass(eq=False)
class Refused(Exception):
    """An error answer as the SDK of the other language has read it; `kind` is the class of its error."""

    kind: str
    code: str
    message: str
    status_code: int
    request_id: str
    retry_after_ms: int | None

    def __str__(self) -> str:
        return self.message


class Program:
    """A program that answers one JSON line for each."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process, self.errors = process, errors

    def ask(self, **command: Any) -> Any:
        """The body of the answer as the SDK has read it. Raises Refused."""
        __tracebackhide__ = True  # a traceback would show the command, and the secret in it
        assert self.process.stdin is not None and self.process.stdout is not None
        impatience = threading.Timer(ANSWER_SECONDS, self.process.kill)
        impatience.start()
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            impatience.cancel()
        if not line:
            raise AssertionError(f"the program gave no answer to {command['do']}: {self.errors.read_text()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(**answer["error"])
        assert answer["response"]["statusCode"] == 200
        return answer["response"].get("body")


@contextlib.contextmanager
def running(command: list[str], folder: Path, **environment: str) -> Iterator[Program]:
    """The program, until the block ends; it ends by itself when its input does."""
    errors = folder / "errors"
    with errors.open("w") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, **environment},
        )
    with process:
        try:
            yield Program(process, errors)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0, errors.read_text()
        finally:
            process.kill()


def missing(what: str) -> NoReturn:
    """Without a tool: a loud skip, and in CI a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def run(command: list[str], folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


# --- Node


def node_packages(project: Path = HERE / "node") -> Path:
    """The folder in which the packages of a project's package-lock.json are installed."""
    files = [project / name for name in ("package.json", "package-lock.json", ".npmrc")]
    digest = sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    ready = CACHE / digest
    if not ready.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-", ignore_cleanup_errors=True) as name:
            for path in files:
                shutil.copy(path, name)
            # Their scripts only choose type declarations for TypeScript.
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], Path(name))
            # Another run may have been quicker.
            with contextlib.suppress(OSError):
                Path(name).rename(ready)
    return ready


@contextlib.contextmanager
def node_program(folder: Path) -> Iterator[Program]:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"tier sdk: {tool} is absent, so nobody calls with the Node SDK; install Debian's nodejs and npm")
    modules = str(node_packages())
    with running(["node", str(HERE / "node" / "life.mjs")], folder, MODULES=modules) as program:
        yield program


# --- Java


def java_packages(project: Path) -> Path:
    """The folder in which the jars of a project's pom.xml are: those of its jars.sha256, and no other."""
    locked = project / "jars.sha256"
    digest = sha256((project / "pom.xml").read_bytes() + locked.read_bytes()).hexdigest()[:16]
    ready = CACHE / digest
    if not ready.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-", ignore_cleanup_errors=True) as name:
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={name}"]
            run(["mvn", "--batch-mode", "--quiet", "--file", str(project / "pom.xml"), *copy], Path(name))
            run(["sha256sum", "--strict", "--check", str(locked)], Path(name))
            assert len(list(Path(name).iterdir())) == len(locked.read_text().splitlines())
            with contextlib.suppress(OSError):  # another run may have been quicker
                Path(name).rename(ready)
    return ready


# --- Go


@contextlib.contextmanager
def go_program(folder: Path) -> Iterator[Program]:
    if subprocess.run([GO, "version"], capture_output=True, timeout=INSTALL_SECONDS).returncode != 0:
        missing("tier sdk: scripts/go finds no Go, so nobody calls with the Go SDK")
    built = folder / "life"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    run([str(GO), "build", "-o", str(built), "."], HERE / "go", environment)
    with running([str(built)], folder) as program:
        yield program
