"""The TLS certificate of the API: made by `init` from a root of the installation's own, renewed by `serve`.

The root's key is sealed in the store; its certificate, and the server's, are files in the data folder.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from kubecustody.custody.installation import (
    TLS_ROOT_KEY,
    Custody,
    open_installation_secret,
    seal_installation_secret,
)
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair
from kubecustody.pki.tls import hosts_of, make_server_certificate, make_tls_root
from kubecustody.settings import Settings
from kubecustody.store.installation import find_installation_secret, set_installation_secret


async def make_transport(custody: Custody, settings: Settings, hosts: Sequence[str], now: float) -> None:
    """A root limited to these hosts, its key sealed in the store, and a server certificate, as files."""
    root = make_tls_root(hosts, int(now), custody.random_bytes)
    settings.tls_root_file.parent.mkdir(mode=0o700, exist_ok=True)
    _write(settings.tls_root_file, root.certificate, 0o644)
    await _make_server(custody, settings, root, hosts, now)


async def renew_transport(custody: Custody, settings: Settings, now: float) -> None:
    """Renew the server certificate of our own making, for the same hosts."""
    found = await custody.store.read(lambda tx: find_installation_secret(tx, TLS_ROOT_KEY))
    if found is None:
        return
    key = open_installation_secret(custody.sealer, TLS_ROOT_KEY, found.sealed)
    root = PemPair(settings.tls_root_file.read_bytes(), key)
    (certificate,) = load_certificates(_server_file(settings).read_bytes())
    await _make_server(custody, settings, root, hosts_of(certificate), now)


async def _make_server(custody: Custody, settings: Settings, root: PemPair, hosts: Sequence[str], now: float) -> None:
    """Write a server certificate and its key; then note the time, so that a stop in between is made good."""
    pair = make_server_certificate(root, hosts, int(now), custody.random_bytes)
    _write(_server_file(settings).with_name("server-key.pem"), pair.private_key, 0o600)
    _write(_server_file(settings), pair.certificate, 0o644)
    sealed = seal_installation_secret(custody.sealer, TLS_ROOT_KEY, root.private_key)
    await custody.store.write(lambda tx: set_installation_secret(tx, TLS_ROOT_KEY, sealed, int(now)))


def _server_file(settings: Settings) -> Path:
    return settings.data_dir / "tls" / "server.pem"


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put the content there whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
