"""Certificates made here: certificate authorities, and client certificates of one.

Plain functions over P-256; who may ask for which subject is decided before, not here. Times are unix seconds
and always arguments.
"""

import datetime
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubecustody.pki.certificates import load_private_key

RandomBytes = Callable[[int], bytes]

DAY_SECONDS = 24 * 60 * 60


class PemPair(NamedTuple):
    """A certificate and its private key (PKCS#8, not encrypted), each as PEM. Its repr shows no key."""

    certificate: bytes
    private_key: bytes

    def __repr__(self) -> str:
        return f"PemPair({len(self.certificate)} bytes of certificate, private key not shown)"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a certificate shall say, apart from keys and serial number. Both ends belong to the validity."""

    subject: x509.Name
    not_before: int
    not_after: int
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = field(default=())


def make_ca(common_name: str, now: int, days: int, *, random_bytes: RandomBytes = os.urandom) -> PemPair:
    """A self-signed client CA, valid from `now` for `days` days, that signs leaves only (pathlen 0)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    extensions = ((x509.BasicConstraints(ca=True, path_length=0), True), (signing_usage(), True))
    return self_sign(Draft(subject, now, now + days * DAY_SECONDS, extensions), random_bytes)


def make_client_certificate(
    ca: PemPair,
    common_name: str,
    organizations: Iterable[str],
    not_before: int,
    not_after: int,
    *,
    random_bytes: RandomBytes = os.urandom,
) -> PemPair:
    """A client certificate with its new key: user `common_name`, one group for each organization."""
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    subject = x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (leaf_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    )
    return sign(Draft(subject, not_before, not_after, extensions), ca, random_bytes)


def self_sign(draft: Draft, random_bytes: RandomBytes) -> PemPair:
    """A new key and the certificate that it signs for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(draft, draft.subject, key.public_key(), random_bytes)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def sign(draft: Draft, ca: PemPair, random_bytes: RandomBytes) -> PemPair:
    """A new key and the certificate that `ca` signs for it."""
    key, ca_key = ec.generate_private_key(ec.SECP256R1()), load_private_key(ca.private_key)
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    builder = _builder(draft, issuer.subject, key.public_key(), random_bytes)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return _pair(builder.add_extension(authority, critical=False).sign(ca_key, hashes.SHA256()), key)


def signing_usage() -> x509.KeyUsage:
    """Key usage of a CA: keyCertSign and cRLSign."""
    return _key_usage(key_cert_sign=True)


def leaf_usage() -> x509.KeyUsage:
    """Key usage of a leaf with an EC key: digitalSignature."""
    return _key_usage(key_cert_sign=False)


def _key_usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    draft: Draft, issuer: x509.Name, key: ec.EllipticCurvePublicKey, random_bytes: RandomBytes
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft.subject)
        .issuer_name(issuer)
        .not_valid_before(moment(draft.not_before))
        .not_valid_after(moment(draft.not_after))
        .serial_number(serial_number(random_bytes))
        .public_key(key)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    for extension, critical in draft.extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def serial_number(random_bytes: RandomBytes) -> int:
    """A serial number of 128 random bits, not 0."""
    # 128 random bits, in at most 17 of the 20 octets that RFC 5280 (4.1.2.2) allows; 0 is not positive.
    return int.from_bytes(random_bytes(16)) or 1


def moment(unix_seconds: int) -> datetime.datetime:
    """The same moment as an aware datetime in UTC."""
    return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> PemPair:
    return PemPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
