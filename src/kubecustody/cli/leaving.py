"""`kubecustody leaver`: what somebody who leaves would lose and what lives on, and the act itself."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from kubecustody.catalogue.rehearsing import Rehearsal, RehearsedCredential
from kubecustody.cli.credentials import confirm
from kubecustody.cli.naming import find_cluster, find_uid
from kubecustody.cli.output import note, output_option, print_rows
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import Client, Endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.core.prospects import Prospect

_COLUMNS = ["what", "cluster", "name", "state", "expires", "then"]
_THEN = {
    Prospect.PROOF: "lost, once the cluster has proved it",
    Prospect.ATTESTATION: "lost, on the word of the cluster's operator",
    Prospect.WISH: "lives on until somebody unbinds it in the cluster, or it ends",
    Prospect.LIVES_ON: "lives on: of system:masters, until it ends or the cluster's client CA is changed",
}
_LOST = (Prospect.PROOF, Prospect.ATTESTATION)
_LONGEST_SECONDS = 3600
_POLL_SECONDS = 0.5


@click.command("leaver")
@click.argument("user")
@click.option(
    "--cluster", "clusters", multiple=True, metavar="CLUSTER", help="Only in this one (id or name); repeatable."
)
@click.option("--compromised", is_flag=True, help="Somebody else may have the keys: nothing of it can be restored.")
@click.option("--allow-last-admin", is_flag=True, help="Also where a managed cluster so loses its last admin.")
@click.option("--dry-run", is_flag=True, help="Only show what would be lost and what lives on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@remote_options
def leaver_command(
    endpoint: Endpoint,
    user: str,
    clusters: tuple[str, ...],
    compromised: bool,
    allow_last_admin: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Take away every kubeconfig and permission of USER (uid, name or e-mail address), after a look at what that does.

    First what would be lost and what lives on is shown, then it is done in each cluster, whatever the access records of
    the last days say (CleanUserPermissions with Force).

    Exit codes: 0 done in every cluster, 1 the server answered an error or a cluster refused, 2 a fault that the text
    explains, 130 declined or interrupted (what was begun goes on).
    """
    with calling(endpoint) as client:
        uid = find_uid(client, user)
        chosen = [find_cluster(client, one)[0] for one in clusters] or None
        told = client.clean_user_permissions(
            uid, cluster_ids=chosen, force=True, allow_last_admin=allow_last_admin, dry_run=True
        ).rehearsal
        if not isinstance(told, Rehearsal):
            raise OperatorError("The server knows no rehearsal; it is older than this program. Nothing was done.")
        print_rows(
            _rows(told), _COLUMNS, output, empty="They hold nothing that lives, and nothing is permitted to them."
        )
        note(_summary(told))
        if dry_run or not (told.credentials or told.permissions):
            sys.exit(1 if told.refused else 0)
        confirm(f"Take all of this away from {user}?", yes=yes)
        task_id = client.clean_user_permissions(
            uid, cluster_ids=chosen, force=True, allow_last_admin=allow_last_admin, compromised=compromised
        ).task_id
        note(f"Begun as task {task_id}.")
        note(f"`kubecustody removed restore-all {uid} --task {task_id} --reason WHY` takes it back.")
        names = {one.cluster_id: one.cluster_name for one in told.credentials}
        names |= {one.cluster_id: one.cluster_name for one in told.permissions}
        sys.exit(0 if _wait(client, task_id, names) else 1)


def _rows(told: Rehearsal) -> list[dict[str, Any]]:
    lost = [one for one in told.credentials if one.prospect in _LOST]
    rest = [one for one in told.credentials if one.prospect not in _LOST]
    permissions = [
        {
            "what": "permission",
            "cluster": one.cluster_name or "every cluster",
            "name": one.role_name + (f" in {one.namespace}" if one.namespace else ""),
            "then": "taken away",
        }
        for one in told.permissions
    ]
    refused = [{"what": "refused", "cluster": one.cluster_id, "then": one.message} for one in told.refused]
    return [*map(_credential_row, lost), *permissions, *map(_credential_row, rest), *refused]


def _credential_row(one: RehearsedCredential) -> dict[str, Any]:
    return {
        "what": "credential",
        "cluster": one.cluster_name,
        "name": one.fingerprint or one.common_name,
        "state": one.cert_state,
        "expires": one.cert_expire_time or None,
        "then": _THEN.get(Prospect(one.prospect), one.prospect),
    }


def _summary(told: Rehearsal) -> str:
    lost = sum(one.prospect in _LOST for one in told.credentials)
    parts = [
        f"credentials that are lost: {lost}",
        f"that live on: {len(told.credentials) - lost}",
        f"permissions that are taken away: {len(told.permissions)}",
        f"clusters that refuse: {len(told.refused)}",
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _wait(client: Client, task_id: str, names: Mapping[str, str]) -> bool:
    """Whether the task ended well in every cluster; what failed is told."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while (task := client.describe_task_info(task_id)).state == "running":
        if time.monotonic() > deadline:
            raise OperatorError(f"The task {task_id} is not done after an hour; DescribeTaskInfo tells how far it is.")
        time.sleep(_POLL_SECONDS)
    for event in task.events:
        note(f"{names.get(event.source, event.source)}: {event.message}")
    return task.state == "success"
