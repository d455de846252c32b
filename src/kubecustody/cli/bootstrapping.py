"""`kubecustody clusters bootstrap` and `profiles`: an account for the server in a cluster, made by an administrator.

The administrator's access is used on their own machine, for as long as the command runs, and kept nowhere.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from kubecustody.cli.as_kubectl import kubeconfig_files, read_admin_context
from kubecustody.cli.cluster_reports import tell_report
from kubecustody.cli.output import note, printable, say
from kubecustody.cli.own_kubeconfigs import own_kubeconfig
from kubecustody.cli.remote import calling, find_endpoint, remote_choices
from kubecustody.cluster.access import Access
from kubecustody.cluster.client import Cluster, Connections
from kubecustody.cluster.errors import ClusterError, StatusError
from kubecustody.core.bindings import MANAGED_BY_LABEL, MANAGER
from kubecustody.core.errors import OperatorError
from kubecustody.core.profiles import (
    OWN_NAME,
    OWN_NAMESPACE,
    OWN_TOKEN_SECONDS,
    Manifest,
    OwnSigner,
    Profile,
    manifests_of,
    nearly_admin,
)
from kubecustody.core.times import format_time

_LONGEST_WAIT_SECONDS = 20
_PAUSE_SECONDS = 0.25


class Choice(NamedTuple):
    """What is to be left in the cluster."""

    profile: Profile
    signer: OwnSigner
    bind_roles: tuple[str, ...]
    namespace: str

    def manifests(self) -> tuple[Manifest, ...]:
        """The objects, in the order in which they are made."""
        return manifests_of(self.profile, self.signer, self.bind_roles, self.namespace)


EVERYTHING = Choice(Profile.FULL, OwnSigner.CSR, (), OWN_NAMESPACE)


def _choose(profile: str, signer: str | None, bind_roles: Sequence[str], namespace: str) -> Choice:
    wanted = Profile(profile)
    default = OwnSigner.CSR if wanted is Profile.FULL else OwnSigner.NONE
    chosen = OwnSigner(signer) if signer else default
    if chosen is OwnSigner.CSR and wanted is not Profile.FULL:
        raise OperatorError(f"--signer csr needs the profile full: with {wanted} nobody gets a certificate.")
    refused = [role for role in bind_roles if role.startswith("system:") or role == "cluster-admin"]
    if refused:
        raise OperatorError(f"{', '.join(refused)} cannot be given by --bind-role: cs:admin stands for all rights.")
    return Choice(wanted, chosen, tuple(bind_roles), namespace)


_profile_option = click.option(
    "--profile",
    type=click.Choice([one.value for one in Profile]),
    default="full",
    show_default=True,
    help="How much the account may do.",
)
_signer_option = click.option(
    "--signer",
    type=click.Choice([one.value for one in OwnSigner]),
    help="What issues: the cluster itself (csr), a CA kept here (ca), nothing; else csr with the profile full.",
)
_bind_option = click.option(
    "--bind-role",
    "bind_roles",
    multiple=True,
    metavar="ROLE",
    help="A ClusterRole that may be granted too. Repeatable.",
)
_namespace_option = click.option(
    "--namespace", default=OWN_NAMESPACE, show_default=True, help="The namespace of the account."
)


@click.command("profiles")
@click.argument("profile", required=False, type=click.Choice([one.value for one in Profile]))
@_signer_option
@_bind_option
@_namespace_option
def profiles_command(profile: str | None, signer: str | None, bind_roles: tuple[str, ...], namespace: str) -> None:
    """Show what the server's own account may do with each PROFILE, and why: as objects of Kubernetes with one."""
    if profile is not None:
        print(format_manifests(_choose(profile, signer, bind_roles, namespace).manifests()), end="")
        return
    for one in Profile:
        say(f"{one}: {nearly_admin(one)}")
    note("`kubecustody clusters profiles PROFILE` shows every right with its reason.")


@click.command("bootstrap")
@click.option("--context", help="The context of an administrator; else the current one.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The administrator's kubeconfig; else the files of KUBECONFIG, else ~/.kube/config.",
)
@click.option("--name", help="The cluster's name; else that of the context's cluster.")
@_profile_option
@_signer_option
@_bind_option
@_namespace_option
@click.option("--server", metavar="URL", help="Where this server reaches the cluster; else as the kubeconfig says.")
@click.option("--region", default="", help="Its region; else the account's.")
@click.option("--public-endpoint", default="", metavar="URL", help="Its address in people's kubeconfigs.")
@click.option("--private-endpoint", default="", metavar="URL", help="Its intranet address in people's kubeconfigs.")
@click.option("--api-servers", type=int, help="How many API servers it has; else as many as it says itself.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made in the cluster.")
@click.option("--print", "only_print", is_flag=True, help="Only print it, for kubectl, and how to go on.")
@remote_choices
def bootstrap_command(
    remote: tuple[str | None, Path | None, Path | None],
    context: str | None,
    kubeconfig: Path | None,
    name: str | None,
    profile: str,
    signer: str | None,
    bind_roles: tuple[str, ...],
    namespace: str,
    server: str | None,
    dry_run: bool,
    only_print: bool,
    **more: Any,
) -> None:
    """Make an account for the server in a cluster, by an administrator's kubeconfig, and register the cluster by it.

    Run it on the administrator's machine. It may be run again: the account's rights are then made as the profile has
    them, and its access is replaced. Exit codes: 0 all is well, 1 something is not, 2 a fault that the text explains.
    """
    choice = _choose(profile, signer, bind_roles, namespace)
    if only_print:
        print(format_manifests(choice.manifests()), end="")
        note(_how_to_go_on(choice))
        return
    endpoint = None if dry_run else find_endpoint(*remote)
    admin = read_admin_context(kubeconfig_files(kubeconfig), context)
    token = asyncio.run(set_up(admin.access, choice, dry_run=dry_run))
    note(nearly_admin(choice.profile))
    if endpoint is None:
        return
    own = own_kubeconfig(admin.access, server or admin.access.endpoint, token)
    called = name or admin.cluster_name
    with calling(endpoint) as client:
        report = client.register_cluster(
            own,
            called,
            replace_access=True,
            region_id=more["region"],
            public_endpoint=more["public_endpoint"],
            private_endpoint=more["private_endpoint"],
            declared_api_servers=more["api_servers"],
        )
    sys.exit(0 if tell_report(called, report) else 1)


async def set_up(admin: Access, choice: Choice, tell: Callable[[str], None] = say, *, dry_run: bool = False) -> str:
    """Leave in the cluster what was chosen; a token of the account, "" with dry_run. Raises OperatorError."""
    # The administrator says where the cluster is, on their own machine.
    async with Connections(allow_loopback=True) as connections:
        cluster = Cluster(connections, admin)
        try:
            for manifest in choice.manifests():
                await _apply(cluster, manifest, tell, dry_run=dry_run)
            if dry_run:
                return ""
            issued = await cluster.request_token(choice.namespace, OWN_NAME, OWN_TOKEN_SECONDS)
            await _wait_for_rights(Cluster(connections, _own_access(admin, issued.token)))
        except ClusterError as error:
            raise OperatorError(f"{error} What was made before stays; the command can be run again.") from error
    tell(f"The server's token ends at {format_time(issued.expires_at)}; it renews it by itself before.")
    return issued.token


async def _apply(cluster: Cluster, manifest: Manifest, tell: Callable[[str], None], *, dry_run: bool) -> None:
    document = manifest.document
    before = await cluster.find_labels(document)
    what = _called(document)
    if before is not None and _is_template(document) and before.get(MANAGED_BY_LABEL) != MANAGER:
        tell(f"{what} is there and somebody else's: it is left as it is.")
        return
    verb = "made" if before is None else "made as it is meant"
    if not dry_run:
        await cluster.apply(document)
    tell(f"{what} {'would be' if dry_run else 'is'} {verb}.")


def _is_template(document: Mapping[str, Any]) -> bool:
    return str(document["metadata"]["name"]).startswith("cs:")


def _called(document: Mapping[str, Any]) -> str:
    within = document["metadata"].get("namespace")
    return f"{document['kind']} {document['metadata']['name']}" + (f" in {within}" if within else "")


async def _wait_for_rights(own: Cluster) -> None:
    """Wait until the cluster knows of the account's rights: it learns of them a moment later."""
    ends = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        try:
            await own.get_kube_system_uid()
            await own.list_bindings()
            await own.list_api_servers()
            return
        except StatusError:
            if time.monotonic() > ends:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


def _own_access(admin: Access, token: str) -> Access:
    return Access(admin.endpoint, admin.server_ca, admin.tls_server_name, token)


# --- as text


def format_manifests(manifests: Sequence[Manifest]) -> str:
    """The objects as YAML, with the reason of each object and rule as a comment."""
    return "".join(f"---\n# {one.reason}\n{_format(one)}" for one in manifests)


def _format(one: Manifest) -> str:
    document = {name: value for name, value in one.document.items() if name != "rules"}
    text = yaml.safe_dump(document, sort_keys=False)
    if "rules" not in one.document:
        return text
    lines = ["rules:"]
    for number, rule in enumerate(one.document["rules"]):
        if one.reasons:
            lines.append(f"# {one.reasons[number]}")
        lines.append(f"- {yaml.safe_dump(rule, default_flow_style=True, sort_keys=False, width=10_000).strip()}")
    return text + "\n".join(lines) + "\n"


def _how_to_go_on(choice: Choice) -> str:
    return printable(
        f"""\
{nearly_admin(choice.profile)}
Apply it with `kubectl apply --server-side -f -`, then make a token and register the cluster by it:
  kubectl -n {choice.namespace} create token {OWN_NAME} --duration 720h
  put it as `token:` of a user into a kubeconfig with the cluster's address and CA, and
  kubecustody clusters add FILE --name NAME""",
        keep="\n",
    )
