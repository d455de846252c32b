"""A reader who goes through a page: types its commands into a shell, saves its files, compares what is shown."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from documentation.blocks import PYTHON, ROOT, Block, Command, commands_of
from kubecustody.cli.programs import free_port
from kubecustody.core.policy_documents import parse_policy

LONGEST_SECONDS = 90
# What differs from reader to reader, in what is shown and in what is printed alike.
VARYING = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "TIME",
    r"\bc[0-9a-f]{32}\b": "CLUSTER",
    r"\b[1-9]\d{15}(\d\d)?\b": "UID",
    r"\b[0-9a-f]{64}\b": "FINGERPRINT",
    r"\b[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\b": "REQUEST",
    r"\b(127\.0\.0\.1|localhost):\d+": "ADDRESS",
}
# What a reader fills in from what was printed before: the last of it.
FILLED_IN = {
    "<alice's uid>": r"users add alice.*\n(\d+)$",
    "<prod-eu's id>": r"clusters add prod-eu.*\n(c\w+)$",
    "KEY": r"\b(KC\w{22})\b",
    "TASK": r"Begun as task ([\w-]+)\.",
    "HASH": r"plan: (\w+)$",
    "age1...": r"Public key: (age1\w+)$",
    "FINGERPRINT": r"^(?:.*\s)?([0-9a-f]{64})$",
}
SHELLS = ("console", "sh")
# Commands that go on until ctrl-C, so that a reader opens another terminal.
SERVING = ("kubecustody serve", "scripts/demo")


class Shell:
    """A bash in a folder, with a terminal for what it is asked. Commands are run one by one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._terminal, inside = pty.openpty()
        flags = termios.tcgetattr(inside)
        flags[3] &= ~termios.ECHO
        termios.tcsetattr(inside, termios.TCSANOW, flags)
        script, self._script = os.pipe()
        self._process = subprocess.Popen(
            ["bash", f"/dev/fd/{script}"],
            cwd=folder,
            env=environment,
            stdin=inside,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[script],
            start_new_session=True,
        )
        os.close(inside)
        os.close(script)

    def run(self, command: str, typed: str = "") -> tuple[int, str]:
        """The exit code of a command and all that it printed. `typed` is what it is answered."""
        os.write(self._terminal, typed.encode())
        os.write(self._script, f"{command}\nprintf '\\n@@%s\\n' $?\n".encode())
        printed, deadline = b"", time.monotonic() + LONGEST_SECONDS
        while not (end := re.search(rb"\n@@(\d+)\n\Z", printed)):
            assert self._process.stdout is not None
            ready, _, _ = select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self._process.stdout.fileno(), 65_536) if ready else b""
            assert chunk, f"{command} did not end, or ended the shell:\n{printed.decode()}"
            printed += chunk
        return int(end[1]), printed[: end.start()].decode()

    def close(self) -> None:
        """End the shell and all that was started in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        os.close(self._script)
        self._process.wait(20)
        assert self._process.stdout is not None
        with self._process.stdout as rest:  # ends once every program has
            ready = True
            while ready and select.select([rest], [], [], 20)[0]:
                ready = bool(os.read(rest.fileno(), 65_536))
        os.close(self._terminal)


@dataclass
class Reader:
    """Somebody in a folder of their own, with an empty home and what a page says that they have.

    told: every command and what it printed. python: the page's Python until now, which printed `all_printed`, and the
    last block of it `printed`.
    """

    folder: Path
    shell: Shell
    port: int
    told: str = ""
    python: str = ""
    printed: str = ""
    all_printed: str = ""

    def read(self, blocks: list[Block], tier: str = PYTHON) -> None:
        """Go through the blocks that this tier runs."""
        for block in blocks:
            if block.is_run_in(tier):
                self.follow(block)

    def follow(self, block: Block) -> None:
        """Do what a block is for. Fails where that does not come out as the page says."""
        if block.saved_as:
            self.save(block.saved_as, block.text)
        if block.language in SHELLS:
            for command in commands_of(block):
                if not any(command.text.startswith(beginning) for beginning in block.not_run):
                    self.follow_command(command, block.place)
        elif block.language == "python":
            self.follow_python(block)
        elif block.language == "json":
            parse_policy(self.fill_in(block.text))
        elif block.language == "text":
            assert matches(block.text, self.printed), f"{block.place}: what the Python before prints is {self.printed}"
        elif block.language == "toml":
            self.follow_settings(block)
        else:
            assert block.saved_as, f"{block.place} is not used; what should the tests do with it?"

    def save(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.fill_in(text))

    def as_here(self, text: str) -> str:
        """A text of the page, with this machine's addresses and folders for those of the example."""
        for example, here in {
            "custody.example.com:8443": f"localhost:{self.port}",
            "0.0.0.0:8443": f"127.0.0.1:{self.port}",
            "custody.example.com": "localhost",
        }.items():
            text = text.replace(example, here)
        return re.sub(r"(?<![\w/.-])(scripts|deploy)/", rf"{ROOT}/\1/", text)

    # --- commands

    def follow_command(self, command: Command, place: str) -> None:
        text = self.fill_in(command.text)
        wanted, expected = list(command.output), 0
        if wanted and (failing := re.fullmatch(r"\[(\d+)\]", wanted[-1])):
            expected, wanted = int(failing[1]), wanted[:-1]
        answered = [line.rpartition("]: ")[2] for line in wanted if "[y/N]: " in line]
        status, printed = self.run(text, "".join(f"{answer}\n" for answer in answered))
        assert status == expected, f"{place}: {command.text} ends with {status}:\n{printed}\n\nBefore:\n{self.told}"
        shown = "\n".join(wanted)
        assert not wanted or matches(shown, printed), f"{place}: {command.text} prints\n{printed}\nand not\n{shown}"

    def run(self, text: str, typed: str = "") -> tuple[int, str]:
        """The exit code and the output of a command; of one that serves, once it does."""
        bare = text.partition(" #")[0].strip()
        if bare.removeprefix(f"{ROOT}/") in SERVING:
            status, printed = self.serve(bare)
        else:
            status, printed = self.shell.run(text, typed)
        self.told += f"$ {text}\n{printed}\n"
        return status, printed

    def serve(self, text: str) -> tuple[int, str]:
        log = self.folder.parent / f"terminal-{time.monotonic_ns()}.log"
        log.touch()
        self.shell.run(f"{text} > {log} 2>&1 &")
        deadline = time.monotonic() + LONGEST_SECONDS
        while "Serving on" not in log.read_text():
            assert time.monotonic() < deadline, f"{text} does not serve:\n{log.read_text()}"
            time.sleep(0.1)
        return 0, log.read_text()

    def fill_in(self, text: str) -> str:
        text = self.as_here(text)
        for word, pattern in FILLED_IN.items():
            place = rf"(?<![\w-]){re.escape(word)}(?!\w)"
            if re.search(place, text):
                found = re.findall(pattern, self.told, re.MULTILINE)
                assert found, f"nothing was printed that a reader could put in for {word}:\n{self.told}"
                text = re.sub(place, found[-1], text)
        return text

    # --- what is no command

    def follow_python(self, block: Block) -> None:
        """Run it as a program, after the page's Python before it, which it goes on from."""
        self.python += self.fill_in(block.text) + "\n"
        program = self.folder.parent / "program.py"
        program.write_text(self.python)
        status, printed = self.run(f"python {program}")
        assert status == 0, f"{block.place} fails:\n{printed}\n\nBefore:\n{self.told}"
        self.printed, self.all_printed = printed.removeprefix(self.all_printed), printed

    def follow_settings(self, block: Block) -> None:
        """Let the program read it as the settings of a data folder, apart from the reader's own."""
        data = self.folder.parent / "settings"
        data.mkdir(mode=0o700)
        (data / "kubecustody.toml").write_text(block.text)
        status, printed = self.run(f"env -u KUBECUSTODY_LISTEN kubecustody settings --data-dir {data}")
        assert status == 0, f"{block.place}: {printed}"
        for name, value in tomllib.loads(block.text).items():
            assert re.search(rf"^{name} +{re.escape(str(value))} ", printed, re.MULTILINE), printed


def matches(shown: str, printed: str) -> bool:
    """Whether the output is what is shown; white space counts as one blank."""
    shown, printed = (plain(text.replace("[y/N]: y\n", "[y/N]: ")) for text in (shown, printed))
    pattern = ".*".join(re.escape(part.strip()) for part in shown.split("..."))
    return re.fullmatch(f"\\s*{pattern}\\s*".replace("\\ ", " "), printed, re.DOTALL) is not None


def plain(text: str) -> str:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return " ".join(text.split())


AGE_KEYGEN = f"""\
#!{sys.executable}
# For where Debian's package age is not installed: the same keys, by the library that the product opens them with.
import os, pyrage, sys
key = pyrage.x25519.Identity.generate()
os.write(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), f"{{key}}\\n".encode())
print("Public key:", key.to_public(), file=sys.stderr)
"""


@contextlib.contextmanager
def reader(
    folder: Path, home: Path, given: Mapping[str, str] = MappingProxyType({}), port: int | None = None
) -> Iterator[Reader]:
    """A reader with nothing but the program, and what lies in the folder and the home already."""
    port = port or free_port()
    for path in (folder, home):
        path.mkdir(exist_ok=True)
    (folder.parent / "age-keygen").write_text(AGE_KEYGEN)
    (folder.parent / "age-keygen").chmod(0o755)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:{folder.parent}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "KUBECUSTODY_LISTEN": f"127.0.0.1:{port}",
        "KUBECUSTODY_METRICS_LISTEN": "off",
        **given,
    }
    shell = Shell(folder, environment)
    try:
        yield Reader(folder, shell, port)
    finally:
        shell.close()
