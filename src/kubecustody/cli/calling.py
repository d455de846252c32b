"""`kubecustody call`: any operation of the catalogue, signed and sent."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.cli.output import note, print_rows, to_json
from kubecustody.client.calls import Endpoint, call_operation
from kubecustody.core.errors import OperatorError

ID_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_ID"
SECRET_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of the variable
ENDPOINT_VARIABLE = "KUBECUSTODY_ENDPOINT"


@click.command("call", epilog="Operations: " + ", ".join(operation.name for operation in OPERATIONS))
@click.argument("operation")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--endpoint", metavar="URL", help=f"Address of the API; else {ENDPOINT_VARIABLE}.")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of NAME=value lines as `init` and `admin keys add` write it; else the environment.",
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Root certificate of the server; else SSL_CERT_FILE, else the system's.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "table"]),
    default="json",
    show_default=True,
    help="Form of the answer; a table shows the answer's list.",
)
def call_command(
    operation: str,
    parameters: tuple[str, ...],
    endpoint: str | None,
    key_file: Path | None,
    ca: Path | None,
    output: str,
) -> None:
    """Call OPERATION with NAME=VALUE parameters by their wire names.

    The key comes from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or from --key-file. Exit
    codes: 0 success, 1 the server answered an error (printed as it came), 2 the call could not be made.
    """
    try:
        wanted = get_operation(operation)
    except KeyError:
        names = ", ".join(known.name for known in OPERATIONS)
        raise OperatorError(f"There is no operation {operation!r}. There are: {names}.") from None
    given = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise OperatorError(f"{parameter!r} is no NAME=VALUE.")
        given[name] = value
    reply = call_operation(_endpoint(endpoint, key_file, ca), wanted, given)
    if reply.status >= 400:
        if output == "json":
            print(to_json(reply.body), file=sys.stderr)
        else:
            note(f"{reply.body.get('Code')} ({reply.status}): {reply.body.get('Message')}")
        sys.exit(1)
    if output == "table":
        _print_lists(reply.body)
    else:
        print(to_json(reply.body))


def _print_lists(body: Any) -> None:
    for value in body.values() if isinstance(body, dict) else [body]:
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            names = [name for name in value[0] if not isinstance(value[0][name], list)]
            # Names first, ids last; what is empty in every row says nothing.
            names.sort(key=lambda name: (not name.endswith("_name"), name.endswith("_id")))
            print_rows(value, [name for name in names if any(row[name] not in (None, "") for row in value)], "table")
        elif isinstance(value, dict):
            note("  ".join(f"{name}: {item}" for name, item in value.items()))


def _endpoint(url: str | None, key_file: Path | None, ca: Path | None) -> Endpoint:
    from_file = _read_key_file(key_file) if key_file else {}
    if key_file and ID_VARIABLE not in from_file:
        raise OperatorError(f"{key_file} has no line {ID_VARIABLE}=...; is it a file that `init` or `keys add` wrote?")
    given = {**os.environ, **from_file}
    missing = [name for name in (ID_VARIABLE, SECRET_VARIABLE) if not given.get(name)]
    if missing:
        raise OperatorError(f"No access key: set {' and '.join(missing)}, or name a --key-file.")
    url = url or given.get(ENDPOINT_VARIABLE)
    if not url:
        raise OperatorError(f"No endpoint: set {ENDPOINT_VARIABLE} (https://HOST:PORT), or say --endpoint.")
    return Endpoint(url, given[ID_VARIABLE], given[SECRET_VARIABLE], ca)


def _read_key_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise OperatorError(f"{path} cannot be read as a key file: NAME=value lines, as `init` writes them.") from None
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
