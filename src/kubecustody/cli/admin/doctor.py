"""`kubecustody admin doctor`: what is wrong with this installation, each finding with its cure."""

import os
import shutil
import ssl
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
from cryptography.x509 import ExtensionNotFound

from kubecustody import __version__
from kubecustody.cli.machine import Machine, actor, pass_machine
from kubecustody.cli.output import output_option, print_rows
from kubecustody.cli.remote import find_endpoint
from kubecustody.client import ApiError, CallFailed, Client
from kubecustody.core.errors import CustodyError, OperatorError
from kubecustody.core.times import format_time
from kubecustody.custody.books import check_books, repair_books
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, check_key_ring, list_accounts
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.sealing import load_key_ring
from kubecustody.pki.tls import hosts_of
from kubecustody.settings import Settings
from kubecustody.store.books import find_newest_event_time
from kubecustody.store.migrations import check_schema
from kubecustody.store.snapshots import StoreFacts, inspect_store
from kubecustody.store.sqlite import check_private
from kubecustody.store.transactions import Transaction

_LEAST_FREE_BYTES = 512 * 1024 * 1024
_CLOCK_GRACE_SECONDS = 5
# What a request is told that was signed and then changed on its way.
_SIGNED_OTHERWISE = {"SignatureDoesNotMatch", "IncompleteSignature"}
_TLS_WARNING_SECONDS = 20 * 86400


class Finding(NamedTuple):
    """One thing that was looked at. cure: what to do where it is not well."""

    what: str
    ok: bool
    text: str
    cure: str = ""


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Make counts and holdings anew from the facts where they differ.")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also make a signed call with this key: it proves that proxies pass Host and path as they are.",
)
@click.option("--endpoint", "url", metavar="URL", help="Address of that call; else the setting public_url.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Root certificate for that call."
)
@output_option
@pass_machine
def doctor_command(
    machine: Machine, repair: bool, key_file: Path | None, url: str | None, ca: Path | None, output: str
) -> None:
    """Look at this installation: settings, files, disk, clock, key ring, store, books, TLS.

    Exit codes: 0 all is well, 1 something is not, and the table says what to do.
    """
    findings = list(_examine(machine, repair=repair))
    if key_file is not None and findings[0].ok:
        findings.append(_call(url or machine.settings.public_url, key_file, ca))
    rows = [{**finding._asdict(), "ok": finding.ok, "cure": finding.cure or None} for finding in findings]
    print_rows(rows, ["what", "ok", "text", "cure"], output)
    if not all(finding.ok for finding in findings):
        sys.exit(1)


def _examine(machine: Machine, *, repair: bool) -> Iterator[Finding]:
    try:
        settings = machine.settings
    except OperatorError as error:
        yield Finding("settings", False, str(error), "Mend the setting; nothing else was looked at.")
        return
    yield Finding("settings", True, f"Data in {settings.data_dir}, listening on {settings.listen}.")
    yield from _look_at_disk(settings)
    yield from _look_at_tls(settings, time.time())
    try:
        check_private(settings.store_file)
        facts = inspect_store(settings.store_file)
    except CustodyError as error:
        yield Finding("store", False, str(error), "Mend that, or restore a backup: `kubecustody admin restore`.")
        return
    yield Finding("store", True, f"Whole; schema {facts.schema}, installation {facts.installation_id}.")
    try:
        check_schema(settings.store_file, __version__)
    except OperatorError as error:
        yield Finding("schema", False, str(error), "`kubecustody admin migrate`, or the newer program.")
        return
    ring = _look_at_key_ring(settings, facts)
    yield ring
    if ring.ok:
        yield from machine.run(lambda custody: _look_inside(custody, repair=repair))


def _look_at_disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        facts, free = folder.stat(), shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding("data_dir", False, f"{folder}: {error.strerror}.", "`kubecustody init`, or name it: --data-dir.")
        return
    if facts.st_mode & 0o077:
        mode = stat.filemode(facts.st_mode)
        yield Finding("data_dir", False, f"{folder} is open to others ({mode}).", f"chmod 700 {folder}")
    else:
        yield Finding("data_dir", True, "Closed to others.")
    size = settings.store_file.stat().st_size if settings.store_file.exists() else 0
    needed = max(_LEAST_FREE_BYTES, 2 * size)
    text = f"{free // 2**20:,} MiB are free."
    # A backup and a migration each need a copy for a while.
    yield Finding("disk", free >= needed, text, "" if free >= needed else f"Free {needed // 2**20:,} MiB in all.")


def _look_at_tls(settings: Settings, now: float) -> Iterator[Finding]:
    if settings.tls == "off":  # which the settings take only with a proxy, or for this machine alone
        yield Finding("tls", True, "Off; plain HTTP is taken from this machine and declared proxies alone.")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
        (certificate, *_) = load_certificates(settings.tls_certificate_file.read_bytes())
        hosts = hosts_of(certificate)
    except (OSError, OperatorError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        text = f"{settings.tls_certificate_file} and its key cannot be used: {why}."
        yield Finding("tls", False, text, "Set tls_certificate_file and tls_key_file to PEM files that fit together.")
        return
    except ExtensionNotFound:
        hosts = []
    if settings.tls_key_file.stat().st_mode & 0o077:
        yield Finding("tls", False, "Others may read the key.", f"chmod 600 {settings.tls_key_file}")
        return
    left = certificate.not_after - now
    text = f"The certificate for {', '.join(hosts) or 'no host'} is good until {format_time(certificate.not_after)}."
    if left < 0:
        yield Finding("tls", False, text, "Renew it; one of `init` is renewed by `serve` when it starts.")
        return
    host = urlsplit(settings.public_url).hostname or ""
    if not _covers(hosts, host):
        cure = f"Have a certificate for {host}, or set public_url to a name that is in it."
        yield Finding("tls", False, f"{text} {host} of public_url is not in it.", cure)
        return
    due = left < _TLS_WARNING_SECONDS
    yield Finding("tls", not due, text, "Renew it; one of `init` is renewed by `serve`." if due else "")


def _covers(hosts: list[str], host: str) -> bool:
    wild = "*." + host.partition(".")[2]
    return host in hosts or wild in hosts


def _look_at_key_ring(settings: Settings, facts: StoreFacts) -> Finding:
    try:
        ring = load_key_ring(settings.key_ring_file, os.environ.get("KUBECUSTODY_KEY_RING"))
        check_key_ring(ring, facts.installation_id, facts.key_check)
    except CustodyError as error:
        return Finding("key_ring", False, str(error), "Bring back the key ring that belongs to this store.")
    return Finding("key_ring", True, f"Opens the store's secrets; master key v{ring.current} is current.")


async def _look_inside(custody: Custody, *, repair: bool) -> list[Finding]:
    findings = [await _look_at_quarantine(custody)]
    for account in await list_accounts(custody):
        findings.append(await _look_at_clock(custody, account.account_id))
        findings.append(await _look_at_books(custody, account.account_id, repair=repair))
    return findings


async def _look_at_quarantine(custody: Custody) -> Finding:
    if not await custody.is_quarantined():
        return Finding("quarantine", True, "None.")
    text = "The store was restored and is in quarantine: nothing is issued, granted or changed."
    return Finding("quarantine", False, text, "`kubecustody admin restore --accept --reason WHY`")


async def _look_at_clock(custody: Custody, account_id: str) -> Finding:
    async def newest(tx: Transaction) -> int | None:
        return await find_newest_event_time(tx, account_id)

    at, now = await custody.store.read(newest), time.time()
    if at is None or at <= now + _CLOCK_GRACE_SECONDS:
        return Finding("clock", True, f"No event of account {account_id} lies in the future.")
    text = f"An event of account {account_id} was recorded {at - now:,.0f} s from now: the clock was set back."
    return Finding("clock", False, text, "Set the clock (chrony, systemd-timesyncd); signatures and states go by it.")


async def _look_at_books(custody: Custody, account_id: str, *, repair: bool) -> Finding:
    if repair:
        author = Author(actor(), reason="doctor --repair")
        differences = await repair_books(custody, account_id, author, time.time())
        done = f"Made anew: {'; '.join(differences)}." if differences else "Nothing was to be repaired."
        return Finding("books", True, f"Account {account_id}: {done}")
    differences = await check_books(custody, account_id)
    if differences:
        cure = "`kubecustody admin doctor --repair` makes them anew from the facts."
        return Finding("books", False, f"Account {account_id}: {'; '.join(differences)}.", cure)
    return Finding("books", True, f"Account {account_id}: counts and holdings are what the facts add up to.")


def _call(url: str, key_file: Path, ca: Path | None) -> Finding:
    """A signed call on the way that others take: it fails where a proxy changes what is signed."""
    try:
        with Client(find_endpoint(url, key_file, ca)) as client:
            client.describe_regions()
    except ApiError as error:
        cure = "A proxy must pass Host and path as they are, and no path in front; see docs/how-to/run.md."
        if error.code not in _SIGNED_OTHERWISE:
            cure = "The signature came through; the text says what else is the matter."
        return Finding("call", False, f"{url}: {error}", cure)
    except (CallFailed, OperatorError) as error:
        return Finding("call", False, f"{url}: {error}", "Is the server running, and public_url its address?")
    return Finding("call", True, f"A signed call to {url} came through as it was signed.")
