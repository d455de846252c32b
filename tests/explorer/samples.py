"""Samples as the explorer writes them, run as their readers would: each language at once, and what each printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from explorer.modules import CATALOGUE, OPERATIONS, Modules
from installations import PROGRAM
from kubecustody.custody.principals import NewAccessKey
from sdk.programs import GO, java_packages, missing, node_packages, run

HERE = Path(__file__).parent
RUN_SECONDS = 400
UNTESTED = {"aliyun"}
# What differs from one call to the next, or is masked because it is secret.
VOLATILE = {"request_id", "requestId", "RequestId", "task_id", "fingerprint", "Fingerprint", "expiration", "updated"}
_KEY_DATA = re.compile(r"[A-Za-z0-9+/=\n-]{60,}|\d{15,}")


class Outcome(NamedTuple):
    """What a sample printed, and whether it ended well."""

    ok: bool
    out: str


@dataclass
class Call:
    """One call: of which operation, with which values, as whom. secrets: to the environment of a sample."""

    operation: str
    values: dict[str, Any]
    key: NewAccessKey
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        named = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.key.secret,
        }
        return {**named, **{f"REQUEST_{name.upper()}": text for name, text in self.secrets.items()}}


class Writer:
    """Writes the samples of calls to one server."""

    def __init__(self, modules: Modules, endpoint: str) -> None:
        self.modules, self.endpoint = modules, endpoint

    def answer(self, call: Call) -> Any:
        """What the explorer itself gets: status and body."""
        key = {"id": call.key.access_key_id, "secret": call.key.secret, "token": ""}
        return self.modules.ask(
            "call",
            operation=OPERATIONS[call.operation],
            values=call.values,
            origin=self.endpoint,
            version=CATALOGUE["version"],
            key=key,
        )

    def write(self, language: str, call: Call) -> Any:
        sample = {
            "operation": OPERATIONS[call.operation],
            "values": call.values,
            "endpoint": self.endpoint,
            "region": "local",
            "version": CATALOGUE["version"],
            "temporary": False,
        }
        written = self.modules.ask("sample", language=language, sample=sample)
        for secret in (call.key.secret, *call.secrets.values()):
            assert secret not in json.dumps(written), "a secret is in the sample"
        return written


# --- what is equal


def settled(value: Any) -> Any:
    """An answer without what differs from one call to the next, and without what SDKs leave out or add: nothing, []
    and {}.
    """
    if isinstance(value, list):
        return [settled(item) for item in value]
    if isinstance(value, dict):
        kept = {name: settled(item) for name, item in value.items() if name not in VOLATILE}
        return {name: item for name, item in kept.items() if item not in (None, [], {})}
    return _KEY_DATA.sub("***", value) if isinstance(value, str) else value


def check(language: str, call: Call, expected: Any, got: Outcome) -> None:
    """The sample gives the answer of the explorer."""
    body = expected["body"]
    if expected["status"] >= 400:
        assert not got.ok and body["Code"] in got.out, (language, got.out)
        return
    assert got.ok, (language, got.out)
    if not body:
        assert got.out.strip() in ("200", "{}", "done"), (language, got.out)
    else:
        assert settled(json.loads(got.out)) == settled(body), language


# --- running


Codes = list[tuple[Call, str]]
Outcomes = dict[str, Outcome]


def _outcomes(text: str) -> Outcomes:
    return {name: Outcome(**outcome) for name, outcome in json.loads(text).items()}


def _batch(command: list[str], folder: Path, samples: list[dict[str, Any]], environment: dict[str, str]) -> Outcomes:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=json.dumps(samples),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return _outcomes(done.stdout)


def _each(codes: Codes, command: Callable[[Call, str], list[str]], folder: Path) -> Outcomes:
    outcomes = {}
    for call, code in codes:
        environment = {**os.environ, **call.environment}
        done = subprocess.run(
            command(call, code), cwd=folder, env=environment, capture_output=True, text=True, timeout=60
        )
        outcomes[call.operation] = Outcome(done.returncode == 0, done.stdout or done.stderr)
        if done.returncode != 0:
            outcomes[call.operation] = Outcome(False, done.stdout + done.stderr)
    return outcomes


def run_python(codes: Codes, folder: Path) -> Outcomes:
    samples = [{"name": call.operation, "code": code, "environment": call.environment} for call, code in codes]
    return _batch([sys.executable, str(HERE / "run_python.py")], folder, samples, dict(os.environ))


def run_typescript(codes: Codes, folder: Path) -> Outcomes:
    """All of them as one project: compiled strictly, then run."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"tier sdk: {tool} is absent, so no TypeScript sample is run; install Debian's nodejs and npm")
    packages = node_packages(HERE / "typescript") / "node_modules"
    project = folder / "typescript"
    project.mkdir()
    (project / "node_modules").symlink_to(packages)
    for name in ("tsconfig.json", "run.cjs"):
        shutil.copy(HERE / "typescript" / name, project)
    for call, code in codes:
        (project / f"{call.operation}.ts").write_text(code)
    compiler = ["node", str(packages / "typescript" / "bin" / "tsc")]
    compiled = subprocess.run(compiler, cwd=project, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert compiled.returncode == 0, compiled.stdout
    samples = [{"name": call.operation, "environment": call.environment} for call, _ in codes]
    return _batch(["node", "run.cjs"], project, samples, dict(os.environ))


_GO_MAIN = """package main

import "os"

func main() {
\tmap[string]func(){
%s\t}[os.Args[1]]()
}
"""


def run_go(codes: Codes, folder: Path) -> Outcomes:
    """All of them as one program, in which the `main` of each has a name of its own."""
    if subprocess.run([GO, "version"], capture_output=True, timeout=RUN_SECONDS).returncode != 0:
        missing("tier sdk: scripts/go finds no Go, so no Go sample is run")
    project = folder / "go"
    shutil.copytree(HERE / "go", project)
    for call, code in codes:
        assert code.count("func ") == code.count("func main()") == 1
        (project / f"sample_{call.operation.lower()}.go").write_text(
            code.replace("func main()", f"func sample{call.operation}()")
        )
    names = "".join(f'\t\t"{call.operation}": sample{call.operation},\n' for call, _ in codes)
    (project / "main.go").write_text(_GO_MAIN % names)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    run([str(GO), "build", "-o", "samples", "."], project, environment)
    return _each(codes, lambda call, _: [str(project / "samples"), call.operation], project)


def run_java(codes: Codes, folder: Path) -> Outcomes:
    """All of them compiled at once, each as a class of its own; one program for those of one caller."""
    for tool in ("javac", "mvn"):
        if shutil.which(tool) is None:
            missing(f"tier sdk: {tool} is absent, so no Java sample is run; install default-jdk-headless and maven")
    jars = java_packages(HERE / "java")
    classes = folder / "java"
    classes.mkdir()
    for call, code in codes:
        assert code.count("class Sample ") == 1
        (classes / f"Sample{call.operation}.java").write_text(
            code.replace("class Sample ", f"class Sample{call.operation} ")
        )
    sources = [str(HERE / "java" / "Samples.java"), *map(str, classes.glob("*.java"))]
    run(
        ["javac", "-Xlint:all,-path", "-Werror", "-proc:none", "-cp", f"{jars}/*", "-d", str(classes), *sources], folder
    )
    outcomes: Outcomes = {}
    for key_id in {call.key.access_key_id for call, _ in codes}:
        calls = [call for call, _ in codes if call.key.access_key_id == key_id]
        environment = dict(os.environ)
        for call in calls:
            environment |= call.environment
        command = ["java", "-cp", f"{classes}:{jars}/*", "Samples", *(call.operation for call in calls)]
        outcomes |= _batch(command, folder, [], environment)
    return outcomes


def run_shell(codes: Codes, folder: Path) -> Outcomes:
    tools = folder / "tools"  # `kubecustody` as it would be on the path
    tools.mkdir(exist_ok=True)
    program = tools / "kubecustody"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    return _each(codes, lambda _, code: ["bash", "-c", f"PATH={tools}:$PATH\n{code}"], folder)


RUNNERS: dict[str, Callable[[Codes, Path], Outcomes]] = {
    "python": run_python,
    "python-async": run_python,
    "typescript": run_typescript,
    "go": run_go,
    "java": run_java,
    "curl": run_shell,
    "kubecustody": run_shell,
    "kubecustody-python": run_python,
}
