"""`kubecustody removed`: what was removed within 30 days, and taking that back."""

import click

from kubecustody.cli.naming import find_cluster, find_uid
from kubecustody.cli.output import note, output_option, print_rows, printable, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import Endpoint

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
