"""Who a request comes from: a client certificate, a bearer token, both, or nobody."""

import ssl
import tempfile

from kubecustody.cli.control_plane import Identity
from kubecustody.pki.issuing import PemPair

NOBODY = Identity()


def client_context(server_ca: bytes, pair: PemPair | None) -> ssl.SSLContext:
    """A client's TLS settings. They let it show what no good client would: Go, at the other end, shall be the judge."""
    context = ssl.create_default_context(cadata=server_ca.decode())
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if pair is not None:
        load_pair(context, pair)
    return context


def load_pair(context: ssl.SSLContext, pair: PemPair) -> None:
    """Let a certificate and its key be shown; Python takes them from a file alone."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + b"\n" + pair.private_key)
        file.flush()
        context.load_cert_chain(file.name)
