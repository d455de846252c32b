"""`kubecustody init`: everything that an installation begins with."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import click

from kubecustody.cli.machine import actor, data_dir_option, settings_of
from kubecustody.cli.output import check_can_tell_secret, say, tell_secret
from kubecustody.core.errors import OperatorError
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import add_account, create_installation, open_custody, record_installation
from kubecustody.custody.principals import NewAccessKey, add_access_key
from kubecustody.custody.transport import make_transport
from kubecustody.pki.sealing import RING_VARIABLE, KeyRing, RandomBytes, Sealer, write_key_ring
from kubecustody.pki.tls import HostUnusable, parse_hosts
from kubecustody.settings import Settings
from kubecustody.store.nonces import NonceTable
from kubecustody.store.sqlite import SQLiteStore


@click.command("init")
@data_dir_option
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name or address that callers use; may be given "
    "several times. localhost, 127.0.0.1, ::1 and this machine's name are always among them.",
)
@click.option("--account-name", default="main", show_default=True, help="Name of the first account.")
@click.option("--account-id", metavar="DIGITS", help="Its id; made up unless given.")
@click.option("--region", default="local", show_default=True, help="Region id of the account and its clusters.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the first access key.")
def init_command(
    data_dir: Path | None,
    hosts: tuple[str, ...],
    account_name: str,
    account_id: str | None,
    region: str,
    out: Path | None,
) -> None:
    """Make an installation: data folder, key ring, store, account with its first access key, TLS certificate."""
    settings = settings_of(data_dir)
    check_can_tell_secret(out)
    key = initialise(settings, all_hosts(hosts), account_name=account_name, account_id=account_id, region_id=region)
    say(f"Made the store {settings.store_file}")
    say(f"Made the key ring {settings.key_ring_file}. Back it up, apart from the data: without it no secret opens.")
    say(f"Made the TLS root {settings.tls_root_file} for {', '.join(all_hosts(hosts))}.")
    say(f"Account {key.uid}. Its access key, shown this once" + (f", is in {out}:" if out else ":"))
    tell_secret(
        {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
            "KUBECUSTODY_ENDPOINT": settings.public_url,
        },
        out,
    )
    say("\nTo make the provider's SDK trust the certificate, either of:")
    say(f"  Config(..., ca={str(settings.tls_root_file)!r})")
    say(f"  export SSL_CERT_FILE={settings.tls_root_file}")
    say("\nNext: kubecustody serve" + (f" --data-dir {settings.data_dir}" if data_dir else ""))


def all_hosts(given: tuple[str, ...]) -> list[str]:
    """The hosts of the certificate: those given, and those that always mean this machine."""
    return list(dict.fromkeys([*given, "localhost", "127.0.0.1", "::1", *_machine_name()]))


def _machine_name() -> list[str]:
    """This machine's name, where a certificate can name it: one with an underscore, say, cannot be."""
    try:
        parse_hosts([socket.gethostname()])
    except HostUnusable:
        return []
    return [socket.gethostname()]


def initialise(
    settings: Settings,
    hosts: list[str],
    *,
    account_name: str,
    account_id: str | None,
    region_id: str,
    clock: Callable[[], float] = time.time,
    random_bytes: RandomBytes = os.urandom,
) -> NewAccessKey:
    """Make everything, or leave nothing behind; the account's first access key."""
    if RING_VARIABLE in os.environ:
        raise OperatorError(
            f"{RING_VARIABLE} holds a key ring, and a new installation gets one of its own in the file "
            f"{settings.key_ring_file}. Unset the variable first; nothing was made."
        )
    files = _files_of(settings)
    for path in files:
        if os.path.lexists(path):
            raise OperatorError(
                f"There is {path} already, of an installation before; nothing was changed. Name another folder with "
                "--data-dir (and key_ring_file, where that is set), or move what is there away."
            )
    folders = _make_folders(settings.data_dir)
    try:
        ring = KeyRing.generate(os.urandom)
        write_key_ring(settings.key_ring_file, ring)
        # As of time 0: nothing can have been signed for an installation that is only being made.
        NonceTable.open(settings.nonces_file, now=0, slots=settings.nonce_slots).close()
        installation_id = create_installation(settings, ring, clock(), random_bytes)
        sealer = Sealer(ring, installation_id)
        return asyncio.run(_fill(settings, sealer, hosts, account_name, account_id, region_id, clock(), random_bytes))
    except BaseException:
        _take_back(files, folders)
        raise


def _files_of(settings: Settings) -> list[Path]:
    """Every file that an installation begins with."""
    store, tls = settings.store_file, settings.data_dir / "tls"
    return [
        store,
        *(store.with_name(store.name + suffix) for suffix in ("-wal", "-shm")),
        settings.key_ring_file,
        settings.nonces_file,
        *(tls / name for name in ("root.pem", "server.pem", "server-key.pem")),
    ]


def _make_folders(folder: Path) -> list[Path]:
    """Make the data folder, private, and what stands above it; what was not there before, the lowest first."""
    missing = [path for path in (folder / "tls", folder, *folder.parents) if not path.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder in missing:
            folder.mkdir(mode=0o700)
        elif folder.stat().st_mode & 0o077:
            if any(folder.iterdir()):
                raise OperatorError(
                    f"{folder} has other files in it and is open to other users; a data folder is private. Name a "
                    f"new folder with --data-dir, or close this one: chmod 700 {folder}"
                )
            folder.chmod(0o700)
    except OSError as error:
        raise OperatorError(
            f"The data folder {folder} cannot be made: {error.strerror}. Name another with --data-dir."
        ) from error
    return missing


async def _fill(
    settings: Settings,
    sealer: Sealer,
    hosts: list[str],
    name: str,
    account_id: str | None,
    region_id: str,
    now: float,
    random_bytes: RandomBytes,
) -> NewAccessKey:
    store = SQLiteStore(settings.store_file)
    try:
        await record_installation(store, sealer, now)
    finally:
        store.close()
    store, custody = await open_custody(settings, random_bytes=random_bytes)
    try:
        author = Author(actor(), reason="kubecustody init")
        account = await add_account(custody, author, now, name=name, region_id=region_id, account_id=account_id)
        await make_transport(custody, settings, hosts, now)
        return await add_access_key(custody, account, author, now, account)
    finally:
        store.close()


def _take_back(files: list[Path], folders: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for folder in folders:
        if folder.exists():
            folder.rmdir()
