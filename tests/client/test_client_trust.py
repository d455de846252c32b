"""Which server certificates count: those that Go and curl take, the same ones with every Python."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubecustody.client import Endpoint
from kubecustody.client.wire import trust


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def draft(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(named(issuer), named(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder with a root, a server's certificate without any key identifier (RFC 5280, 4.2.1.1) and its key."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = x509.BasicConstraints(ca=True, path_length=None)
    root = draft("root", "root", root_key).add_extension(ca, critical=True).sign(root_key, hashes.SHA256())
    host = x509.SubjectAlternativeName([x509.DNSName("custody.example")])
    server = draft("server", "root", key).add_extension(host, critical=False).sign(root_key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, content in {"root": pem(root), "server": pem(server), "pair": pem(server) + private}.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    return tmp_path


def shake_hands(folder: Path, root: str, host: str = "custody.example") -> None:
    """A TLS handshake of our client's settings with the server's certificate, through memory."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "pair.pem")
    context = trust(Endpoint("https://custody.example", "KEY", "secret", folder / root))
    assert context is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("root", ["root.pem", "server.pem"])
def test_a_certificate_without_key_identifiers_counts(plain: Path, root: str) -> None:
    shake_hands(plain, root)


def test_another_root_or_host_does_not_count(plain: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ca = x509.BasicConstraints(ca=True, path_length=None)
    other = draft("root", "root", key).add_extension(ca, critical=True).sign(key, hashes.SHA256())
    (plain / "other.pem").write_bytes(pem(other))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(plain, "other.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(plain, "root.pem", host="elsewhere.example")
