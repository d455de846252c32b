"""The TLS root of an installation: real clients take its hosts, and refuse every other."""

import http.server
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair
from kubecustody.pki.tls import HostUnusable, make_server_certificate, make_tls_root

from .openssl import Openssl

DAY = 24 * 60 * 60


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *arguments: object) -> None:
        return


@contextmanager
def https_server(pair: PemPair, folder: Path) -> Iterator[int]:
    """The port of a loopback HTTPS server with this certificate."""
    (folder / "server.pem").write_bytes(pair.certificate + pair.private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def fetch(host: str, port: int, root: PemPair) -> bytes:
    context = ssl.create_default_context(cadata=root.certificate.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(f"https://{host}:{port}/", context=context, timeout=10) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["localhost"], ["localhost"]),
        (["localhost", "127.0.0.1", "::1", "Custody.Example"], ["localhost", "127.0.0.1"]),
    ],
)
def test_a_real_client_takes_the_hosts_of_the_root(tmp_path: Path, hosts: Sequence[str], asked: Sequence[str]) -> None:
    now = int(time.time())
    root = make_tls_root(hosts, now)
    with https_server(make_server_certificate(root, hosts, now), tmp_path) as port:
        assert [fetch(host, port, root) for host in asked] == [b"hello"] * len(asked)


def openssl_verdict(openssl: Openssl, folder: Path, root: PemPair, server: PemPair) -> str:
    (folder / "root.pem").write_bytes(root.certificate)
    (folder / "leaf.pem").write_bytes(server.certificate)
    arguments = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "root.pem")
    try:
        return openssl.run(*arguments, folder / "leaf.pem").decode()
    except AssertionError as fault:
        return str(fault)


ROOTS = [["127.0.0.1"], ["custody.example"], ["custody.example", "127.0.0.1"], ["::1"]]


@pytest.mark.parametrize("hosts", ROOTS)
def test_openssl_takes_the_hosts_of_the_root(openssl: Openssl, tmp_path: Path, hosts: list[str]) -> None:
    now = int(time.time())
    root = make_tls_root(hosts, now)
    assert openssl_verdict(openssl, tmp_path, root, make_server_certificate(root, hosts, now)).endswith("OK\n")


@pytest.mark.parametrize("hosts", ROOTS)
@pytest.mark.parametrize("other", ["127.0.0.2", "::2", "other.example", "example"])
def test_openssl_refuses_every_other_host(openssl: Openssl, tmp_path: Path, hosts: list[str], other: str) -> None:
    now = int(time.time())
    root = make_tls_root(hosts, now)
    for names in ([other], [*hosts, other]):
        verdict = openssl_verdict(openssl, tmp_path, root, make_server_certificate(root, names, now))
        assert "subtree violation" in verdict


@pytest.mark.parametrize(("hosts", "other"), [(["custody.example"], "127.0.0.1"), (["127.0.0.1"], "localhost")])
def test_a_real_client_refuses_a_host_that_the_root_is_not_limited_to(
    tmp_path: Path, hosts: list[str], other: str
) -> None:
    now = int(time.time())
    root = make_tls_root(hosts, now)
    with (
        https_server(make_server_certificate(root, [other], now), tmp_path) as port,
        pytest.raises(urllib.error.URLError, match="subtree violation"),
    ):
        fetch(other, port, root)


def test_validity_is_ten_years_and_397_days_from_five_minutes_ago() -> None:
    now = 1_795_500_000
    root = make_tls_root(["a.example"], now)
    (authority,) = load_certificates(root.certificate)
    (server,) = load_certificates(make_server_certificate(root, ["a.example"], now).certificate)
    assert (authority.not_before, server.not_before) == (now - 300, now - 300)
    assert authority.not_after - authority.not_before == 3653 * DAY
    assert server.not_after - server.not_before == 397 * DAY
    assert (authority.path_length, authority.constrains_names) == (0, True)


@pytest.mark.parametrize(
    "hosts", [[], [""], ["*.example"], ["a b"], ["a.example:443"], ["[::1]"], ["1.2.3"], ["-a.example"], ["a" * 64]]
)
def test_what_is_no_host_is_refused(hosts: list[str]) -> None:
    with pytest.raises(HostUnusable):
        make_tls_root(hosts, 1_795_500_000)
