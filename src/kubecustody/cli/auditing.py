"""`kubecustody audit`: what can be checked of exported events without a server."""

import sys
from base64 import b64decode
from pathlib import Path

import click

from kubecustody.cli.output import document_option, say, to_json
from kubecustody.core.errors import OperatorError
from kubecustody.core.exports import Checker
from kubecustody.pki.signatures import is_signed, key_fingerprint

_LONGEST_LINE = 64 * 1024 * 1024
_LARGEST_KEY_FILE = 64 * 1024


@click.group("audit")
def audit_group() -> None:
    """Check exported events, without a server."""


@audit_group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="Public key (PEM), as `kubecustody admin audit key` printed it.",
)
@document_option
def check_command(file: Path, key_file: Path, output: str) -> None:
    """Check that FILE is what `kubecustody admin audit export` wrote, line by line.

    Exit codes: 0 it is, 1 it is not, and each fault is told with its place.
    """
    pem = _read(key_file)
    checker = Checker(key_fingerprint(pem), lambda message, text: is_signed(pem, message, _decode(text)))
    try:
        with file.open("rb") as lines:
            while line := lines.readline(_LONGEST_LINE):
                checker.take(line)
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}.") from error
    checker.finish()
    if output == "json":
        head = checker.head._asdict() if checker.head else None
        print(to_json({"events": checker.events, "head": head, "faults": checker.faults}))
    elif checker.faults:
        for fault in checker.faults:
            say(fault)
        say(f"{file} is not what was exported.")
    elif checker.head is not None:
        say(f"{file} holds, and is signed by {checker.head.key}.")
        say(
            f"{checker.events:,} events ({checker.head.first_event_no} to {checker.head.last_event_no}) of account "
            f"{checker.head.account_id}, exported at {checker.head.exported_at} by {checker.head.exported_by}."
        )
    if checker.faults:
        sys.exit(1)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from error


def _decode(text: str) -> bytes:
    """The bytes of base64; none where it is not."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
