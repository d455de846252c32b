"""How the commands speak: tables for people, JSON and CSV for programs, errors on standard error."""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kubecustody.core.errors import OperatorError
from kubecustody.core.times import format_time

F = TypeVar("F", bound=Callable[..., Any])

_WIDE = 4000
_STYLES = {"Unexpired": "green", "Expired": "yellow", "Removed": "dim", "Unknown": "magenta", "Unissued": "dim"}

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _output_option(*forms: str) -> Callable[[F], F]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help="Form of the answer.",
    )


output_option = _output_option("table", "json", "csv", "ndjson")  # of rows
wide_option = _output_option("table", "wide", "json", "csv", "ndjson")  # of rows, with more columns but in a table
document_option = _output_option("table", "json")  # of what is more than rows


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error; without a terminal there is no colour, and nothing is cut."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _WIDE, highlight=False)


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: str, *, empty: str = "") -> None:
    """Rows as a table or CSV of these columns, or as JSON: an array of objects, or one object a line (ndjson).

    `empty` is said where a table would have no rows.
    """
    listed = list(rows)
    if output == "json":
        print(to_json(listed))
        return
    if output == "ndjson":
        for row in listed:
            print(inert_json(json.dumps(row, ensure_ascii=False)))
        return
    if output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in listed)
        return
    if not listed:
        say(empty or "None.")
        return
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for row in listed:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    out = console()
    if Measurement.get(out, out.options.update(max_width=_WIDE), table).maximum <= out.width:
        out.print(table)
    else:
        _print_blocks(out, listed, columns)


def _print_blocks(out: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """For a terminal that is too narrow: a block of lines for each row, so that nothing is cut or broken in two."""
    width = max(map(len, columns))
    for row in rows:
        for column in columns:
            if row.get(column) not in (None, "", [], ()):
                out.print(Text(f"{column:<{width}}  ", style="bold") + _cell(row[column]), soft_wrap=True)
        out.print()


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple):
        return Text("; ".join(map(printable, value)))
    text = printable(value)
    return Text(text, style=_STYLES.get(text, ""))


def _csv_cell(value: Any) -> str:
    """The text of a table's cell, empty for none, and behind an apostrophe where it would be taken for a formula."""
    text = "" if value is None else _cell(value).plain
    return f"'{text}" if text.startswith(_FORMULA) else text


def printable(value: Any, *, keep: str = "") -> str:
    """Text that does nothing to a terminal: control characters are shown escaped, but for those to keep."""
    return "".join(letter if letter.isprintable() or letter in keep else ascii(letter)[1:-1] for letter in str(value))


def to_json(value: Any) -> str:
    """Indented JSON that does nothing to a terminal."""
    return inert_json(json.dumps(value, indent=2, ensure_ascii=False))


def inert_json(text: str) -> str:
    """The same JSON with what a terminal might act on (C1 controls, marks of direction) escaped as JSON has it."""
    return "".join(
        letter if letter.isprintable() or letter in "\t\r\n" else json.dumps(letter)[1:-1] for letter in text
    )


def say(text: str) -> None:
    """A line for a person, on standard output."""
    console().print(Text(printable(text, keep="\n")), soft_wrap=True)


def note(text: str) -> None:
    """A line for a person, on standard error, so that what a program reads stays clean."""
    console(stderr=True).print(Text(printable(text, keep="\n")), soft_wrap=True)


def time_or_none(at: int | None) -> str | None:
    """RFC 3339 text of unix seconds."""
    return None if at is None else format_time(at)


def check_can_tell_secret(out: Path | None) -> None:
    """Raise OperatorError where a secret could go neither to a terminal nor to a new file."""
    if out is None and not sys.stdout.isatty():
        raise OperatorError(
            "This prints a secret, and standard output is no terminal. Name a file for it: --out FILE (mode 0600)."
        )
    if out is None:
        return
    if os.path.lexists(out):
        raise OperatorError(f"{out} is there already; name a new file.")
    above = next(path for path in out.absolute().parents if path.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OperatorError(f"{out} cannot be made: {above} cannot be written to ({error.strerror}).") from error


def tell_secret(lines: Mapping[str, str], out: Path | None) -> None:
    """NAME=value lines with a secret: to a new file of mode 0600, or once to the terminal. Raises OperatorError."""
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise OperatorError(
            f"{out} cannot be written ({error.strerror}), so that the secret is lost; it is kept nowhere else. "
            "Make another key with `kubecustody admin keys add`."
        ) from error
