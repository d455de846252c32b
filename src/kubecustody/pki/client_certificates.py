"""Issuing client certificates for people: the one profile, by a CA whose key is kept here.

Subject: O exactly system:users, CN `{uid}-{suffix}` with a suffix of digits (unix seconds and nine random digits), so
that each credential has a user name of its own in Kubernetes and a restored backup never repeats one. EKU clientAuth,
serial of 128 random bits, backdated 5 minutes for clocks that run behind.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificate_requests import PublicKey
from kubecustody.pki.certificates import (
    Certificate,
    PrivateKey,
    load_certificate_der,
    load_certificates,
    load_private_key,
)
from kubecustody.pki.issuing import PemPair, leaf_usage, moment, serial_number
from kubecustody.pki.subjects import USERS_GROUP

RandomBytes = Callable[[int], bytes]

_USERS = x509.NameAttribute(NameOID.ORGANIZATION_NAME, USERS_GROUP)
_CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_LEAF_USAGE = leaf_usage()


class KeyType(StrEnum):
    """The kind of key that is made for a person."""

    P256 = "p256"
    RSA_2048 = "rsa2048"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA with its key, ready to sign. key_identifier: how what it signs names that key; not_after: unix seconds."""

    certificate: x509.Certificate
    key: PrivateKey
    key_identifier: x509.AuthorityKeyIdentifier
    not_after: int

    def __repr__(self) -> str:
        return f"Signer(not_after={self.not_after})"


class IssuedCertificate(NamedTuple):
    """A certificate that was just made, and its key as PEM where that was made too."""

    certificate: Certificate
    private_key: bytes | None

    def __repr__(self) -> str:
        return f"IssuedCertificate({self.certificate.fingerprint_hex})"


def load_signer(pair: PemPair) -> Signer:
    """The CA of this key and of the first of these certificates.

    Raises OperatorError where one cannot be read or they do not belong together.
    """
    (first, *_) = load_certificates(pair.certificate)
    certificate, key = first.parsed, load_private_key(pair.private_key)
    if certificate.public_key() != key.public_key():
        raise OperatorError("The CA's key does not belong to its certificate.")
    return Signer(certificate, key, _key_identifier(certificate, key), first.not_after)


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
    private_key = make_key(key) if isinstance(key, KeyType) else None
    public_key = private_key.public_key() if private_key is not None else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([_USERS, x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(signer.certificate.subject)
        .not_valid_before(moment(not_before))
        .not_valid_after(moment(not_after))
        .serial_number(serial_number(random_bytes))
        .public_key(cast("PublicKey", public_key))
        .add_extension(_NO_CA, critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(_CLIENT_AUTH, critical=False)
        .add_extension(signer.key_identifier, critical=False)
    )
    algorithm = None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.sign(signer.key, algorithm)
    certificate = load_certificate_der(made.public_bytes(serialization.Encoding.DER))
    return IssuedCertificate(certificate, None if private_key is None else format_private_key(private_key))


def format_private_key(key: PrivateKey) -> bytes:
    """A private key as PEM (PKCS#8), in the clear."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
