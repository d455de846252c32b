"""Named SQL statements, from the `.sql` files beside this module.

A statement begins with a line that gives its name and its parameters in order:

    -- name: find_cluster(account_id, cluster_id)
    SELECT ... WHERE account_id = :account_id AND cluster_id = :cluster_id;

and is called with its arguments in that order. Each is written for SQLite and PostgreSQL alike.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)\(([\w, ]*)\)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_COMMENT = re.compile(r"--[^\n]*")
_CHANGE = re.compile(r"\s*(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM)\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `sqlite` has parameters ?1, ?2, ..., `postgresql` $1, $2, ..., in the order of `parameters`.

    changes: the table that it writes to, "" for none.
    """

    name: str
    parameters: tuple[str, ...]
    sqlite: str
    postgresql: str
    changes: str


def parse_statements(text: str) -> dict[str, Statement]:
    """The statements of one file. ValueError where a parameter is declared and not used, or the reverse."""
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return {
        header[1]: _statement(header[1], header[2], text[header.end() : end])
        for header, end in zip(headers, ends, strict=True)
    }


def _statement(name: str, declared: str, body: str) -> Statement:
    sql = _COMMENT.sub("", body).strip().rstrip(";").strip()
    parameters = tuple(word.strip() for word in declared.split(",") if word.strip())
    if set(_PARAMETER.findall(sql)) != set(parameters):
        raise ValueError(f"statement {name}: parameters declared {parameters}, used {_PARAMETER.findall(sql)}")
    places = {parameter: place for place, parameter in enumerate(parameters, 1)}
    change = _CHANGE.match(sql)
    return Statement(
        name,
        parameters,
        _PARAMETER.sub(lambda match: f"?{places[match[1]]}", sql),
        _PARAMETER.sub(lambda match: f"${places[match[1]]}", sql),
        change[1] if change else "",
    )


@cache
def all_statements() -> dict[str, Statement]:
    """Every statement of the store by name."""
    statements: dict[str, Statement] = {}
    for file in sorted((files(__package__) / "sql").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            for name, statement in parse_statements(file.read_text("utf-8")).items():
                if name in statements:
                    raise ValueError(f"two statements are named {name}")
                statements[name] = statement
    return statements


def statement(name: str) -> Statement:
    """The statement of this name. KeyError without one, so a wrong name fails when its module is imported."""
    return all_statements()[name]
