"""Credentials: importing what people hold already, listing it, and attesting its removal."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kubecustody.cli.machine import Machine, pass_machine, reason_option
from kubecustody.cli.output import console, note, output_option, print_rows, say, time_or_none
from kubecustody.core.errors import OperatorError
from kubecustody.custody import imports, removals
from kubecustody.custody.imports import ImportRow, Outcome
from kubecustody.custody.removals import AttestedRow, Selection
from kubecustody.kubeconfig.candidates import Candidate, read_candidates

F = TypeVar("F", bound=Callable[..., Any])

_LARGEST_FILE_BYTES = 1024 * 1024
_TAKEN_AT_ONCE = 200

_IMPORT_COLUMNS = ["file", "outcome", "holder", "state", "common_name", "remarks"]


@click.group("credentials")
def credentials_group() -> None:
    """What people hold: client certificates, from kubeconfigs and certificate files."""


@credentials_group.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--cluster", required=True, metavar="CLUSTER", help="Id or name of the cluster that they are for.")
@click.option("--holder", metavar="WHO", help="Whose they are (uid, name or e-mail), where the CN does not say so.")
@click.option("--keep-private-keys", is_flag=True, help="Keep the private keys too, sealed. Never done unasked.")
@output_option
@pass_machine
def import_command(
    machine: Machine, paths: tuple[Path, ...], cluster: str, holder: str | None, keep_private_keys: bool, output: str
) -> None:
    """Take kubeconfigs and certificates (PEM, DER, base64), or every file of a folder.

    Private keys are not kept. Importing the same again changes nothing. Exit code 1: something was refused.
    """
    files = list(_files(paths))
    rows: list[ImportRow] = []
    try:
        _import_all(machine, files, rows, cluster, holder, keep_private_keys=keep_private_keys)
    finally:
        if rows or not files:
            _report(rows, output)
    if any(row.outcome is Outcome.REFUSED for row in rows):
        raise SystemExit(1)


def _import_all(
    machine: Machine,
    files: Sequence[Path],
    rows: list[ImportRow],
    cluster: str,
    holder: str | None,
    *,
    keep_private_keys: bool,
) -> None:
    """Import the files in batches, each a change of its own; `rows` has those of every batch that was taken."""
    with Progress(
        TextColumn("Importing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(files))
        for batch in _batches(files):
            rows += machine.change(
                imports.import_credentials,
                batch,
                which_cluster=cluster,
                holder=holder,
                keep_private_keys=keep_private_keys,
            )
            progress.update(task, completed=min(len(files), progress.tasks[task].completed + _TAKEN_AT_ONCE))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Every file named or in a folder named, by name; links to folders are not followed."""
    for path in paths:
        if not path.exists():
            raise OperatorError(f"There is no file or folder {path}; nothing was imported.")
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder) / name for name in sorted(names))


def _batches(files: Sequence[Path]) -> Iterator[list[Candidate]]:
    for start in range(0, len(files), _TAKEN_AT_ONCE):
        yield [one for file in files[start : start + _TAKEN_AT_ONCE] for one in _read(file)]


def _read(file: Path) -> list[Candidate]:
    try:
        if not file.is_file():
            return [Candidate(str(file), refusal="It is not a regular file.")]
        with file.open("rb") as stream:
            return read_candidates(stream.read(_LARGEST_FILE_BYTES + 1), str(file))
    except OSError as error:
        return [Candidate(str(file), refusal=f"It cannot be read: {error.strerror}.")]


def _report(rows: Sequence[ImportRow], output: str) -> None:
    listed = [
        {
            "file": row.label,
            "outcome": row.outcome,
            "holder": row.uid or None,
            "state": row.state or None,
            "common_name": row.common_name or None,
            "fingerprint": row.fingerprint or None,
            "remarks": list(row.remarks),
        }
        for row in rows
    ]
    print_rows(listed, _IMPORT_COLUMNS, output, empty="No files.")
    counts = {outcome: sum(row.outcome is outcome for row in rows) for outcome in Outcome}
    note(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


@credentials_group.command("assign")
@click.option("--cluster", required=True, metavar="CLUSTER", help="Id or name.")
@click.option("--fingerprint", required=True, metavar="HEX", help="SHA-256 of the DER certificate.")
@click.option("--holder", required=True, metavar="WHO", help="Whose it is (uid, name or e-mail).")
@reason_option
@pass_machine
def assign_command(machine: Machine, cluster: str, fingerprint: str, holder: str, reason: str) -> None:
    """Say whose an imported credential is, where that was told wrongly or not at all."""
    uid = machine.change(
        imports.assign_holder, which_cluster=cluster, fingerprint=fingerprint, holder=holder, reason=reason
    )
    say(f"It is {uid}'s.")


@credentials_group.command("list")
@click.option("--cluster", required=True, metavar="CLUSTER", help="Id or name.")
@output_option
@pass_machine
def list_command(machine: Machine, cluster: str, output: str) -> None:
    """List the credentials of a cluster, each with its own state."""
    rows = [
        {
            "holder": row.uid or None,
            "state": row.state,
            "not_after": time_or_none(row.not_after),
            "common_name": row.common_name,
            "fingerprint": row.fingerprint,
        }
        for row in machine.look(imports.list_credentials, cluster, time.time())
    ]
    columns = ["holder", "state", "not_after", "common_name", "fingerprint"]
    print_rows(rows, columns, output, empty="No credentials of this cluster are known.")


# --- removals


@click.group("removals")
def removals_group() -> None:
    """Removal on your word, for clusters that cannot be reached: shown as attested, never as proved."""


_SELECTION_OPTIONS = (
    click.option("--cluster", required=True, metavar="CLUSTER", help="Id or name."),
    click.option("--fingerprint", metavar="HEX", help="SHA-256 of the DER certificate."),
    click.option("--serial", metavar="HEX", help="Serial number of the certificate."),
    click.option("--user", "--role", "user", metavar="WHO", help="Every one of this holder (uid, name, e-mail)."),
    reason_option,
    output_option,
)


def _selection_options(command: F) -> F:
    for option in reversed(_SELECTION_OPTIONS):
        command = option(command)
    return command


@removals_group.command("attest")
@_selection_options
@pass_machine
def attest_command(machine: Machine, **options: Any) -> None:
    """Say that credentials are powerless, and why. They are listed as Removed from then on."""
    _change_attestation(machine, removals.attest_removal, **options)


@removals_group.command("withdraw")
@_selection_options
@pass_machine
def withdraw_command(machine: Machine, **options: Any) -> None:
    """Take an attestation back: the credential is again what its certificate says."""
    _change_attestation(machine, removals.withdraw_attestation, **options)


def _change_attestation(
    machine: Machine,
    use_case: Callable[..., Awaitable[list[AttestedRow]]],
    *,
    cluster: str,
    reason: str,
    output: str,
    **selected: str | None,
) -> None:
    rows = machine.change(use_case, which_cluster=cluster, selection=Selection(**selected), reason=reason)
    listed = [
        {"fingerprint": row.fingerprint, "holder": row.uid or None, "changed": row.changed, "remark": row.remark}
        for row in rows
    ]
    print_rows(listed, ["fingerprint", "holder", "changed", "remark"], output)
