"""The reference page of an operation: what it says, and its Markdown. Sections and their order are the provider's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from docs.making.examples import Example

from kubecustody.catalogue.describing import (
    EFFECTS,
    common_errors,
    minimal_policy,
    own_errors,
    type_text,
    walk,
)
from kubecustody.catalogue.errors import ErrorDefinition
from kubecustody.catalogue.forms import one_of
from kubecustody.catalogue.model import LARGEST_INTEGER, Effect, Operation
from kubecustody.catalogue.shapes import Location, MemberInfo, Shape, find_whole

_PLACES = {Location.PATH: "path", Location.QUERY: "query", Location.BODY: "body"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of parameters. depth: how many objects it stands in; facts: bounds and default."""

    name: str
    depth: int
    type: str
    place: str
    required: str
    doc: str
    facts: tuple[str, ...]
    values: Mapping[str, str]
    example: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """All that the page of an operation says."""

    operation: Operation
    notes: tuple[str, ...]
    action: str
    aliases: tuple[str, ...]
    access_level: str
    resource_type: str
    resource: str
    condition_keys: tuple[str, ...]
    associated: tuple[str, ...]
    policy: str
    syntax: str
    request_rows: tuple[Row, ...]
    response_text: str
    response_rows: tuple[Row, ...]
    examples: Sequence[Example]
    errors: Sequence[ErrorDefinition]
    common: Sequence[ErrorDefinition]


def reference_of(operation: Operation, examples: Sequence[Example]) -> Reference:
    """The page of one operation."""
    return Reference(
        operation,
        tuple(_notes(operation)),
        operation.action_names[0],
        operation.action_names[1:],
        operation.access_level.value,
        _resource_type(operation),
        _resource(operation),
        operation.condition_keys,
        (*operation.associated, *operation.delegation_needs),
        json.dumps(minimal_policy(operation), indent=2),
        f"{operation.method} {operation.path} HTTP/1.1",
        tuple(_rows(operation, operation.input, is_request=True)),
        _response_text(operation),
        tuple(_rows(operation, operation.output)) if operation.output else (),
        examples,
        own_errors(operation),
        common_errors(),
    )


def _notes(operation: Operation) -> Iterator[str]:
    if operation.ours:
        yield "This operation is of this server; the provider does not have it."
    if operation.undocumented:
        yield "The provider answers it, but neither its pages nor its SDKs know it."
    if operation.deprecated:
        yield "Deprecated: use the operation that replaces it."
    if operation.account_only:
        yield (
            "Only the account itself may call it, or a delegated administrator whose policy names these actions "
            "without `*` or `?`."
        )
    effects = [EFFECTS[effect] for effect in Effect if effect in operation.effects]
    yield f"Effect: {' '.join(effects)}"


def _resource_type(operation: Operation) -> str:
    """A star before a type says that it is mandatory, as on the provider's pages."""
    if operation.names_cluster:
        return "*Cluster"
    return "*All Clusters" if operation.resource.endswith("cluster/*") else "*All Resources"


def _resource(operation: Operation) -> str:
    if operation.resource.endswith("{account_id}:*"):
        return "*"
    names = {"region_id": "{#regionId}", "account_id": "{#accountId}", "ClusterId": "{#ClusterId}"}
    return operation.resource.format(**names)


def _rows(operation: Operation, shape: type[Shape], *, is_request: bool = False) -> Iterator[Row]:
    whole = find_whole(shape)
    for depth, member in walk(shape):
        about = member.about
        place = _PLACES[about.location] if is_request and not depth else ""
        required = ("Yes" if member.required else "No") if is_request else ""
        yield Row(
            "body" if member is whole else member.wire_name,
            depth,
            type_text(member),
            place,
            required,
            about.doc,
            tuple(_facts(member, is_request=is_request)),
            {str(value): text for value, text in (about.values or {}).items()},
            about.example,
            about.ours and not operation.ours,
        )


def _facts(member: MemberInfo, *, is_request: bool) -> Iterator[str]:
    about = member.about
    if about.minimum is not None:
        bounded = about.maximum is not None and about.maximum < LARGEST_INTEGER
        yield f"Valid values: {about.minimum} to {about.maximum}." if bounded else f"Valid values: ≥ {about.minimum}."
    if about.fewest is not None:
        yield f"At least {about.fewest}."
    if about.most is not None:
        yield f"At most {about.most} {'entries' if member.kind == 'array' else 'characters'}."
    if is_request and about.form is not None:
        yield f"It must be {about.form.must}."
    if about.excludes:
        yield f"It does not go with {one_of(about.excludes)}."
    if about.may_be_empty:
        yield "May be empty."
    if is_request and member.default not in (None, ""):
        yield f"Default value: {json.dumps(member.default)}."
    if not is_request and member.nullable:
        yield "May be null."


def _response_text(operation: Operation) -> str:
    if operation.output is None:
        return "A success answers an empty JSON object."
    if find_whole(operation.output) is not None:
        return "The answer is an array."
    doc = (operation.output.__doc__ or "").strip()
    return f"The answer is an array of objects. Each: {doc}" if operation.returns_list else doc


def errors_url(code: str) -> str:
    """Where a code stands, from a page of docs/reference/api."""
    return f"../errors.md#{code.replace('.', '').lower()}"


def markdown_of(reference: Reference) -> str:
    """The page as Markdown."""
    return "\n\n".join(part.strip() for part in _sections(reference)) + "\n"


def _sections(page: Reference) -> Iterator[str]:
    operation = page.operation
    yield f"# {operation.name}\n\n{operation.summary}"
    yield "## Operation description"
    yield operation.description
    yield from page.notes
    yield "## Debugging"
    yield (
        "The API explorer of a running server (`/explorer#operation="
        f"{operation.name}`) runs this call, calculates its signature, and makes samples for SDKs from it."
    )
    yield "## Authorization information"
    yield _table(
        ["Operation", "Access level", "Resource type", "Condition key", "Associated operation"],
        [
            [
                ", ".join(f"`{name}`" for name in (page.action, *page.aliases)),
                page.access_level,
                f"{page.resource_type.replace('*', '&#42;')} `{page.resource}`",
                ", ".join(f"`{key}`" for key in page.condition_keys) or "none",
                ", ".join(f"`{name}`" for name in page.associated) or "none",
            ]
        ],
    )
    yield (
        "A policy that allows just this call. To allow it on one cluster alone, put its ID after `cluster/`."
        if ("cluster/*" in page.policy)
        else "A policy that allows just this call:"
    )
    yield f"```json\n{page.policy}\n```"
    yield f"## Request syntax\n\n```text\n{page.syntax}\n```"
    yield "## Request parameters"
    yield _parameters(page.request_rows, ["Parameter", "Type", "In", "Required", "Description", "Example"])
    yield "## Response parameters"
    yield page.response_text
    yield _parameters(page.response_rows, ["Parameter", "Type", "Description", "Example"])
    yield "## Examples"
    yield from _examples(page.examples)
    yield "## Error codes"
    if page.errors:
        yield _table(
            ["Error code", "HTTP status", "Meaning", "What to do"],
            [[f"[{one.code}]({errors_url(one.code)})", str(one.status), one.meaning, one.cure] for one in page.errors],
        )
    common = ", ".join(f"[{one.code}]({errors_url(one.code)})" for one in page.common)
    yield f"What every call can answer: {common}."
    yield "## Change history"
    yield _table(
        ["Change time", "Summary of changes", "Operation"],
        [[change.day, change.summary, operation.name] for change in operation.changes]
        or [["No change history", "", ""]],
    )


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    for number, example in enumerate(examples):
        yield "Sample request" if not number else "Another request"
        yield f"```text\n{example.request}{_blank(example.body)}\n```"
        yield "Its answer" if example.status == 200 else f"Its answer, with status {example.status}"
        yield f"```json\n{example.answer}\n```"
    if not examples:
        yield "None is recorded."


def _blank(body: str) -> str:
    return f"\n\n{body}" if body else ""


def _parameters(rows: Sequence[Row], columns: list[str]) -> str:
    if not rows:
        return "None."
    return _table(columns, [[_parameter_cell(row, column) for column in columns] for row in rows])


def _parameter_cell(row: Row, column: str) -> str:
    if column == "Parameter":
        return "&nbsp;&nbsp;" * row.depth + f"`{row.name}`" + (" (ours)" if row.ours else "")
    if column == "Description":
        values = [f"`{value}`: {text}" for value, text in row.values.items()]
        return " ".join([row.doc, *row.facts, *(["Valid values:"] if values else []), *values])
    example = f"`{row.example}`" if row.example else ""
    return {"Type": row.type, "In": row.place, "Required": row.required, "Example": example}[column]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
