"""The code blocks of the Markdown files, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
# Generated pages have tests of their own; decisions hold no commands.
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"reference", "decisions"} & set(path.parts)),
]


class Block(NamedTuple):
    """One code block: `language` is what stands after its fence."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Command:
    """One command of a console block, and the lines that it is to print; `...` stands for anything."""

    text: str
    output: list[str] = field(default_factory=list)


def blocks_of(page: Path) -> list[Block]:
    """Every code block of a page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text("utf-8"))
    return [
        Block(page, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type in ("fence", "code_block")
    ]


def all_blocks(*languages: str) -> list[Block]:
    """The blocks in these languages; without one, all."""
    found = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in found if not languages or block.language in languages]


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block, after their prompt, or of an sh block, each line one."""
    commands: list[Command] = []
    going_on = False
    for line in block.text.splitlines():
        prompted = block.language == "sh" or re.match(r"[$#] ", line)
        if going_on:
            commands[-1].text += "\n" + line
        elif prompted:
            commands.append(Command(line if block.language == "sh" else line[2:]))
        else:
            commands[-1].output.append(line)
        going_on = bool(going_on or prompted) and line.endswith("\\")
    return commands


def calls_of_program(text: str) -> Iterator[list[str]]:
    """The words after each `kubecustody` of a command, up to a pipe, a redirection or the next command."""
    text = re.sub(r"<[a-z][^<>]*>", "X", re.sub(r"\\\n\s*", " ", text))
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] | None = None
    before = ";"
    for token in [*lexer, ";"]:
        if set(token) <= set("();<>|&"):
            if words is not None:
                yield words[:-1] if token.startswith(">") and words and words[-1].isdigit() else words
            words = None
        elif words is not None:
            words.append(token)
        elif is_program(token, before):
            words = []
        before = token


def is_program(token: str, before: str) -> bool:
    """Whether this word is the program, not a user, folder or image of its name."""
    begins = set(before) <= set("();<>|&") or "=" in before or before in ("until", "do", "if", "while")
    return token.endswith("bin/kubecustody") or (token == "kubecustody" and begins)
