"""What the documentation shows is true: the tutorial is run as it stands, other blocks are read as what they are."""

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from documentation.blocks import PAGES, ROOT, Block, Command, all_blocks, blocks_of, calls_of_program, commands_of
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import members_of
from kubecustody.cli.main import commands
from kubecustody.cli.programs import free_port
from kubecustody.core.policy_documents import parse_policy
from kubecustody.settings import TABLE

# `text` is for what nobody runs or parses: pictures, messages, forms.
LANGUAGES = {"console", "sh", "python", "json", "yaml", "toml", "text"}
TUTORIAL = ROOT / "docs" / "tutorial" / "first-answer.md"


def place_of(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


# --- the tutorial


def matches(wanted: list[str], got: str) -> bool:
    """Whether the output is what is shown; white space counts as one blank."""
    text = " ".join(" ".join(wanted).split())
    pattern = ".*".join(re.escape(part.strip()) for part in text.split("..."))
    return re.fullmatch(f"\\s*{pattern}\\s*".replace("\\ ", " "), " ".join(got.split()), re.DOTALL) is not None


def test_tutorial_is_run_as_it_stands(tmp_path: Path) -> None:
    """Each command ends well, or as the number in brackets after it says, and prints what stands below it."""
    steps = [command for block in blocks_of(TUTORIAL) for command in commands_of(block)]
    assert len(steps) > 15
    script = [f"{step.text}\nprintf '\\n@@%s\\n' $?" for step in steps]
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kubecustody").write_text(f'#!/bin/sh\nexec {sys.executable} -m kubecustody.cli.main "$@"\n')
    (tools / "kubecustody").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n" + "\n".join(script)],
        cwd=tmp_path,
        env={
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "KUBECUSTODY_LISTEN": f"127.0.0.1:{free_port()}",
            "KUBECUSTODY_METRICS_LISTEN": "off",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    told = re.findall(r"(.*?)\n@@(\d+)\n", done.stdout, re.DOTALL)
    assert len(told) == len(steps), done.stderr
    for step, (output, status) in zip(steps, told, strict=True):
        check_step(step, output, status, done.stderr)


def check_step(step: Command, output: str, status: str, log: str) -> None:
    wanted = step.output
    expected = "0"
    if wanted and (failing := re.fullmatch(r"\[(\d+)\]", wanted[0])):
        expected, wanted = failing[1], wanted[1:]
    assert status == expected, f"{step.text} ends with {status}: {output}\n{log}"
    assert not wanted or matches(wanted, output), f"{step.text} prints\n{output}\nand not\n" + "\n".join(wanted)


# --- commands of the program


def calls_in(block: Block) -> list[list[str]]:
    return [words for command in commands_of(block) for words in calls_of_program(command.text)]


@pytest.mark.parametrize("block", [one for one in all_blocks("console", "sh") if calls_in(one)], ids=place_of)
def test_commands_are_those_that_there_are(block: Block) -> None:
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


# --- what is no command


@pytest.mark.parametrize("block", all_blocks("python"), ids=place_of)
def test_python_is_python_and_what_it_imports_is_there(block: Block) -> None:
    tree = compile(block.text, block.place, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                importlib.import_module(name.name)


@pytest.mark.parametrize("block", all_blocks("json"), ids=place_of)
def test_policies_are_taken(block: Block) -> None:
    assert "Statement" in json.loads(block.text)
    parse_policy(block.text)


@pytest.mark.parametrize("block", all_blocks("toml"), ids=place_of)
def test_settings_are_those_that_there_are(block: Block) -> None:
    assert set(tomllib.loads(block.text)) <= {one.name for one in TABLE}


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=place_of)
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_expectations_hold_as_shown(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "policies.md"
    policy, *_ = [block for block in blocks_of(page) if block.language == "json"]
    expectations, *_ = [block for block in blocks_of(page) if block.language == "yaml"]
    (shown,) = [
        command
        for block in blocks_of(page)
        if block.language == "console"
        for command in commands_of(block)
        if command.text.startswith("kubecustody policy test")
    ]
    (tmp_path / "short-lived.json").write_text(policy.text)
    (tmp_path / "expectations.yaml").write_text(expectations.text)
    program = [sys.executable, "-m", "kubecustody.cli.main"]
    done = subprocess.run(
        [*program, *shlex.split(shown.text)[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert matches(shown.output, done.stdout + done.stderr)


WRONG = ["kubecustody kill x --no-such-option", "kubecustody clutsers add", "kubecustody call Nope"]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_commands_are_found(text: str) -> None:
    (words,) = calls_of_program(text)
    with pytest.raises((click.UsageError, KeyError)):
        check_call(words)
