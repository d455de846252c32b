"""`kubecustody clusters remove`: a cluster goes from the server, with what people hold there cleaned or left."""

import sys
import time

import click

from kubecustody.catalogue.removing_clusters import RemoveClusterOutput
from kubecustody.cli.naming import find_cluster
from kubecustody.cli.output import note, printable, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import Endpoint
from kubecustody.core.errors import OperatorError

_PAUSE_SECONDS = 2.0


@click.command("remove")
@click.argument("cluster")
@click.option("--clean", is_flag=True, help="Ask the removal of everything that people hold there first, and wait.")
@click.option("--leave", is_flag=True, help="Let what people hold there live on until it ends.")
@click.option("--wait", "wait_seconds", type=int, default=60, show_default=True, help="With --clean: at most so long.")
@click.option("--dry-run", is_flag=True, help="Only say what lives there.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@remote_options
def remove_command(
    endpoint: Endpoint, cluster: str, clean: bool, leave: bool, wait_seconds: int, dry_run: bool, yes: bool
) -> None:
    """Remove CLUSTER (id or name) from the server; the cluster itself is not touched.

    With --clean it goes once the removal of everything that people hold there is proved; the same command goes on where
    it stopped. Exit codes: 0 it is gone, 1 something waits, 2 a fault that the text explains.
    """
    if clean is leave:
        raise OperatorError("Say --clean or --leave: what becomes of what people hold there.")
    removal = "clean" if clean else "leave"
    with calling(endpoint) as client:
        cluster_id, _ = find_cluster(client, cluster)
        told = client.remove_cluster(cluster_id, removal=removal, dry_run=True)
        _tell(told)
        if dry_run:
            return
        if not yes:
            what = "Ask their removal, and remove the cluster then?" if clean else "Remove the cluster, and leave them?"
            click.confirm(what, abort=True, err=True)
        ends = time.monotonic() + wait_seconds
        while (told := client.remove_cluster(cluster_id, removal=removal)).state != "deleted":
            if time.monotonic() > ends:
                break
            time.sleep(_PAUSE_SECONDS)
    if clean:
        _tell(told)
    for one in told.notes:
        note(printable(one))
    if told.state != "deleted":
        note(f"{cluster} stays until nothing lives there; the same command goes on.")
        sys.exit(1)
    say(f"{printable(cluster)} is removed.")


def _tell(told: RemoveClusterOutput) -> None:
    if not told.living_count:
        say("Nothing that people hold there lives.")
        return
    until = f"the last of them until {told.living_until}" if told.living_until else "of some of them no end is known"
    count = f"{told.living_count} credential{'' if told.living_count == 1 else 's'}"
    say(f"{count} may still get in, {until}:")
    for one in told.living:
        asked = ", removal asked" if one.removal_requested else ""
        say(printable(f"  {one.common_name or '(no certificate)'} until {one.cert_expire_time or '?'}{asked}"))
    if told.living_count > len(told.living):
        say(f"  and {told.living_count - len(told.living)} more")
