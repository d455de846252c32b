"""Backups of the store, the way back from them, and bringing it to a newer schema."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from kubecustody.cli.files import read_bytes
from kubecustody.cli.machine import Machine, actor, pass_machine
from kubecustody.cli.output import note, output_option, print_rows, say, time_or_none, to_json
from kubecustody.cli.stopping import stopped_tidily
from kubecustody.core.errors import OperatorError
from kubecustody.custody.backups import (
    Backup,
    Doubts,
    accept_restore,
    find_doubts,
    make_backup,
    restore_backup,
    verify_backup,
)
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody
from kubecustody.pki.age_files import Opener, Recipients
from kubecustody.pki.sealing import KeyRing, KeyRingUnusable, load_key_ring
from kubecustody.settings import Settings
from kubecustody.store.migrations import is_migration_due, migrate_store
from kubecustody.store.snapshots import copy_store
from kubecustody.store.sqlite import check_private

_LARGEST_SECRET_FILE = 64 * 1024

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File whose first line is the passphrase (mode 0600).",
)
identity_option = click.option(
    "--identity",
    type=click.Path(path_type=Path),
    help="File with the private key: of age (`age-keygen`), or of OpenSSH without a passphrase.",
)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="PUBLIC_KEY",
    help="Public key to encrypt to: `age1...`, or a line of an OpenSSH .pub file. May be repeated.",
)
@passphrase_option
@pass_machine
def backup_command(machine: Machine, file: Path, recipients: tuple[str, ...], passphrase_file: Path | None) -> None:
    """Write the store, encrypted, to the new FILE; a running server goes on.

    The key ring is not in it: back that up apart, or the secrets in the backup open to nobody. FILE is of the age
    format and holds one SQLite file.
    """
    settings = machine.settings
    check_private(settings.store_file)
    with stopped_tidily():
        size = make_backup(settings, Recipients(recipients, _passphrase(passphrase_file)), file, time.time())
    say(f"Wrote {file} ({size:,} bytes). The key ring {settings.key_ring_file} is not in it.")


@click.command("verify-backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@identity_option
@passphrase_option
@output_option
@pass_machine
def verify_backup_command(
    machine: Machine, file: Path, identity: Path | None, passphrase_file: Path | None, output: str
) -> None:
    """Open the backup FILE and look at every page of it.

    Exit codes: 0 it could be restored here, 1 it is whole and the key ring at hand does not open it, 2 it is not whole.
    """
    with stopped_tidily():
        backup = verify_backup(file, _opener(identity, passphrase_file), _ring_at_hand(machine.settings))
    if output == "json":
        print(to_json(_told(backup)))
    else:
        facts = backup.facts
        say(f"{file} is whole: the store of installation {facts.installation_id}, schema {facts.schema},")
        say(f"as it was at {time_or_none(facts.backup_made_at) or 'an unknown time'}.")
        for account_id, number in facts.last_events.items():
            say(f"Account {account_id}: {number} events.")
        say(_ring_text(backup))
    if backup.ring_fault:
        sys.exit(1)


def _told(backup: Backup) -> dict[str, object]:
    facts = backup.facts
    return {
        "installation_id": facts.installation_id,
        "schema": facts.schema,
        "made_at": time_or_none(facts.backup_made_at),
        "last_events": facts.last_events,
        "store_bytes": backup.size,
        "key_ring_opens_it": None if backup.ring_fault is None else not backup.ring_fault,
    }


def _ring_text(backup: Backup) -> str:
    if backup.ring_fault is None:
        return "There is no key ring here; without the one of that installation its secrets open to nobody."
    if backup.ring_fault:
        return f"The key ring at hand does not open its secrets. {backup.ring_fault}"
    return "The key ring at hand opens its secrets."


@click.command("restore")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@identity_option
@passphrase_option
@click.option("--accept", is_flag=True, help="End the quarantine of the restored store.")
@click.option(
    "--compare",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --accept: the store that was given up; what it recorded since the backup is listed, as far as it can "
    "be read.",
)
@click.option("--reason", help="With --accept: why; it is kept with the event.")
@click.option("--yes", is_flag=True, help="With --accept: do not ask.")
@output_option
@pass_machine
def restore_command(
    machine: Machine,
    file: Path | None,
    identity: Path | None,
    passphrase_file: Path | None,
    accept: bool,
    compare: Path | None,
    reason: str | None,
    yes: bool,
    output: str,
) -> None:
    """Put the store of the backup FILE in place, in quarantine; then, with --accept, take it for good.

    In quarantine the server reads and removes; it issues, grants and changes nothing, writes to no cluster, and refuses
    what was signed before the restore.
    """
    if accept:
        if file is not None:
            raise OperatorError("Restore first: `restore FILE`. `restore --accept` comes after that, without FILE.")
        if not reason:
            raise OperatorError("Say why the restored store may be used: --reason WHY.")
        _accept(machine, compare, reason, yes=yes, output=output)
        return
    if file is None:
        raise OperatorError("Say which backup to restore: `restore FILE`; or --accept what was restored.")
    settings = machine.settings
    ring = load_key_ring(settings.key_ring_file, os.environ.get("KUBECUSTODY_KEY_RING"))
    with stopped_tidily():
        facts = restore_backup(settings, file, _opener(identity, passphrase_file), ring, time.time())
    say(f"Restored {settings.store_file} as it was at {time_or_none(facts.backup_made_at)}, in quarantine.")
    say("Next: `kubecustody serve`, and `kubecustody admin restore --accept --reason WHY` once you saw what it lists.")
    if settings.tls == "on" and not settings.tls_certificate_file.is_file():
        note(f"{settings.tls_certificate_file} is not here: TLS files are not in a backup. Bring the folder tls back.")


def _accept(machine: Machine, lost: Path | None, reason: str, *, yes: bool, output: str) -> None:
    async def look(custody: Custody) -> Doubts:
        return await find_doubts(custody, time.time(), lost)

    async def end(custody: Custody) -> None:
        await accept_restore(custody, Author(actor(), reason=reason), time.time())

    doubts = machine.run(look)
    _tell_doubts(doubts, compared=lost is not None, output=output)
    if not yes:
        if not sys.stdin.isatty():
            raise OperatorError("Nobody is here to ask: say --yes once you have looked at what is listed.")
        click.confirm("Is the restored store to be used from now on?", abort=True, err=True)
    machine.run(end)
    note("The quarantine is over.")


def _tell_doubts(doubts: Doubts, *, compared: bool, output: str) -> None:
    events = [
        {
            "account_id": event.account_id,
            "at": time_or_none(event.recorded_at_ms // 1000),
            "kind": event.kind,
            "uid": event.uid,
            "cluster": event.cluster_seq or None,
            "subject": event.subject,
            "actor": event.actor,
            "reason": event.reason,
        }
        for event in doubts.missing
    ]
    keys = [{**key._asdict(), "created_at": time_or_none(key.created_at)} for key in doubts.keys]
    since, until = time_or_none(doubts.backup_made_at), time_or_none(doubts.restored_at)
    if output == "json":
        told = {"backup_made_at": since, "restored_at": until, "live_credentials": doubts.live}
        print(to_json({**told, "working_keys": keys, "missing_events": events if compared else None}))
        return
    say(f"Missing is whatever happened between {since} (the backup) and {until} (the restore).\n")
    if compared:
        say("What the store that was given up had recorded since then:")
        print_rows(events, ["account_id", "at", "kind", "uid", "cluster", "subject", "actor", "reason"], "table")
    else:
        say("Removals: the list takes these for alive, and some may have been asked to be removed since. For clusters")
        say("that are managed `kubecustody clusters plan` shows which bindings differ; ask again for what was removed.")
        for account_id, count in doubts.live.items():
            say(f"  account {account_id}: {count} credentials")
        say("Issues: certificates that were issued since are not listed here, and live until they end.")
        say("`clusters plan` names the bindings of such; unbind them there.")
        say("The store that was given up tells all of it, if it can be read: --compare FILE.")
    say("\nAccess keys that work; what was disabled since the backup works again:")
    print_rows(keys, ["account_id", "access_key_id", "uid", "created_at"], "table")


@click.command("migrate")
@pass_machine
def migrate_command(machine: Machine) -> None:
    """Bring the store to the schema of this program. It is copied beside itself before."""
    path, now = machine.settings.store_file, time.time()
    check_private(path)
    if not is_migration_due(path):
        say("The schema is up to date.")
        return
    copy = path.with_name(f"{path.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}")
    copy_store(path, copy, int(now))
    say(f"Copied the store to {copy}. Remove it when all is well; its secrets are sealed as in the store.")
    say("\n".join(f"Applied {one.version:04} {one.name}" for one in migrate_store(path, int(now))))


def _opener(identity: Path | None, passphrase_file: Path | None) -> Opener:
    if (identity is None) == (passphrase_file is None):
        raise OperatorError("Say what opens the backup: either --identity FILE or --passphrase-file FILE.")
    return Opener(_secret_text(identity) if identity else None, _passphrase(passphrase_file))


def _passphrase(path: Path | None) -> str | None:
    if path is None:
        return None
    lines = _secret_text(path).splitlines()
    if not lines or not lines[0]:
        raise OperatorError(f"The first line of {path} is empty; it must be the passphrase.")
    return lines[0]


def _secret_text(path: Path) -> str:
    """The text of a file that holds a secret; a pipe will do (`<(pass show ...)`)."""
    try:
        return read_bytes(path, _LARGEST_SECRET_FILE).decode()
    except UnicodeDecodeError:
        raise OperatorError(f"{path} is not text.") from None


def _ring_at_hand(settings: Settings) -> KeyRing | None:
    if not settings.key_ring_file.exists() and "KUBECUSTODY_KEY_RING" not in os.environ:
        return None
    try:
        return load_key_ring(settings.key_ring_file, os.environ.get("KUBECUSTODY_KEY_RING"))
    except KeyRingUnusable as error:
        note(str(error))
        return None
