"""`kubecustody scan`: what the files below a folder could do. No server is needed."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kubecustody.cli.output import note, output_option, print_rows
from kubecustody.core.errors import OperatorError
from kubecustody.core.times import format_time
from kubecustody.kubeconfig.scanning import Found, masters_of, scan
from kubecustody.pki.subjects import MASTERS_GROUP

FAIL = 3
_COLUMNS = [
    "file",
    "user",
    "cluster",
    "server",
    "contexts",
    "common_name",
    "groups",
    "expires",
    "state",
    "masters",
    "key",
    "mode",
    "exposed",
    "remarks",
]
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_MASTERS = "masters"


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="expired, expires-within=30d (m, h, d), masters, exposed or unreadable; may be said several times.",
)
@output_option
def scan_command(paths: tuple[Path, ...], conditions: tuple[str, ...], output: str) -> None:
    """List every kubeconfig user and client certificate in files and below folders. Needs no server.

    One row for each user and each cluster that a context joins them to, and one for each client certificate in a file
    of its own: common name, groups, expiry, whether its private key is there, whether others may read that (exposed).
    What looks like one and cannot be read is a row whose state is unreadable. No link to a folder is followed, and no
    private key is shown or sent anywhere.

    Exit codes: 0 done, 2 a fault that the text explains, 3 a condition of --fail-if is met.
    """
    now = time.time()
    judges = {text: _condition(text, now) for text in conditions}
    found = list(scan(paths))
    columns = _COLUMNS if output == "table" else [*_COLUMNS, "fingerprint", "serial"]
    print_rows([_row(one, now) for one in found], columns, output, empty="No kubeconfig and no client certificate.")
    met = [text for text, judge in judges.items() if any(judge(one) for one in found)]
    if met:
        note(f"Met: {', '.join(met)}.")
        sys.exit(FAIL)


def _condition(text: str, now: float) -> Callable[[Found], bool]:
    name, _, value = text.partition("=")
    if name == "expires-within":
        end = now + parse_span(value)
        return lambda one: one.certificate is not None and one.certificate.not_after <= end
    simple: dict[str, Callable[[Found], bool]] = {
        "expired": lambda one: one.certificate is not None and one.certificate.not_after < now,
        _MASTERS: lambda one: MASTERS_GROUP in masters_of(one),
        "exposed": lambda one: one.exposed,
        "unreadable": lambda one: one.unreadable is not None,
    }
    if text not in simple:
        raise OperatorError(f"{text!r} is no condition: wanted is one of {', '.join(simple)}, expires-within=30d.")
    return simple[text]


def parse_span(text: str) -> int:
    """Seconds of a span like 90m, 12h or 30d. Raises OperatorError."""
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if match is None:
        raise OperatorError(f"{text!r} is no span of time: write minutes, hours or days as 90m, 12h or 30d.")
    return int(match[1]) * _UNITS[match[2]]


def _row(found: Found, now: float) -> dict[str, Any]:
    certificate = found.certificate
    beyond = masters_of(found)
    remarks = [*found.remarks, *(f"Of the group {group}." for group in beyond if group != MASTERS_GROUP)]
    return {
        "file": str(found.path),
        "user": found.user,
        "cluster": found.cluster,
        "server": found.server,
        "contexts": list(found.contexts),
        "common_name": certificate.common_name if certificate else None,
        "groups": list(certificate.organizations) if certificate else [],
        "expires": format_time(certificate.not_after) if certificate else None,
        "state": _state(found, now),
        "masters": MASTERS_GROUP in beyond if certificate else None,
        "key": found.key,
        "mode": None if found.mode is None else f"{found.mode:04o}",
        "exposed": None if found.unreadable else found.exposed,
        "remarks": remarks if found.unreadable is None else [found.unreadable],
        "fingerprint": certificate.fingerprint_hex if certificate else None,
        "serial": certificate.serial if certificate else None,
    }


def _state(found: Found, now: float) -> str:
    if found.unreadable is not None:
        return "unreadable"
    if found.certificate is None:
        return "no certificate"
    if now > found.certificate.not_after:
        return "expired"
    return "valid" if now >= found.certificate.not_before else "not yet valid"
