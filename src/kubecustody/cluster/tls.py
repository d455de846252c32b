"""TLS settings towards API servers, with private keys that never touch a disk.

Python's ssl takes a key pair from a path alone. Linux gives memory a path (memfd_create(2) and /proc/self/fd);
elsewhere, and with a Python that was built without it (as uv's are), a file that only its owner can read exists for
the moment of loading, and the log says so once.
"""

import contextlib
import functools
import logging
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from kubecustody.cluster.access import Access, AccessRefused

log = logging.getLogger(__name__)

Key = tuple[bytes | None, bytes | None, bytes | None, str | None]


def make_context(access: Access) -> ssl.SSLContext:
    """TLS settings that trust the access's server CA alone, and show its certificate. Raises AccessRefused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Go verifies (crypto/x509, Certificate.Verify): names in subjectAltName only, and any certificate that is
    # trusted ends a chain, also one that is not self-signed.
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if access.server_ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=access.server_ca.decode("ascii"))
        if access.certificate is not None and access.private_key is not None:
            _load_pair(context, access.certificate, access.private_key)
    except (ssl.SSLError, ValueError):
        raise AccessRefused("The server CA, or the client certificate with its key, cannot be used for TLS.") from None
    return context


class Contexts:
    """TLS settings by what they are made of, the latest used ones kept: connections are shared by settings."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Key, ssl.SSLContext] = OrderedDict()

    def get(self, access: Access) -> ssl.SSLContext:
        """The settings for an access. Raises AccessRefused."""
        key = (access.server_ca, access.certificate, access.private_key, access.tls_server_name)
        context = self._kept.pop(key, None) or make_context(access)
        self._kept[key] = context
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return context

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()


def _load_pair(context: ssl.SSLContext, certificate: bytes, private_key: bytes) -> None:
    with _path_of(certificate + b"\n" + private_key) as path:
        # An encrypted key would make OpenSSL ask at the terminal, if it had no answer.
        context.load_cert_chain(path, password="")


@contextlib.contextmanager
def _path_of(content: bytes) -> Iterator[str]:
    """A path at which the content can be read within the block."""
    create = getattr(os, "memfd_create", None)
    if create is None or not Path("/proc/self/fd").exists():
        _say_once()
        with tempfile.TemporaryDirectory(prefix="kubecustody-") as folder:
            path = Path(folder) / "pair.pem"
            path.touch(0o600)
            path.write_bytes(content)
            yield str(path)
        return
    with os.fdopen(create("kubecustody", os.MFD_CLOEXEC), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


@functools.cache
def _say_once() -> None:
    log.warning(
        "This Python has no memfd_create: private keys towards clusters are written to a temporary file for the "
        "moment of their loading."
    )
