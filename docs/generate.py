"""`python -m docs.generate`: writes the generated pages of docs/reference; `--check` fails where one has drifted."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from docs.making.examples import record_examples
from docs.making.explorer import explorer_catalogue
from docs.making.history import HistoryLacks, recorded_shapes
from docs.making.reference import Reference, markdown_of, reference_of
from docs.making.site import Site, plain_text
from prometheus_client import CollectorRegistry

from kubecustody.catalogue.errors import ERRORS
from kubecustody.catalogue.model import API_VERSION, Operation
from kubecustody.catalogue.openapi import openapi_document
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.cli.main import commands
from kubecustody.pages.serving import SITE
from kubecustody.server.metrics import Metrics
from kubecustody.server.store_metrics import StoreMetrics
from kubecustody.settings import PREFIX, TABLE, load_settings

DOCS = Path(__file__).parent
ROOT, REFERENCE = DOCS.parent, DOCS / "reference"
# Operations by the module of the catalogue that they stand in.
_TITLES = {
    "states": "Who holds what",
    "kubeconfigs": "Kubeconfigs",
    "permissions": "Permissions",
    "tasks": "Tasks",
    "clusters": "Clusters",
    "account": "The account",
    "registering": "Real clusters",
    "requests": "Failed requests",
}
MADE_BY = "<!-- Made by `python -m docs.generate`; edit the source, not this page. -->\n\n"


def main() -> None:
    """Write or check every generated page."""
    check = sys.argv[1:] == ["--check"]
    try:
        pages = {path: content.encode() for path, content in _every_page()}
    except HistoryLacks as fault:
        sys.exit(str(fault))
    there = {path for folder in (SITE, REFERENCE) for path in folder.rglob("*") if path.is_file()}
    drifted = [path for path, content in pages.items() if not path.is_file() or path.read_bytes() != content] + sorted(
        there - set(pages)
    )
    if not check:
        for path in drifted:
            _write(path, pages.get(path))
    elif drifted:
        names = ", ".join(str(path.relative_to(ROOT)) for path in drifted)
        sys.exit(f"{names} has drifted from its source. Run: python -m docs.generate")


def _every_page() -> Iterator[tuple[Path, str]]:
    """Every generated file and its content."""
    examples = record_examples()
    operations = [reference_of(operation, examples[operation.name]) for operation in OPERATIONS]
    reference = {
        "settings.md": settings(),
        "errors.md": errors(),
        "metrics.md": metrics(),
        "commands.md": command_pages(),
        "api/README.md": operation_list(),
        **{f"api/{page.operation.name}.md": markdown_of(page) for page in operations},
    }
    texts = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
    texts = {name: text for name, text in texts.items() if not name.startswith("reference/api/")}
    for name, text in reference.items():
        texts[f"reference/{name}"] = MADE_BY + text
        yield REFERENCE / name, MADE_BY + text
    yield REFERENCE / "api" / "shapes.json", recorded_shapes(REFERENCE / "api" / "shapes.json")
    for name, content in _site_files(Site(texts), operations):
        yield SITE / name, content


def _site_files(site: Site, operations: list[Reference]) -> Iterator[tuple[str, str]]:
    yield from site.files()
    for page in operations:
        name = page.operation.name
        yield f"docs/api/{name}.html", site.render("operation.html", f"docs/api/{name}", name, "api", page=page)
    yield (
        "docs/api.html",
        site.render("operations.html", "docs/api", "API reference", "api", groups=grouped(), api_version=API_VERSION),
    )
    raised_by = {error.code: [page.operation.name for page in operations if error in page.errors] for error in ERRORS}
    in_order = sorted(ERRORS, key=lambda error: error.code.lower())
    yield (
        "docs/errors.html",
        site.render("errors.html", "docs/errors", "Error centre", "errors", errors=in_order, raised_by=raised_by),
    )
    yield from _explorer_files(site)
    yield "openapi.json", json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n"
    index = [(page.name, page.title, plain_text(page.text)) for page in site.pages if page.name != "docs/errors"]
    index += [(f"docs/errors#{one.code}", one.code, f"{one.status} {one.meaning} {one.cure}") for one in in_order]
    yield "search-index.json", json.dumps(index, indent=0, ensure_ascii=False) + "\n"


def _explorer_files(site: Site) -> Iterator[tuple[str, str]]:
    yield "explorer/catalogue.json", explorer_catalogue()
    yield (
        "explorer/signature.html",
        site.render("signature.html", "explorer/signature", "Where do the signatures part?", "explorer"),
    )
    yield "explorer.html", site.render("explorer.html", "explorer", "API explorer", "explorer")


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def settings() -> str:
    """The page of the settings."""
    lines = [
        "# Settings\n",
        "Each is taken from the environment, else from `kubecustody.toml` in the data folder (or the file that",
        f"`{PREFIX}CONFIG` names), else from its default. `serve --set NAME=VALUE` stands above them all.\n",
        "| name | environment | default | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for one in TABLE:
        default = f"`{one.default}`" if one.default else ""
        values = f" One of {', '.join(f'`{value}`' for value in one.values)}." if one.values else ""
        lines.append(
            f"| `{one.name}` | `{PREFIX}{one.name.upper()}` | {default} | {one.unit} | {_cell(one.doc + values)} |"
        )
    return "\n".join(lines) + "\n"


def errors() -> str:
    """The page of the error codes."""
    lines = ["# Errors\n", "Every code that the API answers, its HTTP status, what it means and what to do.\n"]
    for one in sorted(ERRORS, key=lambda error: error.code.lower()):
        lines += [f"## {one.code}\n", f"HTTP {one.status}. {one.meaning}\n", f"**What to do.** {one.cure}\n"]
    return "\n".join(lines)


def grouped() -> list[tuple[str, list[Operation]]]:
    """The operations, by subject."""
    groups: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        module = operation.input.__module__.rpartition(".")[2]
        groups.setdefault(_TITLES.get(module, module.capitalize()), []).append(operation)
    return list(groups.items())


def operation_list() -> str:
    """The list of the operations."""
    lines = ["# API reference", "Every operation of the API, with who may call it, what it takes and what it answers."]
    for title, operations in grouped():
        rows = [f"| [{one.name}]({one.name}.md) | `{one.method} {one.path}` | {one.summary} |" for one in operations]
        lines += [f"## {title}", "\n".join(["| operation | request | what it does |", "|---|---|---|", *rows])]
    return "\n\n".join(lines) + "\n"


def metrics() -> str:
    """The page of the metrics."""
    registry = CollectorRegistry()
    Metrics(registry)
    lines = ["# Metrics\n", "At `metrics_listen`, for Prometheus.\n", "| name | type | meaning |", "|---|---|---|"]
    for family in (*registry.collect(), *StoreMetrics(load_settings({})).describe()):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        lines.append(f"| `{name}` | {family.type} | {_cell(family.documentation)} |")
    return "\n".join(lines) + "\n"


def command_pages() -> str:
    """The page of the commands, from their own help."""
    lines = ["# Commands\n"]
    for path, command in _walk(commands, "kubecustody"):
        context = click.Context(
            command, info_name=path, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
        )
        lines += [f"## {path}\n", f"```\n{command.get_help(context)}\n```\n"]
    return "\n".join(lines)


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _walk(child, f"{path} {name}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
