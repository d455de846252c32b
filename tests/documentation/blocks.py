"""The code blocks of the Markdown files, the commands in them, and what invisible comments before them tell the tests.

<!-- not run: REASON -->            the next block is not run, because ...
<!-- not run (COMMAND): REASON -->  nor what begins so in the next block
<!-- saved as: FILE -->             the text says that the reader saves the next block so
<!-- tier: control_plane -->        only that tier runs the next block; before the heading: all blocks of the page

What says no tier is run with Python alone, and again where others of the page are, which may need what it leaves.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
# Generated pages have tests of their own.
PAGES = [
    ROOT / "README.md",
    ROOT / "bench" / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts),
]
PYTHON, CONTROL_PLANE, DEPLOY = TIERS = ("python", "control_plane", "deploy")
_COMMENT = re.compile(r"<!-- (not run|saved as|tier)(?: \((.+?)\))?: (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One code block: `language` is what stands after its fence, `not_run` the reasons by the command's beginning."""

    page: Path
    line: int
    language: str
    text: str
    tier: str = ""
    saved_as: str = ""
    not_run: dict[str, str] = field(default_factory=dict)

    def is_run_in(self, tier: str) -> bool:
        return self.tier in ("", tier) and "" not in self.not_run

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Command:
    """One command of a console block, and the lines that it is to print; `...` stands for anything."""

    text: str
    output: list[str] = field(default_factory=list)


class Told(NamedTuple):
    """What one invisible comment tells."""

    what: str
    command: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Every code block of a page."""
    return read_blocks(page, page.read_text("utf-8"))


def read_blocks(page: Path, text: str) -> list[Block]:
    """The same, of a text. ValueError where a comment tells nothing that is known, or stands before no block."""
    blocks: list[Block] = []
    whole: list[Told] = []
    told: list[Told] = []
    begun = False
    for token in MarkdownIt("commonmark").parse(text):
        begun = begun or token.type == "heading_open"
        if token.type == "html_block":
            (told if begun else whole).extend(read_comment(token.content))
        elif token.type in ("fence", "code_block"):
            place = (token.map or [0])[0] + 1
            blocks.append(make_block(page, place, token.info.strip(), token.content, [*whole, *told]))
            told = []
        elif told and token.level == 0:
            raise ValueError(f"{page.name}: {told} stands before no block")
    if told:
        raise ValueError(f"{page.name}: {told} stands before no block")
    return blocks


def read_comment(content: str) -> list[Told]:
    found = [Told(what, command, " ".join(text.split())) for what, command, text in _COMMENT.findall(content)]
    if _COMMENT.sub("", content).strip() or any(one.what == "tier" and one.text not in TIERS for one in found):
        raise ValueError(f"no comment that the tests know: {content}")
    return found


def make_block(page: Path, line: int, language: str, text: str, told: list[Told]) -> Block:
    last = {one.what: one.text for one in told}
    excuses = {one.command: one.text for one in told if one.what == "not run"}
    return Block(page, line, language, text, last.get("tier", ""), last.get("saved as", ""), excuses)


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
