"""`kubecustody call`: any operation of the catalogue, signed and sent."""

import sys
from typing import Any

import click

from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.cli.output import note, print_rows, to_json
from kubecustody.cli.remote import remote_options
from kubecustody.client import Endpoint
from kubecustody.client.calls import call_operation
from kubecustody.core.errors import OperatorError


@click.command("call", epilog="Operations: " + ", ".join(operation.name for operation in OPERATIONS))
@click.argument("operation")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@remote_options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "table", "csv", "ndjson"]),
    default="json",
    show_default=True,
    help="Form of the answer; all but json show the answer's list alone.",
)
def call_command(
    operation: str,
    parameters: tuple[str, ...],
    endpoint: Endpoint,
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
    reply = call_operation(endpoint, wanted, given)
    if reply.status >= 400:
        if output == "json":
            print(to_json(reply.body), file=sys.stderr)
        else:
            told = reply.body if isinstance(reply.body, dict) else {}
            note(f"{told.get('Code')} ({reply.status}): {told.get('Message')}")
        sys.exit(1)
    if output == "json":
        print(to_json(reply.body))
    else:
        _print_lists(reply.body, output)


def _print_lists(body: Any, output: str) -> None:
    for value in body.values() if isinstance(body, dict) else [body]:
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            names = [name for name in value[0] if not isinstance(value[0][name], list)]
            # Names first, ids last; what is empty in every row says nothing.
            names.sort(key=lambda name: (not name.endswith("_name"), name.endswith("_id")))
            print_rows(value, [name for name in names if any(row[name] not in (None, "") for row in value)], output)
        elif isinstance(value, dict):
            note("  ".join(f"{name}: {item}" for name, item in value.items()))
