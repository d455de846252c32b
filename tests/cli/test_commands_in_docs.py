"""Every command that a text tells people to run is there, with the options that it is told to be run with."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kubecustody.catalogue.operations import get_operation
from kubecustody.cli.main import commands

REPOSITORY = Path(__file__).parents[2]
TEXTS = [
    path
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    if "reference" not in path.relative_to(REPOSITORY).parts
]
_SPAN = re.compile(r"```.*?```|`([^`]+)`", re.DOTALL)


def told_commands(text: str) -> Iterator[list[str]]:
    """The words behind each `kubecustody` that begins a line of a block, or a span of code.

    What a shell would put in, and all behind it, is left out.
    """
    for span in _SPAN.finditer(text):
        lines = [span[1].replace("\n", " ")] if span[1] else span[0].replace("\\\n", " ").splitlines()
        for line in lines:
            for part in re.split(r"&&|;|\|", line.partition("$(")[0]):
                if found := re.match(r"[$# ]*kubecustody\s+(\S.*)", part):
                    yield found[1].partition(" #")[0].split()


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words begin with, and the words behind it. KeyError where there is none."""
    command: click.Command = commands
    rest = [*words]
    while isinstance(command, click.Group) and rest:
        if rest[0].startswith("-"):  # an option of the group: its value follows, unless it is a flag
            flags = {name for one in command.params if getattr(one, "is_flag", False) for name in one.opts}
            rest = rest[1:] if rest[0] in {*flags, "--help"} else rest[2:]
            continue
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise KeyError(rest[0])
        command, rest = found, rest[1:]
    return command, rest


@pytest.mark.parametrize("path", TEXTS, ids=[str(path.relative_to(REPOSITORY)) for path in TEXTS])
def test_commands_of_the_text_are_there(path: Path) -> None:
    for words in told_commands(path.read_text()):
        command, rest = find_command(words)
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        options = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert options <= known, f"{' '.join(words)}: there is no {options - known}"
        if command.name == "call" and rest:
            get_operation(rest[0])


def test_the_reading_of_texts_sees_what_is_there() -> None:
    text = "Say `kubecustody admin\n  nothing`\n```console\n$ kubecustody serve --so \\\n    --x $(sed -n) # no\n```"
    assert list(told_commands(text)) == [["admin", "nothing"], ["serve", "--so", "--x"]]
    with pytest.raises(KeyError):
        find_command(["admin", "nothing"])
    assert sum(len(list(told_commands(path.read_text()))) for path in TEXTS) > 100
