"""The audit trail as a proof: whether the chain over an account's events holds, and signed exports of it."""

import asyncio
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.events import Event, first_hash, seal
from kubecustody.core.exports import MOST_FAULTS, Head, end_line, event_line, head_line, seal_line, signed_message
from kubecustody.core.times import format_time
from kubecustody.custody.changes import Author, Change, change, change_within
from kubecustody.custody.installation import Custody, open_installation_secret, seal_installation_secret
from kubecustody.pki.signatures import SEED_BYTES, key_fingerprint, public_pem, sign
from kubecustody.store import auditing, installation
from kubecustody.store.auditing import Seal
from kubecustody.store.events import find_event_at
from kubecustody.store.transactions import Transaction

AUDIT_KEY = "audit-key"
_SEALS_AT_ONCE = 500
_EVENTS_AT_ONCE = 2000


class Verified(NamedTuple):
    """How the chain of an account stands. faults: at most MOST_FAULTS, a sentence each; last_seal: hex."""

    events: int
    seals: int
    last_seal: str
    faults: list[str]


class Exported(NamedTuple):
    """What was written: how many events, from and to which, the digest that was signed and by which key."""

    events: int
    first_event_no: int
    last_event_no: int
    sha256: str
    key: str


class Range(NamedTuple):
    """Which events: recorded at `since` or later, and before `until` (unix seconds); None: without bound."""

    since: int | None = None
    until: int | None = None


async def verify_chain(custody: Custody, account_id: str) -> Verified:
    """Make every seal of the account's events anew and compare it with the one that is stored."""
    end = await _find_end(custody, account_id)
    faults: list[str] = []
    previous, next_no, seals = first_hash(account_id), 1, 0
    async for one, events in _sealed(custody, account_id, 1, end.last_event_no):
        seals += 1
        faults += _faults_of_seal(one, events, next_no, previous)
        previous, next_no = one.hash, one.last_event_no + 1
        if len(faults) >= MOST_FAULTS:
            break
    else:
        if (next_no - 1, previous) != end:
            faults.append(
                f"The account says that its chain ends with event {end.last_event_no}; it ends with {next_no - 1}, or "
                "with another seal: events at the end were dropped or added."
            )
    return Verified(next_no - 1, seals, previous.hex(), faults[:MOST_FAULTS])


def _faults_of_seal(one: Seal, events: list[Event], next_no: int, previous: bytes) -> list[str]:
    wanted = list(range(one.first_event_no, one.last_event_no + 1))
    if one.first_event_no != next_no:
        return [f"Seals do not join: one ends with event {next_no - 1}, the next begins with {one.first_event_no}."]
    if [event.event_no for event in events] != wanted:
        missing = sorted(set(wanted) - {event.event_no for event in events})
        return [f"Missing: event {', '.join(map(str, missing[:5]))}."]
    if seal(previous, events) != one.hash:
        which = f"event {one.first_event_no}"
        if one.last_event_no > one.first_event_no:
            which = f"one of the events {one.first_event_no} to {one.last_event_no}"
        return [f"Changed since it was recorded: {which}, or the seal over it."]
    return []


async def _find_end(custody: Custody, account_id: str) -> auditing.ChainEnd:
    end = await custody.store.read(lambda tx: auditing.find_chain_end(tx, account_id))
    if end is None:
        raise OperatorError(f"There is no account {account_id}. `kubecustody admin accounts list` shows them.")
    return end


async def _sealed(
    custody: Custody, account_id: str, first_no: int, last_no: int
) -> AsyncIterator[tuple[Seal, list[Event]]]:
    """Each seal up to that over the last event, with the events that it covers, as far as they are there."""
    while first_no <= last_no:
        await asyncio.sleep(0)  # reads of the store never yield, and an interrupt must get its turn
        seals = await custody.store.read(partial(_list_seals, account_id, first_no))
        if not seals:
            return
        for one in seals:
            if one.last_event_no > last_no:
                return
            yield one, await _events_under(custody, account_id, one)
        first_no = seals[-1].last_event_no + 1


async def _events_under(custody: Custody, account_id: str, one: Seal) -> list[Event]:
    found: list[Event] = []
    first, last = one.first_event_no, one.last_event_no
    while first <= last:
        await asyncio.sleep(0)
        at_most = min(_EVENTS_AT_ONCE, last - first + 1)
        page = await custody.store.read(partial(_list_events, account_id, first, at_most))
        found += (event for event in page if event.event_no <= last)
        if len(page) < at_most or page[-1].event_no >= last:
            break
        first = page[-1].event_no + 1
    return found


async def _list_seals(account_id: str, event_no: int, tx: Transaction) -> list[Seal]:
    return await auditing.list_seals_from(tx, account_id, event_no, _SEALS_AT_ONCE)


async def _list_events(account_id: str, first_no: int, at_most: int, tx: Transaction) -> list[Event]:
    return await auditing.list_events_from(tx, account_id, first_no, at_most)


# --- the key


async def get_audit_key(custody: Custody, author: Author, now: float) -> bytes:
    """The public half, PEM, of the key that exports are signed with; it is made when it is first wanted."""
    return public_pem(await _get_seed(custody, author, now))


async def _get_seed(custody: Custody, author: Author, now: float) -> bytes:
    found = await custody.store.read(lambda tx: installation.find_installation_secret(tx, AUDIT_KEY))
    if found is None:
        await custody.store.write(lambda tx: _make_key(custody, tx, author, now))
        found = await custody.store.read(lambda tx: installation.find_installation_secret(tx, AUDIT_KEY))
    assert found is not None
    return open_installation_secret(custody.sealer, AUDIT_KEY, found.sealed)


async def _make_key(custody: Custody, tx: Transaction, author: Author, now: float) -> None:
    """Record a new key, unless another process was faster, with an event in every account."""
    if await installation.find_installation_secret(tx, AUDIT_KEY) is not None:
        return
    seed = custody.random_bytes(SEED_BYTES)
    sealed = seal_installation_secret(custody.sealer, AUDIT_KEY, seed)
    await installation.set_installation_secret(tx, AUDIT_KEY, sealed, int(now))

    async def note(unit: Change) -> None:
        unit.record("audit_key_made", details={"key": key_fingerprint(public_pem(seed))})

    for account in await installation.list_accounts(tx):
        await change_within(tx, account.account_id, author, now, note)


# --- exports


async def export_events(
    custody: Custody, account_id: str, author: Author, now: float, *, out: Path, which: Range
) -> Exported:
    """Write the account's events, widened to whole seals, to the new file `out` (mode 0600) and sign them.

    The file has its name once it is whole. Raises OperatorError, and leaves nothing then; what does not hold is not
    signed.
    """
    if os.path.lexists(out):
        raise OperatorError(f"{out} is there already, and no export is ever overwritten. Name a new file.")
    seed = await _get_seed(custody, author, now)
    first, last = await _range(custody, account_id, which)
    scratch = _make_scratch(out)
    try:
        with scratch.open("wb") as file:
            done = await _write(custody, account_id, author, now, file, seed, first, last)
            file.flush()
            os.fsync(file.fileno())
        try:
            out.hardlink_to(scratch)
        except OSError as error:
            raise OperatorError(f"{out} cannot be made: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)

    async def note(unit: Change) -> None:
        unit.record("audit_exported", details={"first": first, "last": last, "sha256": done.sha256, "key": done.key})

    await change(custody.store, account_id, author, now, note)
    return done


def _make_scratch(out: Path) -> Path:
    try:
        handle, name = mkstemp(prefix=f".{out.name}.", dir=out.absolute().parent)
    except OSError as error:
        raise OperatorError(f"{out} cannot be made: {error.strerror}.") from error
    os.close(handle)
    return Path(name)


async def _range(custody: Custody, account_id: str, which: Range) -> tuple[int, int]:
    """The first and the last event, at the borders of seals; the last is before the first where there are none."""

    async def work(tx: Transaction) -> tuple[int, int]:
        end = await auditing.find_chain_end(tx, account_id)
        first, last = 1, end.last_event_no if end else 0
        if which.since is not None:
            first = 1 + await find_event_at(tx, account_id, which.since * 1000 - 1)
        if which.until is not None:
            last = await find_event_at(tx, account_id, which.until * 1000 - 1)
        if first > last:
            return first, first - 1
        begin = await auditing.list_seals_from(tx, account_id, first, 1)
        finish = await auditing.list_seals_from(tx, account_id, last, 1)
        return begin[0].first_event_no if begin else first, finish[0].last_event_no if finish else last

    return await custody.store.read(work)


async def _write(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    file: BinaryIO,
    seed: bytes,
    first: int,
    last: int,
) -> Exported:
    digest = hashlib.sha256()

    def write(line: bytes) -> None:
        digest.update(line)
        file.write(line)

    before = await custody.store.read(lambda tx: auditing.find_seal_before(tx, account_id, first))
    previous, next_no = before or first_hash(account_id), first
    key = key_fingerprint(public_pem(seed))
    head = Head(
        custody.sealer.installation_id,
        account_id,
        first,
        last,
        previous.hex(),
        format_time(int(now)),
        author.actor,
        key,
    )
    write(head_line(head))
    async for one, events in _sealed(custody, account_id, first, last):
        faults = _faults_of_seal(one, events, next_no, previous)
        if faults:
            raise OperatorError(
                f"{faults[0]} What does not hold is not signed. `kubecustody admin audit verify` tells all of it; a "
                "backup from before shows what was there."
            )
        for event in events:
            write(event_line(event))
        write(seal_line(*one))
        previous, next_no = one.hash, one.last_event_no + 1
    if next_no != last + 1:
        raise OperatorError(f"Events after {next_no - 1} are missing. `kubecustody admin audit verify` tells more.")
    signature = b64encode(sign(seed, signed_message(digest.hexdigest()))).decode()
    file.write(end_line(digest.hexdigest(), signature))
    return Exported(last - first + 1, first, last, digest.hexdigest(), key)
