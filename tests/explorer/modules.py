"""The explorer's modules, run by node: one process that answers one JSON line for each."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubecustody.pages.serving import SITE, STATIC

HERE = Path(__file__).parent
CATALOGUE: dict[str, Any] = json.loads((SITE / "explorer" / "catalogue.json").read_text("utf-8"))
OPERATIONS: dict[str, dict[str, Any]] = {operation["name"]: operation for operation in CATALOGUE["operations"]}


class Failed(Exception):
    """What a module threw."""


class Modules:
    """Asks the process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, do: str, **given: Any) -> Any:
        """What the modules answer. Raises Failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer.get("answer")


@contextlib.contextmanager
def running_modules() -> Iterator[Modules]:
    if shutil.which("node") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is absent: install Debian's nodejs")
        pytest.skip("node is absent, so nobody runs the explorer's modules: install Debian's nodejs")
    environment = {**os.environ, "MODULES": str(STATIC / "explorer")}
    command = ["node", "--no-warnings", str(HERE / "driver.mjs")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Modules(process)
        finally:
            process.kill()
