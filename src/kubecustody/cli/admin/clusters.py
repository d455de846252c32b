"""Clusters by their fields."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from kubecustody.cli.machine import Machine, pass_machine, reason_option
from kubecustody.cli.output import note, output_option, print_rows, say
from kubecustody.core.errors import OperatorError
from kubecustody.core.states import ClusterState
from kubecustody.custody import clusters, signers
from kubecustody.custody.clusters import ClusterFields
from kubecustody.pki.issuing import PemPair

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_STATES = [state.value for state in ClusterState if state is not ClusterState.DELETED]

_FIELD_OPTIONS = (
    click.option("--state", "told_state", type=click.Choice(_STATES), help="What you say its state is."),
    click.option("--region", "region_id", help="Region id; the account's unless given."),
    click.option("--client-ca", type=_FILE, help="PEM bundle of the CAs that it trusts for client certificates."),
    click.option("--server-ca", type=_FILE, help="PEM bundle of the CAs that its API servers prove themselves by."),
    click.option("--manage-endpoint", metavar="URL", help="https:// address at which it will be managed."),
    click.option("--public-endpoint", metavar="URL", help="https:// address for kubeconfigs, public."),
    click.option("--private-endpoint", metavar="URL", help="https:// address for kubeconfigs, intranet."),
    click.option("--tls-server-name", help="Name in the API servers' certificate, where it is not the address."),
    click.option("--proxy-url", help="Proxy on the way to it."),
)


def _field_options(command: F) -> F:
    for option in reversed(_FIELD_OPTIONS):
        command = option(command)
    return command


def _fields(name: str | None, client_ca: Path | None, server_ca: Path | None, **others: Any) -> ClusterFields:
    return ClusterFields(
        name=name,
        client_ca=client_ca.read_bytes() if client_ca else None,
        server_ca=server_ca.read_bytes() if server_ca else None,
        **others,
    )


@click.group("clusters")
def clusters_group() -> None:
    """Clusters by their fields."""


@clusters_group.command("list")
@output_option
@pass_machine
def list_clusters_command(machine: Machine, output: str) -> None:
    """List the clusters, in the order of the API."""
    rows = [
        {
            "cluster_id": cluster.cluster_id,
            "name": cluster.name,
            "state": cluster.state,
            "client_ca": f"version {cluster.trust_epoch}" if cluster.trust_epoch else "not known",
        }
        for cluster in machine.look(clusters.list_all_clusters)
    ]
    print_rows(rows, ["cluster_id", "name", "state", "client_ca"], output, empty="No clusters.")


@clusters_group.command("add")
@click.argument("name")
@click.option("--id", "cluster_id", metavar="ID", help="Its id; made up unless given.")
@_field_options
@pass_machine
def add_cluster_command(machine: Machine, name: str, cluster_id: str | None, **options: Any) -> None:
    """Register a cluster; prints its id. Without --client-ca, certificates of it are Unknown."""
    say(machine.change(clusters.add_cluster, _fields(name, **options), cluster_id))


@clusters_group.command("set")
@click.argument("cluster")
@click.option("--name", help="New name.")
@click.option(
    "--attest-on-clean/--no-attest-on-clean",
    default=None,
    help="Mark what is cleaned as removed on your word: you remove it yourself each time.",
)
@_field_options
@pass_machine
def set_cluster_command(
    machine: Machine, cluster: str, name: str | None, attest_on_clean: bool | None, **options: Any
) -> None:
    """Change the fields given of CLUSTER (id or name). A new --client-ca judges every certificate anew."""
    fields = replace(_fields(name, **options), attest_on_clean=attest_on_clean)
    trust = machine.change(clusters.set_cluster, cluster, fields)
    say(f"Changed {cluster}.")
    if trust is not None:
        say(f"Client CA version {trust.epoch} is in force; {trust.judged} certificates were judged by it.")


@clusters_group.command("signer")
@click.argument("cluster")
@click.option("--make-ca", is_flag=True, help="Make a CA here; its key is sealed and never leaves.")
@click.option("--ca", type=_FILE, help="Certificate (PEM) of the CA whose key is imported.")
@click.option("--import-ca-key", type=_FILE, help="Its private key (PEM): whoever holds it can get into the cluster.")
@click.option("--csr", is_flag=True, help="Let the cluster itself sign, while it is managed.")
@click.option("--none", "no_signer", is_flag=True, help="Let nothing issue any more.")
@reason_option
@pass_machine
def signer_command(
    machine: Machine,
    cluster: str,
    make_ca: bool,
    ca: Path | None,
    import_ca_key: Path | None,
    csr: bool,
    no_signer: bool,
    reason: str,
) -> None:
    """Say what issues kubeconfigs for CLUSTER (id or name): --make-ca, --ca with --import-ca-key, --csr, or --none."""
    if [make_ca, csr, no_signer, ca is not None and import_ca_key is not None].count(True) != 1:
        raise OperatorError("Say one of --make-ca, --ca FILE with --import-ca-key FILE, --csr, or --none.")
    if ca is not None and import_ca_key is not None:
        pair = PemPair(ca.read_bytes(), import_ca_key.read_bytes())
        machine.change(signers.import_signer, cluster, pair, reason=reason)
        say(f"That CA issues for {cluster}.")
    elif make_ca:
        made = machine.change(signers.make_signer, cluster, reason=reason)
        print(made.certificate, end="")
        note(f"This CA issues for {cluster}. Add it to the --client-ca-file of its API servers.")
    elif csr:
        machine.change(signers.let_cluster_sign, cluster, reason=reason)
        say(f"{cluster} itself signs, while it is managed.")
    else:
        machine.change(signers.end_signer, cluster, reason=reason)
        say(f"Nothing issues for {cluster}.")


@clusters_group.command("delete")
@click.argument("cluster")
@pass_machine
def delete_cluster_command(machine: Machine, cluster: str) -> None:
    """Mark CLUSTER (id or name) as deleted; it stays listed until it is purged."""
    say(f"{machine.change(clusters.delete_cluster, cluster)} is deleted.")


@clusters_group.command("purge")
@click.argument("cluster")
@reason_option
@pass_machine
def purge_cluster_command(machine: Machine, cluster: str, reason: str) -> None:
    """Take a deleted CLUSTER (id or name) out of the list. Refused while a credential of it may live."""
    say(f"{machine.change(clusters.purge_cluster, cluster, reason=reason)} is purged.")
