"""`kubecustody clusters apply`: the clusters of a file, registered as the file has them.

Nothing is recorded unless every cluster of the file answers and can be recorded; then they are, one by one. A cluster
that the file does not name is never removed unless that is asked for.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import yaml

from kubecustody.catalogue.clusters import ListedCluster
from kubecustody.catalogue.registering import ClusterReportOutput
from kubecustody.cli.as_kubectl import kubeconfig_files
from kubecustody.cli.cluster_reports import tell_report
from kubecustody.cli.expectations import compose
from kubecustody.cli.naming import list_clusters
from kubecustody.cli.output import note, printable, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.core.errors import OperatorError

_MEMBERS = (
    "name",
    "kubeconfig",
    "context",
    "region",
    "public_endpoint",
    "private_endpoint",
    "api_servers",
    "mode",
)
_MODES = ("observe", "manage")
_LARGEST_FILE_BYTES = 1024 * 1024


class WantedCluster(NamedTuple):
    """A cluster as the file has it; "" and None for what it does not say."""

    place: str
    kubeconfig: str
    name: str
    context: str
    region: str
    public_endpoint: str
    private_endpoint: str
    mode: str
    api_servers: int | None


@click.command("apply")
@click.argument("fleet", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be added and changed.")
@click.option("--prune", is_flag=True, help="Remove the clusters that the file lacks, as of `clusters remove --leave`.")
@click.option("--yes", is_flag=True, help="With --prune: without asking.")
@remote_options
def apply_command(endpoint: Endpoint, fleet: Path, dry_run: bool, prune: bool, yes: bool) -> None:
    """Register the clusters of FLEET (YAML), or change those that are registered already.

    FLEET has a list `clusters`, each with name, and as needed kubeconfig (a file, relative to FLEET; else kubectl's),
    context, region, public_endpoint, private_endpoint, api_servers and mode (observe or manage). Exit codes: 0 all is
    as the file has it, 1 something is not, 2 a fault that the text explains.
    """
    wanted = read_fleet(fleet)
    with calling(endpoint) as client:
        known = {one.cluster_id: one for one in list_clusters(client, detail=True) if one.state != "deleted"}
        found = _look_at_all(client, wanted)
        for one, cluster_id in zip(wanted, found, strict=True):
            _tell_change(one, known.get(cluster_id))
        lacking = [one for cluster_id, one in known.items() if cluster_id not in found]
        for other in lacking:
            say(f"{printable(other.name)} ({other.cluster_id}) is not in the file.")
        if dry_run:
            return
        well = [_apply(client, one) for one in wanted]
        if prune and lacking:
            _prune(client, lacking, yes=yes)
    sys.exit(0 if all(well) else 1)


def _look_at_all(client: Client, wanted: list[WantedCluster]) -> list[str]:
    """The id of each cluster of the file that is registered already, "" of any other. Raises OperatorError."""
    found, faults = [], []
    for one in wanted:
        try:
            found.append(_register(client, one, dry_run=True).cluster_id)
        except ApiError as error:
            faults.append(f"{one.place} ({one.name}): {error}")
    doubled = {cluster_id for cluster_id in found if cluster_id and found.count(cluster_id) > 1}
    faults += [f"Several clusters of the file are one and the same: {cluster_id}." for cluster_id in sorted(doubled)]
    if faults:
        raise OperatorError("Nothing was recorded.\n" + "\n".join(faults))
    return found


def _register(client: Client, one: WantedCluster, *, dry_run: bool) -> ClusterReportOutput:
    return client.register_cluster(
        one.kubeconfig,
        one.name,
        context=one.context,
        region_id=one.region,
        public_endpoint=one.public_endpoint,
        private_endpoint=one.private_endpoint,
        declared_api_servers=one.api_servers,
        replace_access=True,
        replace_fields=True,
        dry_run=dry_run,
    )


def _apply(client: Client, one: WantedCluster) -> bool:
    report = _register(client, one, dry_run=False)
    return tell_report(one.name, report)


def _tell_change(one: WantedCluster, before: ListedCluster | None) -> None:
    if before is None:
        say(f"{printable(one.name)} is added.")
    else:
        changed = [one for one in _changes(one, before) if one[2] not in ("", one[1])]
        told = "; ".join(f"{what} {old or '(none)'} -> {new}" for what, old, new in changed)
        told = told or "nothing but its access, if that is another"
        say(printable(f"{one.name} ({before.cluster_id}) is changed: {told}."))
    mode = before.mode if before is not None else "observe"
    if one.mode and one.mode != mode:
        command = "plan" if one.mode == "manage" else "observe"
        note(printable(f"{one.name} is to be in mode {one.mode}: `kubecustody clusters {command} ID` says how."))


def _changes(one: WantedCluster, before: ListedCluster) -> Iterator[tuple[str, str, str]]:
    addresses = json.loads(before.master_url)
    yield "name", before.name, one.name
    yield "region", before.region_id, one.region
    yield "public_endpoint", addresses.get("api_server_endpoint", ""), one.public_endpoint
    yield "private_endpoint", addresses.get("intranet_api_server_endpoint", ""), one.private_endpoint


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
    if file.stat().st_size > _LARGEST_FILE_BYTES:
        raise OperatorError(f"{file} is larger than {_LARGEST_FILE_BYTES} bytes.")
    try:
        root = compose(file, file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise OperatorError(f"{file} cannot be read as UTF-8.") from None
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
        int(servers) if servers else None,
    )


def _read_kubeconfig(file: Path, place: str, members: dict[str, str], faults: list[str]) -> str:
    named = members.get("kubeconfig")
    try:
        (path, *_) = [file.absolute().parent / named] if named else kubeconfig_files(None)
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, OperatorError) as error:
        faults.append(f"{place}: its kubeconfig cannot be read: {error}")
        return ""
