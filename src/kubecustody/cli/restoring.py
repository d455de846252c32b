"""`kubecustody removed`: what was removed within 30 days, and taking that back."""

import sys

import click

from kubecustody.cli.naming import find_cluster, find_uid
from kubecustody.cli.output import note, output_option, print_rows, printable, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import Endpoint
from kubecustody.core.errors import OperatorError

_COLUMNS = ("uid", "cluster", "removed", "restorable until", "obstacle", "cluster id", "fingerprint")


@click.group("removed")
def removed_group() -> None:
    """Kubeconfigs that were removed within 30 days."""


@removed_group.command("list")
@click.option("--user", metavar="WHO", help="Of this user or role (uid, name or e-mail address); else of everybody.")
@output_option
@remote_options
def list_command(endpoint: Endpoint, user: str | None, output: str) -> None:
    """List what was removed and could come back, the newest removal first."""
    with calling(endpoint) as client:
        uid = find_uid(client, user) if user else ""
        rows = [
            {
                "uid": one.uid,
                "cluster": one.cluster_name,
                "removed": one.removal_requested_at,
                "restorable until": one.restorable_until,
                "obstacle": one.obstacle,
                "cluster id": one.cluster_id,
                "fingerprint": one.fingerprint,
            }
            for one in client.list_restorable_credentials(uid=uid).credentials
        ]
    print_rows(rows, [*_COLUMNS], output, empty="Nothing was removed within 30 days that could come back.")


@removed_group.command("restore")
@click.argument("cluster")
@click.argument("credential")
@click.option("--reason", required=True, help="Why: it is kept with the event.")
@remote_options
def restore_command(endpoint: Endpoint, cluster: str, credential: str, reason: str) -> None:
    """Take the removal of CREDENTIAL (fingerprint or serial number) of CLUSTER (id or name) back.

    Its permissions come back with it. Exit codes: 0 restored, 1 refused, 2 a fault that the text explains.
    """
    with calling(endpoint) as client:
        done = client.restore_credential(find_cluster(client, cluster)[0], credential, reason)
    say(f"Restored: {done.fingerprint} of {done.uid}")
    for permission in done.permissions:
        say(f"  {printable(permission)}")
    if not done.key_kept:
        note("Its private key is not kept here: it works for whoever still has the kubeconfig file.")
    note(f"{done.proof}: {printable(done.text)}")


@removed_group.command("restore-all")
@click.argument("user")
@click.option("--task", "task_id", default="", metavar="ID", help="What this task of `leaver` took.")
@click.option("--from", "removed_from", default="", metavar="TIME", help="What was removed at this time or later.")
@click.option("--to", "removed_to", default="", metavar="TIME", help="With --from: and at this time or before.")
@click.option("--reason", required=True, help="Why: it is kept with the events.")
@click.option("--dry-run", is_flag=True, help="Only say what would come back.")
@remote_options
def restore_all_command(
    endpoint: Endpoint, user: str, task_id: str, removed_from: str, removed_to: str, reason: str, dry_run: bool
) -> None:
    """Take back all that one removal took from USER (uid, name or e-mail address): kubeconfigs and permissions.

    Which removal is said by its task, or by when it was (RFC 3339, such as 2026-11-24T03:00:00Z). Exit codes: 0 all of
    it came back, 1 refused, or something of it did not, 2 a fault that the text explains.
    """
    if bool(task_id) is bool(removed_from):
        raise OperatorError("Say which removal: --task ID, or --from TIME.")
    with calling(endpoint) as client:
        done = client.restore_removal(
            find_uid(client, user),
            reason,
            task_id=task_id,
            removed_from=removed_from,
            removed_to=removed_to,
            dry_run=dry_run,
        )
    verb = "Would be restored" if dry_run else "Restored"
    for one in done.restored:
        say(f"{verb}: {one.fingerprint} in {printable(one.cluster_name)}")
        if not dry_run:
            say(f"  {one.proof}: {printable(one.text)}")
    for permission in done.permissions:
        say(f"{verb}: {printable(permission)}")
    for left in done.left:
        say(f"Stays removed: {left.fingerprint} in {printable(left.cluster_name)}: {printable(left.obstacle)}")
    if not all(one.key_kept for one in done.restored):
        note("Where a private key is not kept here, a kubeconfig works for whoever still has the file.")
    sys.exit(1 if done.left else 0)
