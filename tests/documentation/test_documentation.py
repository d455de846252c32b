"""What the documentation shows is true: every block of every page is run as it stands, or says why it is not.

Readers go through each page in a folder of their own (`reading`), from where the page says that it begins
(`beginnings`). What a page tells these tests stands in comments that no reader sees (`blocks`).
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from documentation.beginnings import TUTORIAL, Ended, beginning
from documentation.blocks import (
    DEPLOY,
    PAGES,
    PYTHON,
    ROOT,
    TIERS,
    Block,
    all_blocks,
    blocks_of,
    calls_of_program,
    commands_of,
    read_blocks,
)
from documentation.reading import SHELLS, matches, reader
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import members_of
from kubecustody.cli.main import commands

# How many blocks, or commands of blocks, each page says are not run; why, is said before each.
NOT_RUN = {
    "README.md": 2,
    "docs/explanation/distributions.md": 1,
    "docs/how-to/deploy.md": 3,
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def place_of(block: Block) -> str:
    return block.place


def pages_of(tier: str) -> list[Path]:
    """The pages with a block that only this tier runs, or for Python's that any may run."""
    tiers = (tier, "") if tier == PYTHON else (tier,)
    found = {page: blocks_of(page) for page in PAGES if page != TUTORIAL}
    return [page for page in found if any(one.tier in tiers and one.is_run_in(tier) for one in found[page])]


# --- the blocks


def test_what_is_not_run_is_listed_with_reasons() -> None:
    reasons = [(name_of(block.page), reason) for block in all_blocks() for reason in block.not_run.values()]
    assert Counter(page for page, _ in reasons) == NOT_RUN, reasons
    assert all(len(reason.split()) > 4 for _, reason in reasons)
    excused = [(block, beginning) for block in all_blocks() for beginning in block.not_run if beginning]
    assert all(any(one.text.startswith(beginning) for one in commands_of(block)) for block, beginning in excused)


def test_every_block_that_is_not_excused_is_run_in_some_tier() -> None:
    run = {
        block.place for tier in TIERS for page in pages_of(tier) for block in blocks_of(page) if block.is_run_in(tier)
    }
    assert {block.place for block in all_blocks() if block.page != TUTORIAL and "" not in block.not_run} == run


def test_what_is_saved_is_what_a_command_takes() -> None:
    for page in PAGES:
        told = "\n".join(
            command.text for block in blocks_of(page) if block.language in SHELLS for command in commands_of(block)
        )
        assert [one.place for one in blocks_of(page) if one.saved_as not in told] == []


def test_the_tutorial_is_run(tutorial: Callable[[], Ended]) -> None:
    """Whole: its last command stops the server."""
    told = tutorial().told
    assert len(re.findall(r"^\$ ", told, re.MULTILINE)) > 15 and "$ kill $!; wait" in told


@pytest.mark.parametrize("page", pages_of(PYTHON), ids=name_of)
def test_a_page_is_run(page: Path, tmp_path: Path, tutorial: Callable[[], Ended]) -> None:
    with beginning(page, tmp_path, tutorial) as reader:
        reader.read(blocks_of(page))


@pytest.mark.deploy
@pytest.mark.parametrize("page", pages_of(DEPLOY), ids=name_of)
def test_a_page_is_run_with_prometheus(page: Path, tmp_path: Path, tutorial: Callable[[], Ended]) -> None:
    with beginning(page, tmp_path, tutorial) as reader:
        reader.read(blocks_of(page), DEPLOY)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```console\n$ echo one\ntwo\n```\n", "prints"),
        ("```console\n$ false\n```\n", "ends with 1"),
        ("```console\n$ true\n[1]\n```\n", "ends with 0"),
        ("```console\n$ echo HASH\n```\n", "nothing was printed that a reader could put in for HASH"),
        ("```python\nraise SystemExit(1)\n```\n", "fails"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "what the Python before prints"),
        ("```yaml\na: 1\n```\n", "is not used"),
    ],
)
def test_a_page_that_is_wrong_is_found(text: str, fault: str, tmp_path: Path) -> None:
    with reader(tmp_path / "reader", tmp_path / "home") as one, pytest.raises(AssertionError, match=fault):
        one.read(read_blocks(TUTORIAL, text))


SHOWN = "<!-- not run (ls): a folder differs from day to day -->\n```console\n$ ls\n$ pwd\n```\n"


def test_comments_of_pages_are_read_and_wrong_ones_refused() -> None:
    (block,) = read_blocks(TUTORIAL, SHOWN)
    assert block.not_run == {"ls": "a folder differs from day to day"}
    for wrong in ("<!-- skip: why not -->\n", "<!-- tier: moon -->\n"):
        with pytest.raises(ValueError, match="no comment that the tests know"):
            read_blocks(TUTORIAL, wrong + SHOWN)
    with pytest.raises(ValueError, match="stands before no block"):
        read_blocks(TUTORIAL, "# Title\n\n<!-- not run: it is slow on some machines -->\n\nText.\n" + SHOWN)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("at 2026-11-25T00:21:01Z", "at   2027-02-23T00:24:30Z\n", True),
        ("at 2026-11-25T00:21:01Z", "at once", False),
        ("alice  ...  Unexpired", "alice  238075785232511131  prod-eu  Unexpired", True),
        ("alice  ...  Unexpired", "alice  238075785232511131  prod-eu  Expired", False),
        ("Sure? [y/N]: y\nDone.", "Sure? [y/N]: Done.", True),
        ("Done.", "Done.\nWarning: not really.", False),
    ],
)
def test_outputs_are_compared_but_for_what_differs_from_reader_to_reader(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


# --- commands that are not run


def calls_in(block: Block) -> list[list[str]]:
    return [words for command in commands_of(block) for words in calls_of_program(command.text)]


@pytest.mark.parametrize("block", [one for one in all_blocks(*SHELLS) if one.not_run and calls_in(one)], ids=place_of)
def test_commands_that_are_not_run_are_those_that_there_are(block: Block) -> None:
    for words in calls_in(block):
        try:
            check_call(words)
        except click.UsageError as error:
            pytest.fail(f"{block.place}: kubecustody {shlex.join(words)}: {error.format_message()}")


def check_call(words: list[str]) -> None:
    """Raise click.UsageError unless this command, its options are known, and it has those that it must have."""
    command, context, left = descend(words)
    given, arguments, _ = command.make_parser(context).parse_args(list(left))
    if isinstance(command, click.Group) and arguments:
        raise click.UsageError(f"there is no command {arguments[0]}")
    for parameter in command.params:
        if parameter.required and parameter.name not in given and "..." not in left:
            raise click.MissingParameter(ctx=context, param=parameter)
    if context.command_path == "kubecustody call" and left:
        check_parameters(*left)


def descend(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that is called, and the words that are left for it."""
    command: click.Command = commands
    context, left = click.Context(commands, info_name="kubecustody"), list(words)
    while isinstance(command, click.Group) and left and (child := command.get_command(context, left[0])):
        command, context = child, click.Context(child, parent=context, info_name=left.pop(0))
    return command, context, left


def check_parameters(name: str, *given: str) -> None:
    operation = get_operation(name)
    known = {member.wire_name for member in members_of(operation.input)}
    for word in given:
        if re.match(r"\w+=", word) and word.partition("=")[0] not in known:
            raise click.UsageError(f"{name} has no parameter {word.partition('=')[0]}")


WRONG = ["kubecustody kill x --no-such-option", "kubecustody clutsers add", "kubecustody call Nope"]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_commands_are_found(text: str) -> None:
    (words,) = calls_of_program(text)
    with pytest.raises((click.UsageError, KeyError)):
        check_call(words)
