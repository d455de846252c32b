"""`kubecustody clusters`: registering clusters that the server can reach, and looking at them."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from kubecustody.catalogue.clusters import ListedCluster
from kubecustody.catalogue.registering import ClusterReportOutput, ManageClusterOutput
from kubecustody.cli.bootstrapping import bootstrap_command, profiles_command
from kubecustody.cli.cluster_reports import tell_plan, tell_report
from kubecustody.cli.files import read_bytes
from kubecustody.cli.fleet_files import apply_command
from kubecustody.cli.naming import find_cluster, list_clusters
from kubecustody.cli.output import note, output_option, print_rows, printable, say, to_json, wide_option
from kubecustody.cli.own_kubeconfigs import kubeconfig_of_pod
from kubecustody.cli.remote import calling, remote_options
from kubecustody.cli.removing_clusters import remove_command
from kubecustody.client import Client, Endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import parse_kubeconfig

_LARGEST_KUBECONFIG_BYTES = 200_000
_COLUMNS = ("name", "state", "version", "mode", "access until", "region", "id")


@click.group("clusters")
def clusters_group() -> None:
    """Clusters that the server can reach. (`admin clusters` keeps records of any, on the machine itself.)"""


clusters_group.add_command(apply_command)
clusters_group.add_command(bootstrap_command)
clusters_group.add_command(profiles_command)
clusters_group.add_command(remove_command)


@clusters_group.command("list")
@wide_option
@remote_options
def list_command(endpoint: Endpoint, output: str) -> None:
    """List the clusters; with `-o wide` also the others of the account that trust the same client CA key."""
    with calling(endpoint) as client:
        found = list_clusters(client, detail=True)
    rows = [
        {
            "name": one.name,
            "state": one.state,
            "version": one.current_version,
            "mode": one.mode,
            "access until": _access_of(one),
            "region": one.region_id,
            "id": one.cluster_id,
            "same client CA": ", ".join(one.same_client_ca or ()),
        }
        for one in found
    ]
    more = [] if output == "table" else ["same client CA"]
    columns = [*_COLUMNS, *more]
    print_rows(rows, columns, "table" if output == "wide" else output, empty="No clusters.")


def _access_of(one: ListedCluster) -> str:
    """When this server's access ends, and whether it could not be renewed: `clusters test` says why."""
    return f"{one.own_access_expires_at or ''}{' (not renewed)' if one.own_access_fault else ''}"


@clusters_group.command("add")
@click.argument("kubeconfig", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--in-cluster", is_flag=True, help="The cluster in which this runs, by the ServiceAccount of its Pod.")
@click.option("--context", "contexts", multiple=True, help="The context to use; else the current one. May be repeated.")
@click.option("--all-contexts", is_flag=True, help="Every context of the file, each a cluster.")
@click.option("--name", help="The cluster's name; else that of the context's cluster.")
@click.option("--region", default="", help="Its region; else the account's.")
@click.option("--public-endpoint", default="", metavar="URL", help="Its address in people's kubeconfigs.")
@click.option("--private-endpoint", default="", metavar="URL", help="Its intranet address in people's kubeconfigs.")
@click.option("--api-servers", type=int, help="How many API servers it has; else as many as it says itself.")
@click.option("--replace", is_flag=True, help="Of a cluster that is registered already: replace how it is reached.")
@click.option("--dry-run", is_flag=True, help="Only look at it, and record nothing.")
@remote_options
def add_command(
    endpoint: Endpoint,
    kubeconfig: Path | None,
    in_cluster: bool,
    contexts: tuple[str, ...],
    all_contexts: bool,
    name: str | None,
    region: str,
    public_endpoint: str,
    private_endpoint: str,
    api_servers: int | None,
    replace: bool,
    dry_run: bool,
) -> None:
    """Register the cluster of KUBECONFIG's context, by which the server is to reach it.

    The context needs a token or a client certificate in the file itself, made for this server. The cluster is then only
    observed: nothing is written to it. Exit codes: 0 all is well, 1 something is not, 2 a fault that the text explains.
    """
    if (kubeconfig is None) is not in_cluster:
        raise OperatorError("Say a KUBECONFIG, or --in-cluster.")
    if in_cluster and name is None:
        raise OperatorError("--in-cluster needs --name: a Pod does not know what its cluster is called.")
    if kubeconfig is None:
        text = kubeconfig_of_pod()
    else:
        text = read_bytes(kubeconfig, _LARGEST_KUBECONFIG_BYTES).decode("utf-8", "replace")
    chosen = _choose_contexts(text, str(kubeconfig or "the Pod"), contexts, every=all_contexts)
    if name is not None and len(chosen) > 1:
        raise OperatorError("--name is for one context.")
    well = True
    with calling(endpoint) as client:
        for context, cluster in chosen:
            report = client.register_cluster(
                text,
                name or cluster,
                context=context,
                region_id=region,
                public_endpoint=public_endpoint,
                private_endpoint=private_endpoint,
                declared_api_servers=api_servers,
                replace_access=replace,
                dry_run=dry_run,
            )
            well = tell_report(name or cluster, report) and well
    sys.exit(0 if well else 1)


def _choose_contexts(text: str, source: str, named: Sequence[str], *, every: bool) -> list[tuple[str, str]]:
    """The contexts to use, each with the name of its cluster. Raises OperatorError."""
    document = parse_kubeconfig(text.encode())
    cluster_of = {one.name: one.cluster or one.name for one in document.contexts}
    chosen = [*cluster_of] if every else [*named] or [document.current_context or ""]
    for context in chosen:
        if context not in cluster_of:
            known = ", ".join(cluster_of) or "none"
            raise OperatorError(f"{source} has no context {context!r}; it has {known}.")
    return [(context, cluster_of[context]) for context in chosen]


@clusters_group.command("test")
@click.argument("cluster", required=False)
@click.option("--all", "every", is_flag=True, help="Every cluster that the server can reach.")
@output_option
@remote_options
def test_command(endpoint: Endpoint, cluster: str | None, every: bool, output: str) -> None:
    """Look at CLUSTER (id or name) now, or at --all. Exit codes as of `clusters add`."""
    if (cluster is None) is not every:
        raise OperatorError("Say a cluster, or --all.")
    reports: dict[str, ClusterReportOutput] = {}
    with calling(endpoint) as client:
        for cluster_id, name in [(find_cluster(client, cluster)[0], cluster)] if cluster else _reached(client):
            reports[cluster_id] = client.test_cluster(cluster_id)
            if output == "table":
                tell_report(name, reports[cluster_id])
    if output != "table":
        rows = [
            {"cluster_id": cluster_id, "what": one.what, "ok": one.ok, "text": one.text}
            for cluster_id, report in reports.items()
            for one in report.findings
        ]
        print_rows(rows, ["cluster_id", "what", "ok", "text"], output)
    sys.exit(0 if all(report.ok for report in reports.values()) else 1)


@clusters_group.command("plan")
@click.argument("cluster")
@output_option
@remote_options
def plan_command(endpoint: Endpoint, cluster: str, output: str) -> None:
    """Show every change that managing CLUSTER (id or name) would make, and the plan's hash."""
    with calling(endpoint) as client:
        _tell_plan(client.manage_cluster(find_cluster(client, cluster)[0]), output)


@clusters_group.command("manage")
@click.argument("cluster")
@click.option("--plan", "plan_hash", required=True, metavar="HASH", help="The hash that `clusters plan` told.")
@output_option
@remote_options
def manage_command(endpoint: Endpoint, cluster: str, plan_hash: str, output: str) -> None:
    """Keep the bindings of CLUSTER (id or name) as they are wanted here, beginning with the plan of this hash."""
    with calling(endpoint) as client:
        _tell_plan(client.manage_cluster(find_cluster(client, cluster)[0], plan_hash=plan_hash), output)


@clusters_group.command("observe")
@click.argument("cluster")
@remote_options
def observe_command(endpoint: Endpoint, cluster: str) -> None:
    """Only look at CLUSTER (id or name) from now on: nothing is written to it any more."""
    with calling(endpoint) as client:
        client.manage_cluster(find_cluster(client, cluster)[0], mode="observe")
    say(f"{cluster} is only observed.")


def _tell_plan(plan: ManageClusterOutput, output: str) -> None:
    if output == "json":
        print(to_json(msgspec.to_builtins(plan)))
        return
    if output != "table":
        print_rows(map(msgspec.to_builtins, plan.steps), ["what", "binding", "role", "subjects"], output)
    else:
        tell_plan(plan)
    for warning in plan.warnings:
        note(printable(warning))
    note(f"mode: {plan.mode}  plan: {plan.plan_hash}")


def _reached(client: Client) -> list[tuple[str, str]]:
    """Id and name of each cluster that the server can reach."""
    return [
        (one.cluster_id, one.name)
        for one in list_clusters(client, detail=True)
        if one.mode != "none" and one.state != "deleted"
    ]
