"""`kubecustody admin audit`: the chain over the events, signed exports of them, and the key that signs."""

import sys
import time
from pathlib import Path

import click

from kubecustody.cli.machine import Machine, actor, pass_machine
from kubecustody.cli.output import document_option, say, to_json
from kubecustody.cli.stopping import stopped_tidily
from kubecustody.core.errors import OperatorError
from kubecustody.core.times import parse_time
from kubecustody.custody.auditing import Range, export_events, get_audit_key, verify_chain
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody


@click.group("audit")
def audit_admin_group() -> None:
    """What happened, as a proof: the hash chain over it, and signed exports."""


@audit_admin_group.command("verify")
@document_option
@pass_machine
def verify_command(machine: Machine, output: str) -> None:
    """Make every seal over the account's events anew and compare.

    Exit codes: 0 the chain holds, 1 it does not.
    """
    found = machine.look(verify_chain)
    if output == "json":
        print(to_json(found._asdict()))
    elif found.faults:
        for fault in found.faults:
            say(fault)
        say("What the store says of the past is not what was recorded. Compare it with a backup or an export.")
    else:
        say(f"{found.events:,} events under {found.seals:,} seals hold. The last seal is {found.last_seal}.")
    if found.faults:
        sys.exit(1)


@audit_admin_group.command("export")
@click.option("--since", metavar="TIME", help="Events recorded at this time (RFC 3339) or later.")
@click.option("--until", metavar="TIME", help="Events recorded before this time (RFC 3339).")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New file to write.")
@document_option
@pass_machine
def export_command(machine: Machine, since: str | None, until: str | None, out: Path, output: str) -> None:
    """Write the account's events to a new file, an object a line, and sign it.

    `kubecustody audit check` checks it without this server, and so do openssl and a few lines of Python.
    """
    which = Range(_time("--since", since), _time("--until", until))
    with stopped_tidily():
        done = machine.change(export_events, out=out, which=which)
    if output == "json":
        print(to_json(done._asdict()))
        return
    say(f"Wrote {done.events:,} events ({done.first_event_no} to {done.last_event_no}) to {out}.")
    say(f"Signed by the key {done.key}; `kubecustody admin audit key` prints it.")


def _time(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise OperatorError(f"{option}: {error}.") from error


@audit_admin_group.command("key")
@pass_machine
def key_command(machine: Machine) -> None:
    """Print the public half of the key that exports are signed with (PEM)."""

    async def key(custody: Custody) -> bytes:
        return await get_audit_key(custody, Author(actor()), time.time())

    print(machine.run(key).decode(), end="")
