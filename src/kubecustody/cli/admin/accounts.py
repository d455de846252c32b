"""Accounts, and the upkeep of the installation as a whole."""

import time

import click

from kubecustody.cli.machine import Machine, actor, pass_machine, reason_option
from kubecustody.cli.output import output_option, print_rows, say, time_or_none
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, add_account, list_accounts, rotate_master_key


@click.group("accounts")
def accounts_group() -> None:
    """Accounts: each has people, keys and clusters of its own, and sees no other's."""


@accounts_group.command("list")
@output_option
@pass_machine
def list_accounts_command(machine: Machine, output: str) -> None:
    """List the accounts."""
    rows = [
        {
            "account_id": account.account_id,
            "name": account.name,
            "region_id": account.region_id,
            "created_at": time_or_none(account.created_at),
            "clusters": account.cluster_count,
        }
        for account in machine.run(list_accounts)
    ]
    print_rows(rows, ["account_id", "name", "region_id", "created_at", "clusters"], output)


@accounts_group.command("add")
@click.argument("name")
@click.option("--id", "account_id", metavar="DIGITS", help="Its id; made up unless given.")
@click.option("--region", default="local", show_default=True)
@pass_machine
def add_account_command(machine: Machine, name: str, account_id: str | None, region: str) -> None:
    """Add an account; give it an access key with `admin --account ID keys add ID`."""

    async def work(custody: Custody) -> str:
        author = Author(actor())
        return await add_account(custody, author, time.time(), name=name, region_id=region, account_id=account_id)

    say(machine.run(work))


@click.command("rotate-master-key")
@reason_option
@pass_machine
def rotate_master_key_command(machine: Machine, reason: str) -> None:
    """Give the key ring a new master key and seal every secret anew; a running server goes on."""

    async def work(custody: Custody) -> int:
        return await rotate_master_key(machine.settings, custody, Author(actor(), reason=reason), time.time())

    count = machine.run(work)
    say(f"Sealed {count} secrets anew. Back up {machine.settings.key_ring_file}; older backups need its older keys.")
