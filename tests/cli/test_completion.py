"""`kubecustody completion`: scripts that shells take, and what they offer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_process

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
# Fills in what a shell has when somebody presses the key behind these words, and prints what is offered.
OFFER = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={last}
_kubecustody_completion kubecustody
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def script_of(shell: str) -> str:
    done = run_process(["completion", shell], ENVIRONMENT)
    assert (done.code, done.err) == (0, "")
    return done.out


def offered(folder: Path, *words: str) -> list[str]:
    """What bash offers behind these words, by the script as it is."""
    script = folder / "completion.bash"
    script.write_text(script_of("bash"))
    text = OFFER.format(script=script, words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    environment = ENVIRONMENT | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    bash = shutil.which("bash") or pytest.fail("bash is needed")
    done = subprocess.run([bash, "--norc", "-c", text], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_bash_offers_commands_options_and_values(tmp_path: Path) -> None:
    assert offered(tmp_path, "kubecustody", "sc") == ["scan"]
    assert {"find", "kill", "report", "leaver"} <= set(offered(tmp_path, "kubecustody", ""))
    assert "--deleted-holders" in offered(tmp_path, "kubecustody", "report", "--")
    assert offered(tmp_path, "kubecustody", "report", "-o", "nd") == ["ndjson"]
    assert "import" in offered(tmp_path, "kubecustody", "admin", "credentials", "")


def test_zsh_and_fish_are_told_how_to_ask_the_program() -> None:
    zsh, fish = script_of("zsh"), script_of("fish")
    assert zsh.startswith("#compdef kubecustody\n") and "_KUBECUSTODY_COMPLETE=zsh_complete" in zsh
    assert "complete --no-files --command kubecustody" in fish and "_KUBECUSTODY_COMPLETE=fish_complete" in fish


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{shell} is not installed")
        pytest.skip(f"{shell} is not installed: Debian's package {shell}")
    script = tmp_path / "script"
    script.write_text(script_of(shell))
    subprocess.run([program, "-n", script], check=True, timeout=60)


def test_another_shell_is_a_fault() -> None:
    done = run_process(["completion", "tcsh"], ENVIRONMENT)
    assert done.code == 2 and "'tcsh' is not one of" in done.err
