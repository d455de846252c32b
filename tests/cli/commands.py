"""Commands run as a user runs them: in this process for speed, or as a process of their own, also on a terminal."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from installations import PROGRAM, Installation
from kubecustody.cli.main import main

# ECMA-48: ESC, the C1 controls, and every C0 control but tab and line feed.
ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(installation: Installation, *words: str | Path, env: Mapping[str, str] | None = None) -> Done:
    """Run `kubecustody words...` in this process; neither output is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    environment = {**installation.environment, **(env or {})}
    with (
        mock.patch.object(sys, "argv", ["kubecustody", *map(str, words)]),
        mock.patch.dict(os.environ, environment, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    done = Done(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.err, done.err
    return done


def admin(installation: Installation, *words: str | Path) -> Done:
    """An admin command that must succeed; it writes nothing but text."""
    done = run(installation, "admin", *words)
    assert done.code == 0, done.err
    assert not ESCAPES.search(done.out + done.err)
    return done


def refused(installation: Installation, *words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """The text of a command that must end with code 2 and say nothing else."""
    done = run(installation, *words, env=env)
    assert (done.code, done.out) == (2, ""), done
    assert not ESCAPES.search(done.err)
    return done.err


def run_process(words: list[str], env: Mapping[str, str]) -> Done:
    """Run a command as a process of its own, with pipes."""
    done = subprocess.run([*PROGRAM, *words], env=dict(env), capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def run_on_terminal(words: list[str], env: Mapping[str, str]) -> Done:
    """Run a command with a pseudo-terminal as its standard output."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *words], env=dict(env), stdout=other_end, stderr=subprocess.PIPE)
    os.close(other_end)
    parts = []
    with contextlib.suppress(OSError):  # how the end of a terminal is told on Linux
        while part := os.read(terminal, 65536):
            parts.append(part)
    os.close(terminal)
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.stderr.close()
    return Done(process.wait(60), b"".join(parts).decode().replace("\r\n", "\n"), err)
