"""Issuing client certificates for people: the one profile, by a CA whose key is kept here.

Subject: O exactly system:users, CN `{uid}-{suffix}` with a suffix of digits (unix seconds and nine random digits), so
that each credential has a user name of its own in Kubernetes and a restored backup never repeats one. EKU clientAuth,
serial of 128 random bits, backdated 5 minutes for clocks that run behind.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubecustody.core.errors import OperatorError
from kubecustody.core.times import format_time
from kubecustody.pki.certificate_requests import PublicKey
from kubecustody.pki.certificates import (
    Certificate,
    PrivateKey,
    load_certificate_der,
    load_certificates,
    load_private_key,
)
from kubecustody.pki.der import (
    BIT_STRING,
    GENERALIZED_TIME,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    UTC_TIME,
    UTF8_STRING,
    elements,
    encode,
    encode_unsigned,
    format_pem,
    only_element,
)
from kubecustody.pki.issuing import PemPair, leaf_usage, moment, serial_number
from kubecustody.pki.subjects import USERS_GROUP

RandomBytes = Callable[[int], bytes]

_USERS = x509.NameAttribute(NameOID.ORGANIZATION_NAME, USERS_GROUP)
_CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_LEAF_USAGE = leaf_usage()
_COMMON_NAME = encode(OBJECT_IDENTIFIER, bytes((0x55, 0x04, 0x03)))  # 2.5.4.3
_FIRST_GENERALIZED = 2_524_608_000  # 2050-01-01
_IN_THE_CLEAR = serialization.NoEncryption()
_ECDSA = ec.ECDSA(hashes.SHA256())
_POINT_BYTES = 65  # of P-256, uncompressed
_NO_PUNCTUATION = str.maketrans("", "", "-:T")


class KeyType(StrEnum):
    """The kind of key that is made for a person."""

    P256 = "p256"
    RSA_2048 = "rsa2048"
    ED25519 = "ed25519"


class _Template(NamedTuple):
    """What is the same in every certificate of one signer, each part as DER: of the TBSCertificate (RFC 5280, 4.1)
    version, algorithm, issuer and extensions, and of the subject the organization.
    """

    version: bytes
    algorithm: bytes
    issuer: bytes
    organization: bytes
    extensions: bytes


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA with its key, ready to sign. not_after: unix seconds; sign: the signature of these bytes."""

    certificate: x509.Certificate
    sign: Callable[[bytes], bytes]
    not_after: int
    template: _Template

    def __repr__(self) -> str:
        return f"Signer(not_after={self.not_after})"


class IssuedCertificate(NamedTuple):
    """A certificate that was just made, and its key as PEM where that was made too. Times in unix seconds."""

    der: bytes
    fingerprint: bytes
    common_name: str
    serial: str
    not_before: int
    not_after: int
    private_key: bytes | None

    @property
    def certificate(self) -> Certificate:
        """All its facts, read from the DER."""
        return load_certificate_der(self.der)

    def __repr__(self) -> str:
        return f"IssuedCertificate({self.fingerprint.hex()})"


def load_signer(pair: PemPair) -> Signer:
    """The CA of this key and of the first of these certificates.

    Raises OperatorError where one cannot be read or they do not belong together.
    """
    (first, *_) = load_certificates(pair.certificate)
    certificate, key = first.parsed, load_private_key(pair.private_key)
    if certificate.public_key() != key.public_key():
        raise OperatorError("The CA's key does not belong to its certificate.")
    return Signer(certificate, _signing_with(key), first.not_after, _make_template(certificate, key))


def _make_template(certificate: x509.Certificate, key: PrivateKey) -> _Template:
    """The parts of one certificate that a library builds, so that the same profile is not built anew for each."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([_USERS, x509.NameAttribute(NameOID.COMMON_NAME, "0-0")]))
        .issuer_name(certificate.subject)
        .not_valid_before(moment(0))
        .not_valid_after(moment(1))
        .serial_number(1)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .add_extension(_NO_CA, critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(_CLIENT_AUTH, critical=False)
        .add_extension(_key_identifier(certificate, key), critical=False)
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    to_be_signed = builder.sign(key, algorithm).tbs_certificate_bytes
    version, _, signature, issuer, _, subject, _, extensions = elements(only_element(to_be_signed, SEQUENCE).body)
    organization, _ = elements(subject.body)
    return _Template(version.whole, signature.whole, issuer.whole, organization.whole, extensions.whole)


def _key_identifier(certificate: x509.Certificate, key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    """The CA's own identifier where it has one (RFC 5280 4.2.1.1): whoever made it need not have taken the SHA-1 that
    is made here otherwise, and openssl refuses a chain whose identifiers differ.
    """
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def common_name_for(uid: str, now: int, random_bytes: RandomBytes) -> str:
    """A user name for one credential of this person, never used before or again."""
    return f"{uid}-{now}{int.from_bytes(random_bytes(8)) % 10**9:09}"


def make_key(key_type: KeyType) -> PrivateKey:
    """A new private key."""
    if key_type is KeyType.RSA_2048:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if key_type is KeyType.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def make_key_pair(key_type: KeyType) -> tuple[bytes, bytes]:
    """A new private key and its public key, both DER."""
    key = make_key(key_type)
    private = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, _IN_THE_CLEAR)
    if private.startswith(_P256_PRIVATE):
        return private, _P256_PUBLIC + private[-_POINT_BYTES:]  # as long as to make the key takes to ask for it
    return private, _format_public_key(key.public_key())


def issue_client_certificate(
    signer: Signer,
    *,
    common_name: str,
    not_before: int,
    not_after: int,
    key: KeyType | PublicKey = KeyType.P256,
    random_bytes: RandomBytes = os.urandom,
) -> IssuedCertificate:
    """A certificate for a new key of this type, or for this key, valid from and until those moments, both included."""
    private_key, public_key = make_key_pair(key) if isinstance(key, KeyType) else (None, _format_public_key(key))
    serial = serial_number(random_bytes)
    template = signer.template
    to_be_signed = encode(
        SEQUENCE,
        template.version,
        encode_unsigned(serial),
        template.algorithm,
        template.issuer,
        encode(SEQUENCE, _encode_time(not_before), _encode_time(not_after)),
        encode(SEQUENCE, template.organization, _encode_common_name(common_name)),
        public_key,
        template.extensions,
    )
    signature = encode(BIT_STRING, b"\0", signer.sign(to_be_signed))
    der = encode(SEQUENCE, to_be_signed, template.algorithm, signature)
    return IssuedCertificate(
        der,
        sha256(der).digest(),
        common_name,
        f"{serial:x}",
        not_before,
        not_after,
        None if private_key is None else format_pem(b"PRIVATE KEY", private_key),
    )


def _signing_with(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return lambda data: key.sign(data, _ECDSA)
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign


def _encode_common_name(common_name: str) -> bytes:
    attribute = encode(SEQUENCE, _COMMON_NAME, encode(UTF8_STRING, common_name.encode()))
    return encode(SET, attribute)


@lru_cache(maxsize=64)  # what is issued within a second begins and ends together
def _encode_time(at: int) -> bytes:
    """A time as RFC 5280 4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime from then on."""
    text = format_time(at).translate(_NO_PUNCTUATION)  # YYYYMMDDhhmmssZ
    if at < _FIRST_GENERALIZED:
        return encode(UTC_TIME, text[2:].encode())
    return encode(GENERALIZED_TIME, text.encode())


def format_private_key(key: PrivateKey) -> bytes:
    """A private key as PEM (PKCS#8), in the clear."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _IN_THE_CLEAR)


def _format_public_key(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _p256_heads() -> tuple[bytes, bytes]:
    """What DER of a private and of a public key of P-256 begins with, before the secret and the point.

    The private key (RFC 5915) ends with the public point.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, _IN_THE_CLEAR)
    public = _format_public_key(key.public_key())
    assert private.endswith(public[-_POINT_BYTES:])
    return private[:36], public[:-_POINT_BYTES]


_P256_PRIVATE, _P256_PUBLIC = _p256_heads()
