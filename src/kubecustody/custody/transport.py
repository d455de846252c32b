"""The TLS certificate of the API: made by `init` from a root of the installation's own, renewed by `serve`.

The root's key is sealed in the store; its certificate, and the server's, are files in the data folder.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from kubecustody.custody.installation import Custody, open_installation_secret, seal_installation_secret
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import DAY_SECONDS, PemPair
from kubecustody.pki.tls import hosts_of, make_server_certificate, make_tls_root
from kubecustody.settings import Settings
from kubecustody.store.installation import find_installation_secret, set_installation_secret

ROOT_KEY_NAME = "tls-root-key"
RENEW_BEFORE_DAYS = 30


async def make_transport(custody: Custody, settings: Settings, hosts: Sequence[str], now: float) -> None:
    """A root limited to these hosts, its key sealed in the store, and a server certificate, as files."""
    root = make_tls_root(hosts, int(now), custody.random_bytes)
    sealed = seal_installation_secret(custody.sealer, ROOT_KEY_NAME, root.private_key)
    await custody.store.write(lambda tx: set_installation_secret(tx, ROOT_KEY_NAME, sealed, int(now)))
    settings.tls_root_file.parent.mkdir(mode=0o700, exist_ok=True)
    _write(settings.tls_root_file, root.certificate, 0o644)
    _write_server(settings, make_server_certificate(root, hosts, int(now), custody.random_bytes))


async def renew_transport(custody: Custody, settings: Settings, now: float) -> bool:
    """Renew the server certificate of our own making where it ends within 30 days; whether it did."""
    made_here = settings.data_dir / "tls" / "server.pem"
    if settings.tls_certificate_file != made_here or not made_here.exists():
        return False
    certificate = load_certificates(made_here.read_bytes())[0]
    if certificate.not_after - now > RENEW_BEFORE_DAYS * DAY_SECONDS:
        return False
    sealed = await custody.store.read(lambda tx: find_installation_secret(tx, ROOT_KEY_NAME))
    if sealed is None:
        return False
    key = open_installation_secret(custody.sealer, ROOT_KEY_NAME, sealed)
    root = PemPair(settings.tls_root_file.read_bytes(), key)
    hosts = hosts_of(certificate)
    _write_server(settings, make_server_certificate(root, hosts, int(now), custody.random_bytes))
    return True


def _write_server(settings: Settings, pair: PemPair) -> None:
    _write(settings.data_dir / "tls" / "server-key.pem", pair.private_key, 0o600)
    _write(settings.data_dir / "tls" / "server.pem", pair.certificate, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put the content there whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
