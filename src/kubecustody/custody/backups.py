"""Backups: the whole store, encrypted, and the way back.

A backup is an age file around one SQLite file. It never holds the key ring, without which the secrets in it open to
nobody. A store that was restored is in quarantine: what happened since the backup is lost, removals and disabled keys
among it, so nothing is issued, granted or written to clusters until somebody has seen what may be missing, and requests
that were signed before it are refused.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kubecustody import __version__
from kubecustody.core.errors import OperatorError
from kubecustody.core.events import Event
from kubecustody.custody.changes import Author, Change, change_within
from kubecustody.custody.installation import Custody, check_key_ring
from kubecustody.pki.age_files import Opener, Recipients, check_recipients, decrypt_file, encrypt_file
from kubecustody.pki.sealing import KeyRing
from kubecustody.settings import Settings
from kubecustody.store import installation, snapshots
from kubecustody.store.migrations import check_readable, check_schema, migrate_store
from kubecustody.store.principals import list_access_keys
from kubecustody.store.snapshots import StoreFacts
from kubecustody.store.transactions import Transaction

_OBSERVER = "kubecustody:observer"  # what it saw, it sees again


class Backup(NamedTuple):
    """What a backup holds. ring_fault: why the key ring at hand does not open its secrets, "" where it does, None where
    there is none.
    """

    facts: StoreFacts
    size: int
    ring_fault: str | None


class WorkingKey(NamedTuple):
    """An access key that works."""

    account_id: str
    access_key_id: str
    uid: str
    created_at: int


class Doubts(NamedTuple):
    """What may be missing in a restored store.

    live: how many credentials may still get in, by account; missing: what the store that was lost had recorded since.
    """

    backup_made_at: int | None
    restored_at: int | None
    live: dict[str, int]
    keys: list[WorkingKey]
    missing: list[Event]


def make_backup(settings: Settings, recipients: Recipients, out: Path, now: float) -> int:
    """Write the store as it is at this moment, encrypted, to the new file `out` (mode 0600); its size in bytes.

    A server goes on meanwhile. Raises OperatorError, and leaves nothing then.
    """
    check_recipients(recipients)
    if os.path.lexists(out):
        raise OperatorError(f"{out} is there already, and no backup is ever overwritten. Name a new file.")
    check_schema(settings.store_file, __version__)
    with _scratch(out.absolute().parent) as folder:
        copy, sealed = folder / "store", folder / "backup"
        snapshots.copy_store(settings.store_file, copy, int(now))
        with sealed.open("xb") as target:
            encrypt_file(copy, target, recipients)
            target.flush()
            os.fsync(target.fileno())
        sealed.chmod(0o600)
        try:
            out.hardlink_to(sealed)
        except OSError as error:
            raise OperatorError(f"{out} cannot be made: {error.strerror}.") from error
        return sealed.stat().st_size


def verify_backup(path: Path, opener: Opener, ring: KeyRing | None) -> Backup:
    """What the backup holds, after a look at every page of it. Raises OperatorError where it could not be restored."""
    with _opened(path, opener, None) as plain:
        facts, size = _inspect(plain), plain.stat().st_size
    fault = None
    if ring is not None:
        try:
            check_key_ring(ring, facts.installation_id, facts.key_check)
            fault = ""
        except OperatorError as error:
            fault = str(error)
    return Backup(facts, size, fault)


def restore_backup(settings: Settings, path: Path, opener: Opener, ring: KeyRing, now: float) -> StoreFacts:
    """Put the store of a backup in place, in quarantine. Raises OperatorError, and changes nothing then.

    Never over a store that is there, served or not: it may be all that tells what the backup lacks.
    """
    store = settings.store_file
    for taken in (store, *(store.with_name(store.name + part) for part in ("-wal", "-shm"))):
        if os.path.lexists(taken):
            raise OperatorError(
                f"{taken} is there, and a restore never replaces a store. Stop the server, move {store.name} away with "
                "its -wal and -shm files, keep them for `restore --accept --compare`, and run this again."
            )
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(path, opener, settings.data_dir) as plain:
        facts = _inspect(plain)
        try:
            check_key_ring(ring, facts.installation_id, facts.key_check)
        except OperatorError as error:
            raise OperatorError(f"The key ring does not open this backup; nothing was restored. {error}") from error
        migrate_store(plain, int(now))
        snapshots.quarantine_store(plain, int(now))
        snapshots.put_in_place(plain, store)
    return facts


def _inspect(plain: Path) -> StoreFacts:
    facts = snapshots.inspect_store(plain)
    check_readable(plain, __version__)
    return facts


async def find_doubts(custody: Custody, now: float, lost: Path | None) -> Doubts:
    """What may be missing in this store, which was restored. lost: the store that was given up, where it is at hand.

    Raises OperatorError where it was not restored, or was accepted already.
    """

    async def work(tx: Transaction) -> Doubts:
        found = await installation.find_installation(tx)
        if found is None or not found.quarantined:
            raise OperatorError("This store is not in quarantine: there is nothing to accept.")
        live, keys, missing = {}, [], []
        for account in await installation.list_accounts(tx):
            account_id = account.account_id
            live[account_id] = await installation.count_live(tx, account_id, int(now))
            keys += [
                WorkingKey(account_id, key.access_key_id, key.uid, key.created_at)
                for key in await list_access_keys(tx, account_id, None)
                if key.disabled_at is None
            ]
            if lost is not None:
                last = await installation.find_last_event_before(tx, account_id, found.restored_at or 0)
                behind = snapshots.list_events_after(lost, account_id, last)
                missing += [event for event in behind if event.actor != _OBSERVER]
        return Doubts(found.backup_made_at, found.restored_at, live, keys, missing)

    return await custody.store.read(work)


async def accept_restore(custody: Custody, author: Author, now: float) -> None:
    """End the quarantine, with an event in every account. Raises OperatorError where there is none."""

    async def note(unit: Change) -> None:
        unit.record("restore_accepted", details=details)

    details: dict[str, int | None] = {}

    async def work(tx: Transaction) -> None:
        found = await installation.find_installation(tx)
        if found is None or not found.quarantined:
            raise OperatorError("This store is not in quarantine: there is nothing to accept.")
        details.update(backup_made_at=found.backup_made_at, restored_at=found.restored_at, epoch=found.epoch)
        for account in await installation.list_accounts(tx):
            await change_within(tx, account.account_id, author, now, note)
        await installation.end_quarantine(tx)

    await custody.store.write(work)


@contextmanager
def _opened(path: Path, opener: Opener, folder: Path | None) -> Iterator[Path]:
    """The decrypted store, in a folder of its own that is gone afterwards."""
    with _scratch(folder) as scratch:
        plain = scratch / "store"
        with os.fdopen(os.open(plain, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as target:
            decrypt_file(path, target, opener)
        yield plain


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """A folder that only we can enter, below the given one or where temporary files lie; gone afterwards."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".kubecustody-", dir=folder))
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written to: {error.strerror}.") from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
