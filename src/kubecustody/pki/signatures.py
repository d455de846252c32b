"""Ed25519 signatures (RFC 8032): the installation's own over what it exports."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from kubecustody.core.errors import OperatorError

SEED_BYTES = 32


def public_pem(seed: bytes) -> bytes:
    """The public half of the key with this seed (32 bytes), PEM."""
    return _private(seed).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature over a message."""
    return _private(seed).sign(message)


def key_fingerprint(pem: bytes) -> str:
    """Lower-case hex SHA-256 of a public key as DER. Raises OperatorError unless it is one of Ed25519."""
    digest = Hash(SHA256())
    digest.update(_public(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def is_signed(pem: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature over the message is of this key. Raises OperatorError unless it is one of Ed25519."""
    try:
        _public(pem).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _private(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def _public(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise OperatorError("This is no public key of Ed25519 in PEM, which `kubecustody admin audit key` prints.")
    return key
