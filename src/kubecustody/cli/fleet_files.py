"""`kubecustody clusters apply`: the clusters of a file, registered as the file has them.

All of them are recorded, or none (operation ApplyClusters). A cluster that the file does not name is never removed
unless that is asked for. Managing begins with a plan that somebody looked at, whose hash the file then holds: what a
plan changes is changed in the cluster itself, one by one, once everything is recorded.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import click
import yaml

from kubecustody.catalogue.clusters import ListedCluster
from kubecustody.catalogue.registering import AppliedCluster, AppliedClusterInput
from kubecustody.cli.as_kubectl import kubeconfig_files
from kubecustody.cli.cluster_reports import tell_findings, tell_plan
from kubecustody.cli.expectations import compose
from kubecustody.cli.files import read_bytes, read_text
from kubecustody.cli.naming import list_clusters
from kubecustody.cli.output import note, printable, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import Client, Endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.cutting import cut_to_context
from kubecustody.kubeconfig.document import MAX_FILE_BYTES

_MEMBERS = (
    "name",
    "kubeconfig",
    "context",
    "region",
    "public_endpoint",
    "private_endpoint",
    "api_servers",
    "mode",
    "plan",
)
_MODES = ("observe", "manage")
_LARGEST_FILE_BYTES = 1024 * 1024
_LONGEST_CALL_SECONDS = 900


class WantedCluster(NamedTuple):
    """A cluster as the file has it; "" and None for what it does not say. kubeconfig: cut to the context.

    plan: the hash of the plan by which managing may begin.
    """

    place: str
    kubeconfig: str
    name: str
    context: str
    region: str
    public_endpoint: str
    private_endpoint: str
    mode: str
    plan: str
    api_servers: int | None


@click.command("apply")
@click.argument("fleet", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be added and changed.")
@click.option("--prune", is_flag=True, help="Remove the clusters that the file lacks, as of `clusters remove --leave`.")
@click.option("--yes", is_flag=True, help="With --prune: without asking.")
@remote_options
def apply_command(endpoint: Endpoint, fleet: Path, dry_run: bool, prune: bool, yes: bool) -> None:
    """Register the clusters of FLEET (YAML), or change those that are registered already: all of them or none.

    FLEET has a list `clusters`, each with name, and as needed kubeconfig (a file, relative to FLEET; else kubectl's),
    context, region, public_endpoint, private_endpoint, api_servers, mode (observe or manage) and plan (the hash of the
    plan that managing may begin with). Exit codes: 0 all is as the file has it, 1 something is not, or the server
    refuses it, 2 a fault that the text explains.
    """
    wanted = read_fleet(fleet)
    with calling(endpoint, timeout_seconds=_LONGEST_CALL_SECONDS) as client:
        looked = _apply(client, wanted, dry_run=True)
        _check_plans(client, wanted, looked)
        done = looked if dry_run else _apply(client, wanted, dry_run=False)
        well = [_tell(one) for one in done]
        ids = {one.cluster_id for one in done}
        lacking = [one for one in list_clusters(client) if one.state != "deleted" and one.cluster_id not in ids]
        for other in lacking:
            say(f"{printable(other.name)} ({other.cluster_id}) is not in the file.")
        if not dry_run and prune and lacking:
            _prune(client, lacking, yes=yes)
        well += [_manage(client, *pair, dry_run=dry_run) for pair in zip(wanted, done, strict=True)]
    sys.exit(0 if dry_run or all(well) else 1)


def _apply(client: Client, wanted: list[WantedCluster], *, dry_run: bool) -> list[AppliedCluster]:
    asked = [
        AppliedClusterInput(
            one.kubeconfig,
            one.name,
            region_id=one.region,
            public_endpoint=one.public_endpoint,
            private_endpoint=one.private_endpoint,
            declared_api_servers=one.api_servers,
            observe=one.mode == "observe",
        )
        for one in wanted
    ]
    return client.apply_clusters(asked, dry_run=dry_run).clusters


def _tell(one: AppliedCluster) -> bool:
    """Say what became of a cluster; whether all is well."""
    named = printable(one.name) + (f" ({one.cluster_id})" if one.cluster_id else "")
    told = f": {'; '.join(map(printable, one.differences))}" if one.differences else ""
    say(f"{named} is {one.change}{told}.")
    tell_findings(one.findings if one.change != "unchanged" else [each for each in one.findings if not each.ok])
    return one.ok


# --- managing


def _is_to_be_managed(one: WantedCluster, applied: AppliedCluster) -> bool:
    return one.mode == "manage" and applied.mode != "manage"


def _check_plans(client: Client, wanted: list[WantedCluster], looked: list[AppliedCluster]) -> None:
    """Raise OperatorError where a plan of the file is none that would be carried out."""
    faults = []
    for one, applied in zip(wanted, looked, strict=True):
        if one.plan and applied.cluster_id and _is_to_be_managed(one, applied):
            found = client.manage_cluster(applied.cluster_id).plan_hash
            if found != one.plan:
                command = f"kubecustody clusters plan {applied.cluster_id}"
                faults.append(f"{one.place} ({one.name}): the plan is another by now. Look at it: `{command}`.")
    if faults:
        raise OperatorError("Nothing was recorded.\n" + "\n".join(faults))


def _manage(client: Client, one: WantedCluster, applied: AppliedCluster, *, dry_run: bool) -> bool:
    """Begin to manage a cluster by the plan of the file; else show the plan. Whether it is as the file has it."""
    if not _is_to_be_managed(one, applied):
        return True
    name = printable(one.name)
    if not applied.cluster_id:
        note(f"{name} is to be managed: once it is added its plan is shown.")
        return False
    plan = client.manage_cluster(applied.cluster_id)
    if plan.plan_hash == one.plan and not dry_run:
        client.manage_cluster(applied.cluster_id, plan_hash=one.plan)
        say(f"{name} is managed from now on.")
        return True
    say(f"{name} is to be managed. The plan:")
    tell_plan(plan)
    if plan.plan_hash != one.plan:
        command = f"kubecustody clusters manage {applied.cluster_id} --plan {plan.plan_hash}"
        note(f"If that is meant: `{command}`, or `plan: {plan.plan_hash}` in the file.")
    return False


def _prune(client: Client, lacking: list[ListedCluster], *, yes: bool) -> None:
    names = ", ".join(printable(one.name) for one in lacking)
    if not yes:
        click.confirm(f"Remove {names}, and leave what people hold there?", abort=True, err=True)
    for one in lacking:
        told = client.remove_cluster(one.cluster_id, removal="leave")
        say(f"{printable(one.name)} is removed; {told.living_count} credentials live on there.")


# --- the file


def read_fleet(file: Path) -> list[WantedCluster]:
    """The clusters of a file. Raises OperatorError with every fault and its place."""
    root = compose(file, read_text(file, _LARGEST_FILE_BYTES))
    faults: list[str] = []
    wanted = [one for node in _clusters_of(file, root) if (one := _read_cluster(file, node, faults)) is not None]
    names = [one.name for one in wanted]
    faults += [f"{name} is the name of several clusters." for name in dict.fromkeys(names) if names.count(name) > 1]
    if faults:
        raise OperatorError("\n".join([f"{file} is not taken.", *faults]))
    return wanted


def _clusters_of(file: Path, root: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(root, yaml.MappingNode) and len(root.value) == 1:
        ((key, value),) = root.value
        if key.value == "clusters" and isinstance(value, yaml.SequenceNode) and value.value:
            return list(value.value)
    raise OperatorError(f"{file} must have one member, `clusters`: a list with at least one cluster.")


def _read_cluster(file: Path, node: yaml.Node, faults: list[str]) -> WantedCluster | None:
    place = f"line {node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        faults.append(f"{place}: a cluster must be a mapping with its name.")
        return None
    before = len(faults)
    members: dict[str, str] = {}
    for key, value in node.value:
        where = f"line {key.start_mark.line + 1}"
        if key.value not in _MEMBERS or not isinstance(value, yaml.ScalarNode):
            faults.append(
                f"{where}: {printable(str(key.value))[:40]!r} is none of {', '.join(_MEMBERS)} with a plain value."
            )
        elif key.value in members:
            faults.append(f"{where}: {key.value} stands twice.")
        else:
            members[key.value] = value.value
    if not members.get("name"):
        faults.append(f"{place}: the cluster has no name.")
    if members.get("mode", "observe") not in _MODES:
        faults.append(f"{place}: mode must be observe or manage.")
    if members.get("plan") and members.get("mode") != "manage":
        faults.append(f"{place}: plan is for mode manage.")
    servers = members.get("api_servers")
    if servers is not None and not (servers.isascii() and servers.isdecimal() and 1 <= int(servers) <= 100):
        faults.append(f"{place}: api_servers must be a number from 1 to 100.")
    if len(faults) > before:
        return None
    return WantedCluster(
        place,
        _read_kubeconfig(file, place, members, faults),
        members["name"],
        members.get("context", ""),
        members.get("region", ""),
        members.get("public_endpoint", ""),
        members.get("private_endpoint", ""),
        members.get("mode", ""),
        members.get("plan", ""),
        int(servers) if servers else None,
    )


def _read_kubeconfig(file: Path, place: str, members: dict[str, str], faults: list[str]) -> str:
    named = members.get("kubeconfig")
    try:
        (path, *_) = [file.absolute().parent / named] if named else kubeconfig_files(None)
        return cut_to_context(read_bytes(path, MAX_FILE_BYTES), members.get("context", ""))
    except OperatorError as error:
        faults.append(f"{place}: its kubeconfig: {error}")
        return ""
