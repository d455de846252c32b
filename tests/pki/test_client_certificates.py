"""Certificates issued for people, read by openssl: another hand than the one that made them."""

import random
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificates import Certificate, load_certificates, load_private_key
from kubecustody.pki.client_certificates import (
    IssuedCertificate,
    KeyType,
    Signer,
    common_name_for,
    format_private_key,
    issue_client_certificate,
    load_signer,
)
from kubecustody.pki.issuing import PemPair, make_ca
from kubecustody.pki.trust import assess

from .openssl import CA, Made, Openssl

NOW = 1_795_521_600  # 2026-11-24 12:00:00 UTC
DAY = 86_400
UID = "200000000000000001"
KEYS_IN_WORDS = {KeyType.P256: "NIST CURVE: P-256", KeyType.RSA_2048: "(2048 bit)", KeyType.ED25519: "ED25519"}


def issue(signer: Signer, key_type: KeyType = KeyType.P256, name: str = f"{UID}-1") -> IssuedCertificate:
    return issue_client_certificate(
        signer, common_name=name, not_before=NOW - 300, not_after=NOW + 90 * DAY, key=key_type
    )


def write(folder: Path, made: IssuedCertificate) -> tuple[Path, Path]:
    certificate, key = folder / "issued.pem", folder / "issued-key.pem"
    certificate.write_bytes(pem_of(made.certificate))
    key.write_bytes(made.private_key or b"")
    return certificate, key


def pem_of(certificate: Certificate) -> bytes:
    done = subprocess.run(["openssl", "x509", "-inform", "DER"], input=certificate.der, capture_output=True, check=True)
    return done.stdout


def verify(openssl: Openssl, ca: Path, certificate: Path, *strictly: str) -> None:
    """Raises unless openssl takes it as a client's at NOW."""
    at = ("-purpose", "sslclient", "-attime", str(NOW))
    told = openssl.run("verify", *strictly, *at, "-CAfile", ca, certificate)
    assert told.endswith(b": OK\n")


@pytest.fixture(scope="session")
def made_here(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A CA as `--make-ca` makes it."""
    folder = tmp_path_factory.mktemp("ca")
    pair = make_ca("kubecustody c1", NOW, 3650)
    made = Made(folder / "ca.pem", folder / "ca-key.pem")
    made.certificate_path.write_bytes(pair.certificate)
    made.key_path.write_bytes(pair.private_key)
    return made


@pytest.mark.parametrize("key_type", KeyType)
def test_openssl_and_we_vouch_for_what_a_ca_made_here_issues(
    openssl: Openssl, made_here: Made, tmp_path: Path, key_type: KeyType
) -> None:
    made = issue(load_signer(PemPair(made_here.certificate, made_here.key)), key_type)
    certificate, key = write(tmp_path, made)
    verify(openssl, made_here.certificate_path, certificate, "-x509_strict")
    text = openssl.run("x509", "-in", certificate, "-noout", "-text").decode()
    assert KEYS_IN_WORDS[key_type] in text
    public = openssl.run("x509", "-in", certificate, "-noout", "-pubkey")
    assert public == openssl.run("pkey", "-in", key, "-pubout")
    verdict = assess(made.certificate, (), load_certificates(made_here.certificate))
    assert verdict.vouched and verdict.chain_ends_at == NOW + 90 * DAY


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519"])
def test_openssl_and_we_vouch_for_what_an_imported_ca_issues(openssl: Openssl, tmp_path: Path, kind: str) -> None:
    ca = openssl.make_ca("/O=Müller/CN=kubernetes", f"{CA}\nsubjectKeyIdentifier=hash", kind=kind)
    made = issue(load_signer(PemPair(ca.certificate, ca.key)))
    certificate, _ = write(tmp_path, made)
    verify(openssl, ca.certificate_path, certificate, "-x509_strict")
    assert assess(made.certificate, (), load_certificates(ca.certificate)).vouched


def test_an_imported_ca_may_have_a_key_identifier_of_another_making(openssl: Openssl, tmp_path: Path) -> None:
    """Go since 1.25, and so kubeadm, makes it from SHA-256 (crypto/x509 CreateCertificate, RFC 7093)."""
    ca = openssl.make_ca("/CN=kubernetes", f"{CA}\nsubjectKeyIdentifier=0123456789ABCDEF0123456789ABCDEF01234567")
    certificate, _ = write(tmp_path, issue(load_signer(PemPair(ca.certificate, ca.key))))
    verify(openssl, ca.certificate_path, certificate)


def test_an_imported_ca_may_have_no_key_identifier(openssl: Openssl, tmp_path: Path) -> None:
    ca = openssl.make_ca("/CN=kubernetes", CA)
    certificate, _ = write(tmp_path, issue(load_signer(PemPair(ca.certificate, ca.key))))
    verify(openssl, ca.certificate_path, certificate)


def test_subject_usage_and_validity_are_the_profiles(openssl: Openssl, made_here: Made, tmp_path: Path) -> None:
    name = common_name_for(UID, NOW, random.randbytes)
    certificate, _ = write(tmp_path, issue(load_signer(PemPair(made_here.certificate, made_here.key)), name=name))

    def told(*words: str) -> str:
        return openssl.run("x509", "-in", certificate, "-noout", *words).decode()

    assert told("-subject", "-nameopt", "RFC2253").strip() == f"subject=CN={name},O=system:users"
    assert re.fullmatch(rf"{UID}-{NOW}\d{{9}}", name)
    assert "notBefore=Nov 24 11:55:00 2026 GMT" in told("-startdate")
    assert "notAfter=Feb 22 12:00:00 2027 GMT" in told("-enddate")
    usage = told("-ext", "extendedKeyUsage,basicConstraints,keyUsage,subjectAltName")
    assert "TLS Web Client Authentication\n" in usage and "Server" not in usage
    assert "CA:FALSE" in usage and "Digital Signature\n" in usage
    assert "Subject Alternative Name" not in usage


def test_serials_are_positive_random_and_short_enough() -> None:
    """RFC 5280 4.1.2.2: positive, at most 20 octets; baseline requirements: 64 random bits at least."""
    pair = make_ca("x", NOW, 365)
    signer = load_signer(pair)
    serials = [int(issue(signer).certificate.serial, 16) for _ in range(64)]
    assert len(set(serials)) == 64 and all(0 < serial < 2**159 for serial in serials)
    varying = 0
    for serial in serials:
        varying |= serial ^ serials[0]
    assert varying.bit_count() >= 64


def test_common_names_never_repeat_and_tools_of_the_provider_read_them() -> None:
    names = [common_name_for(UID, NOW, random.randbytes) for _ in range(2000)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"^(\d+)(-\d+)?$", name) for name in names)


def test_a_common_name_of_few_random_digits_is_as_long_as_any() -> None:
    assert common_name_for("1", NOW, lambda count: bytes(count)) == f"1-{NOW}000000000"


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("right", "foreign", "does not belong to its certificate"),
        ("right", "none", "no private key"),
        ("none", "right", "(?i)certificate"),
        ("damaged", "right", "(?i)certificate"),
    ],
)
def test_a_ca_that_cannot_sign_is_told_to_the_operator(made_here: Made, certificate: str, key: str, words: str) -> None:
    texts = {
        "right": (made_here.certificate, made_here.key),
        "foreign": (b"", make_ca("other", NOW, 1).private_key),
        "none": (b"nothing", b"nothing"),
        "damaged": (made_here.certificate[:200] + b"\n-----END CERTIFICATE-----\n", b""),
    }
    with pytest.raises(OperatorError, match=words) as caught:
        load_signer(PemPair(texts[certificate][0], texts[key][1]))
    assert "PRIVATE KEY" not in str(caught.value)


def test_neither_signer_nor_issued_certificate_shows_its_key() -> None:
    signer = load_signer(make_ca("x", NOW, 365))
    made = issue(signer)
    shown = repr(signer) + repr(made)
    assert "PRIVATE" not in shown and "0x" not in shown


@pytest.mark.parametrize("not_after", [NOW + 90 * DAY, 2_524_607_999, 2_524_608_000], ids=["90 days", "2049", "2050"])
@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 2**127, 2**128 - 1])
@pytest.mark.parametrize("ca_kind", ["P-256", "RSA"])
def test_what_is_signed_is_what_a_library_would_build(not_after: int, serial: int, ca_kind: str) -> None:
    ca = make_ca("people", NOW, 36500) if ca_kind == "P-256" else make_rsa_ca()
    signer = load_signer(ca)
    made = issue_client_certificate(
        signer,
        common_name=f"{UID}-17955216001",
        not_before=NOW - 300,
        not_after=not_after,
        random_bytes=lambda count: serial.to_bytes(count),
    ).certificate.parsed
    library = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(signer.certificate.subject)
        .not_valid_before(datetime.fromtimestamp(NOW - 300, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
        .serial_number(serial)
        .public_key(made.public_key())
    )
    for extension in made.extensions:
        library = library.add_extension(extension.value, extension.critical)
    built = library.sign(load_private_key(ca.private_key), hashes.SHA256())
    assert built.tbs_certificate_bytes == made.tbs_certificate_bytes
    made.verify_directly_issued_by(signer.certificate)


def make_rsa_ca() -> PemPair:
    """A CA with an RSA key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "people")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 36500 * DAY, UTC))
        .serial_number(1)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return PemPair(certificate.public_bytes(serialization.Encoding.PEM), format_private_key(key))
