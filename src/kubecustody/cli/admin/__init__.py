"""`kubecustody admin`: the commands for whoever runs the machine; they work on its store directly."""

from pathlib import Path

import click

from kubecustody.cli.admin.accounts import accounts_group, rotate_master_key_command
from kubecustody.cli.admin.audit import audit_admin_group
from kubecustody.cli.admin.clusters import clusters_group
from kubecustody.cli.admin.credentials import credentials_group, removals_group
from kubecustody.cli.admin.doctor import doctor_command
from kubecustody.cli.admin.people import groups_group, keys_group, roles_group, users_group
from kubecustody.cli.admin.policies import policies_group
from kubecustody.cli.admin.recovery import backup_command, migrate_command, restore_command, verify_backup_command
from kubecustody.cli.machine import Machine, account_option, data_dir_option


@click.group("admin")
@data_dir_option
@account_option
@click.pass_context
def admin_group(context: click.Context, data_dir: Path | None, account: str | None) -> None:
    """Work on the store of this machine: accounts, people, keys, policies, clusters, credentials."""
    context.obj = Machine(data_dir, account)


for command in (
    accounts_group,
    users_group,
    roles_group,
    groups_group,
    policies_group,
    keys_group,
    clusters_group,
    credentials_group,
    removals_group,
    rotate_master_key_command,
    migrate_command,
    backup_command,
    verify_backup_command,
    restore_command,
    doctor_command,
    audit_admin_group,
):
    admin_group.add_command(command)
