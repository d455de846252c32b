"""People from a CSV file: what each line says, and every fault with its line."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.names import NameRefused, check_email, check_logon_name, fold_name, is_uid

COLUMNS = ("name", "display_name", "email", "uid")


class Person(NamedTuple):
    """One line of the file; line: its first one, counted from 1. Empty: not said."""

    line: int
    name: str
    display_name: str = ""
    email: str = ""
    uid: str = ""


class PeopleRefused(OperatorError):
    """A file of people with faults in it; each is a line of the text."""

    def __init__(self, faults: Iterable[str]) -> None:
        listed = list(faults)
        what = "fault" if len(listed) == 1 else "faults"
        super().__init__("\n".join([f"{len(listed)} {what}; nobody was added.", *listed]))


def parse_people(data: bytes) -> list[Person]:
    """The people of a CSV file (RFC 4180; UTF-8, with or without a byte order mark; comma or semicolon).

    The first line names the columns: name, and any of display_name, email, uid. Empty lines count for nothing.
    Raises PeopleRefused naming every fault.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PeopleRefused([f"Line {line}: it is not UTF-8. Save the file as UTF-8."]) from None
    faults: list[str] = []
    people = list(_read(text, faults))
    faults += _doubled(people)
    if faults:
        raise PeopleRefused(sorted(faults, key=_line_of))
    return people


def _line_of(fault: str) -> int:
    return int(fault.removeprefix("Line ").partition(":")[0])


def _read(text: str, faults: list[str]) -> Iterator[Person]:
    """Each line that says somebody; what is wrong goes to `faults`."""
    header, rows = _rows(text, faults)
    if header is None:
        return
    for line, cells in rows:
        if len(cells) != len(header):
            faults.append(f"Line {line}: {len(cells)} columns, and the first line names {len(header)}.")
            continue
        person = Person(line, **dict(zip(header, cells, strict=True)))
        wrong = list(_faults_of(person))
        faults += (f"Line {line}: {fault}" for fault in wrong)
        if not wrong:
            yield person


def _rows(text: str, faults: list[str]) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    """The columns that the first line names, None where it names none, and the lines behind it that are not empty."""
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"Line {line}: it cannot be read as CSV ({error}); what stands behind it was not looked at.")
    if not rows:
        faults.append("Line 1: there is nothing in the file.")
        return None, []
    line, named = rows[0]
    header = [cell.casefold() for cell in named]
    if "name" not in header or len(set(header)) < len(header) or not set(header) <= set(COLUMNS):
        faults.append(f"Line {line}: it must name the columns: name, and any of {', '.join(COLUMNS[1:])}, each once.")
        return None, []
    return header, rows[1:]


def _faults_of(person: Person) -> Iterator[str]:
    try:
        check_logon_name(person.name)
    except NameRefused as refused:
        yield str(refused)
    if person.email:
        try:
            check_email(person.email)
        except NameRefused as refused:
            yield str(refused)
    if person.uid and not is_uid(person.uid):
        yield f"{person.uid!r} cannot be a uid: it must be 1 to 32 digits."


def _doubled(people: list[Person]) -> Iterator[str]:
    """A fault for each line whose name, e-mail or uid stands in a line before."""
    seen: dict[tuple[str, str], int] = {}
    for person in people:
        for what, value in (("name", person.name), ("e-mail", person.email), ("uid", person.uid)):
            if value and (before := seen.setdefault((what, fold_name(value)), person.line)) != person.line:
                yield f"Line {person.line}: the {what} {value} stands in line {before} already."
