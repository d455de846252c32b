"""`kubecustody get kubeconfig`: one's own kubeconfig, to a file of its own or into the one that kubectl reads."""

import os
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from kubecustody.cli.naming import find_cluster
from kubecustody.cli.output import check_can_tell_secret, note, printable
from kubecustody.cli.remote import remote_options
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.merging import (
    diff_lines,
    find_current_context,
    follow_links,
    merge_kubeconfig,
    read_existing,
    write_private,
)
from kubecustody.kubeconfig.rendering import add_private_key
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.client_certificates import KeyType, format_private_key, make_key

_STANDARD_OUTPUT = Path("-")


@click.group("get")
def get_group() -> None:
    """Get what is one's own."""


@get_group.command("kubeconfig")
@click.argument("cluster")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write (mode 0600; one that is there is kept beside it); `-`: standard output, also into a pipe.",
)
@click.option("--merge", is_flag=True, help="Merge it into the file that kubectl reads, a backup beside it.")
@click.option(
    "--kubeconfig",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to merge into; else the first of KUBECONFIG, else ~/.kube/config.",
)
@click.option(
    "--dry-run", is_flag=True, help="With --merge: show what would change, secrets masked, and change no file."
)
@click.option(
    "--local-key",
    is_flag=True,
    help="Make the private key on this machine, where it stays: the server sees a certificate request.",
)
@click.option("--private-address", is_flag=True, help="The cluster's intranet address instead of the public one.")
@click.option("--minutes", type=int, help="A temporary one that lives so long (15 to 4320).")
@remote_options
def get_kubeconfig_command(
    endpoint: Endpoint,
    cluster: str,
    out: Path | None,
    merge: bool,
    target: Path | None,
    dry_run: bool,
    local_key: bool,
    private_address: bool,
    minutes: int | None,
) -> None:
    """Get one's own kubeconfig of CLUSTER (id or name).

    Exit codes: 0 done, 1 the server answered an error, 2 a fault that the text explains.
    """
    _check_options(out, target, merge=merge, dry_run=dry_run, local_key=local_key)
    place = _merge_target(target) if merge else out
    # Before anything is issued: what can be seen now need not lose a key then.
    existing = read_existing(place) if merge and place else ""
    diff_lines(existing, existing)  # refuses what cannot be read
    if place and place != _STANDARD_OUTPUT and not dry_run:
        _check_folder(place)
    listed = True
    try:
        with Client(endpoint) as client:
            cluster_id, listed = find_cluster(client, cluster)
            text, expiration = _fetch(
                client, cluster_id, local_key=local_key, private_address=private_address, minutes=minutes
            )
    except ApiError as error:
        note(str(error))
        if error.code == "ErrorClusterNotFound" and not listed:
            note("You may not list clusters, so that a name is not found here: say the cluster's id.")
        sys.exit(1)
    if merge and place:
        try:
            _merge(place, existing, text, dry_run=dry_run)
        except OperatorError as refused:
            if local_key:
                raise _kept_beside(place, text, refused) from refused
            raise
    else:
        _write(place, text)
    if not dry_run:
        note(f"It is valid until {expiration}.")


def _check_options(out: Path | None, target: Path | None, *, merge: bool, dry_run: bool, local_key: bool) -> None:
    if merge and out:
        raise OperatorError("Say either --out or --merge.")
    if (dry_run or target) and not merge:
        raise OperatorError("--dry-run and --kubeconfig go with --merge.")
    if dry_run and local_key:
        raise OperatorError("--dry-run with --local-key would have a certificate issued whose key is thrown away.")
    if not merge and out is None:
        check_can_tell_secret(out)


def _check_folder(place: Path) -> None:
    """Raise OperatorError where the file could not be written."""
    try:
        above = next(path for path in follow_links(place).parents if path.exists())
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OperatorError(f"{place} cannot be written: {error.strerror}. Name another file.") from error


def _merge_target(target: Path | None) -> Path:
    """Where kubectl would write it: of several files the first that there is, else the last.

    kubernetes.io/docs/reference/kubectl/generated/kubectl_config, read 2026-11-24.
    """
    if target is not None:
        return target
    named = _named_files()
    if not named:
        return Path.home() / ".kube" / "config"
    return next(filter(_is_there, named), named[-1])


def _named_files() -> list[Path]:
    return [Path(name) for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]


def _current_elsewhere(target: Path) -> str | None:
    """The current context that kubectl takes from another file than this, which it reads too."""
    named = _named_files()
    if target not in named:
        return None
    for path in named:
        with suppress(OperatorError):  # kubectl will say what is the matter with that file
            if path != target and (current := find_current_context(read_existing(path))):
                return current
    return None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # behind a folder that is closed to us
        return False


def _fetch(
    client: Client, cluster_id: str, *, local_key: bool, private_address: bool, minutes: int | None
) -> tuple[str, str]:
    """The kubeconfig, and when its certificate ends."""
    if not local_key:
        answer = client.describe_cluster_user_kubeconfig(
            cluster_id, private_ip_address=private_address, temporary_duration_minutes=minutes
        )
        return answer.config, answer.expiration
    key = make_key(KeyType.P256)
    issued = client.issue_credential(
        cluster_id,
        make_certificate_request(key),
        private_ip_address=private_address,
        temporary_duration_minutes=minutes,
    )
    return add_private_key(issued.config, format_private_key(key)), issued.expiration


def _merge(target: Path, existing: str, incoming: str, *, dry_run: bool) -> None:
    merged = merge_kubeconfig(existing, incoming, current_elsewhere=_current_elsewhere(target))
    if dry_run:
        for line in diff_lines(existing, merged.text):
            click.echo(printable(line.rstrip("\r\n")))
        return
    if merged.text == existing:
        note(f"{target} holds it already.")
        return
    backup = write_private(target, merged.text, backup=True, now=datetime.now(UTC), expected=existing)
    for change in merged.changes:
        note(change)
    note(f"Merged into {target}." + (f" The file before is {backup}." if backup else ""))


def _kept_beside(place: Path, text: str, refused: OperatorError) -> OperatorError:
    """A fault that also says where the new kubeconfig is: its key is nowhere else."""
    beside = place.resolve().with_name(f"{place.name}.new-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    write_private(beside, text, backup=True, now=datetime.now(UTC))
    return OperatorError(f"{refused} The new kubeconfig, with its key, is in {beside}.")


def _write(out: Path | None, text: str) -> None:
    if out is None or out == _STANDARD_OUTPUT:
        click.echo(printable(text, keep="\n") if sys.stdout.isatty() else text, nl=False)
        return
    write_private(out, text, backup=True, now=datetime.now(UTC))
    note(f"Wrote {out}.")
