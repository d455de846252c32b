"""PKCS#10 requests (RFC 2986): making one, and taking from one the key that its sender holds, and nothing else.

Subject and extensions of a request are wishes of whoever sends it; none of them reaches a certificate.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from kubecustody.core.errors import CertificateRequestRefused
from kubecustody.pki.certificates import PrivateKey

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

MOST_CHARACTERS = 16_384
_SHORTEST_RSA, _LONGEST_RSA = 2048, 4096
_BEGIN, _END = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"


def load_certificate_request(text: str) -> PublicKey:
    """The key that the sender of a request (PEM) proves to hold. Raises CertificateRequestRefused."""
    if len(text) > MOST_CHARACTERS:
        raise CertificateRequestRefused(f"it has more than {MOST_CHARACTERS} characters.")
    block = text.strip()
    if block.count("-----BEGIN ") != 1 or not (block.startswith(_BEGIN) and block.endswith(_END)):
        raise CertificateRequestRefused(f"it must be one PEM block, from {_BEGIN} to {_END}.")
    try:
        request = x509.load_pem_x509_csr(block.encode("ascii"))
        key = request.public_key()
        holds = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion):
        raise CertificateRequestRefused("it is not a well-formed PKCS#10 request of a known algorithm.") from None
    _check_key(key)
    if not holds:
        raise CertificateRequestRefused("its signature does not hold: it was not made with the key in it.")
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey)
    return key


def _check_key(key: object) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return
    if isinstance(key, rsa.RSAPublicKey):
        if not _SHORTEST_RSA <= key.key_size <= _LONGEST_RSA:
            raise CertificateRequestRefused(
                f"its RSA key has {key.key_size} bits; {_SHORTEST_RSA} to {_LONGEST_RSA} are taken."
            )
        if key.public_numbers().e != 65537:
            raise CertificateRequestRefused("the exponent of its RSA key must be 65537.")
        return
    raise CertificateRequestRefused("its key must be P-256, P-384, Ed25519 or RSA.")


def make_certificate_request(key: PrivateKey, *, common_name: str = "", organization: str = "") -> str:
    """A request (PEM) that proves to hold this key. Its subject is empty where the CA names the holder."""
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    subject = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name)]
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in subject if value])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")
