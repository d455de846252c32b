"""RAM policies."""

from pathlib import Path

import click

from kubecustody.cli.files import read_text
from kubecustody.cli.machine import Machine, pass_machine, reason_option
from kubecustody.cli.output import inert_json, output_option, print_rows, say, time_or_none
from kubecustody.custody import policies

_LARGEST_POLICY_BYTES = 64 * 1024


@click.group("policies")
def policies_group() -> None:
    """RAM policies."""


@policies_group.command("list")
@output_option
@pass_machine
def list_policies_command(machine: Machine, output: str) -> None:
    """List the policies, built-in ones first."""
    rows = [
        {
            "name": policy.name,
            "type": policy.policy_type,
            "attachments": policy.attachments,
            "changed_at": time_or_none(policy.changed_at),
        }
        for policy in machine.look(policies.list_policies)
    ]
    print_rows(rows, ["name", "type", "attachments", "changed_at"], output)


@policies_group.command("put")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@reason_option
@pass_machine
def put_policy_command(machine: Machine, name: str, file: Path, reason: str) -> None:
    """Store the policy document FILE (JSON) under NAME, or replace it."""
    machine.change(policies.put_policy, name, read_text(file, _LARGEST_POLICY_BYTES), reason=reason)
    say(f"Stored the policy {name}.")


@policies_group.command("show")
@click.argument("name")
@pass_machine
def show_policy_command(machine: Machine, name: str) -> None:
    """Print the document of a policy, built in or the account's own."""
    print(inert_json(machine.look(policies.get_document, name)))


@policies_group.command("delete")
@click.argument("name")
@reason_option
@pass_machine
def delete_policy_command(machine: Machine, name: str, reason: str) -> None:
    """Delete a policy that is attached to nobody."""
    machine.change(policies.delete_policy, name, reason=reason)
    say(f"Deleted the policy {name}.")


@policies_group.command("attach")
@click.argument("name")
@click.option("--user", "--role", "user", metavar="WHO", help="Uid, name or e-mail of a user or role.")
@click.option("--group", metavar="NAME")
@reason_option
@pass_machine
def attach_policy_command(machine: Machine, name: str, user: str | None, group: str | None, reason: str) -> None:
    """Attach a policy to a user, role or group."""
    changed = machine.change(policies.set_attachment, name, attached=True, user=user, group=group, reason=reason)
    say(f"{name} is attached to {user or group}." if changed else f"{name} was attached already.")


@policies_group.command("detach")
@click.argument("name")
@click.option("--user", "--role", "user", metavar="WHO", help="Uid, name or e-mail of a user or role.")
@click.option("--group", metavar="NAME")
@reason_option
@pass_machine
def detach_policy_command(machine: Machine, name: str, user: str | None, group: str | None, reason: str) -> None:
    """Detach a policy from a user, role or group."""
    changed = machine.change(policies.set_attachment, name, attached=False, user=user, group=group, reason=reason)
    say(f"{name} is no longer attached to {user or group}." if changed else f"{name} was not attached.")
