"""Certificates and private keys as files hold them, read into facts.

PEM, DER and base64 of either are taken. Whatever cannot be read is told in one sentence that says what was
found and what is wanted, and never repeats content, since a private key may stand in the same file.
"""

import binascii
import hashlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

from kubecustody.core.errors import OperatorError
from kubecustody.pki.der import DerMalformed, RawFields, format_pem, name_strings, read_fields

MAX_FILE_BYTES = 1024 * 1024
MAX_CERTIFICATES = 100
WANTED = "wanted is a certificate as PEM, as DER, or as base64 of either"

# OIDs as DER bodies: 2.5.4.3 and 2.5.4.10 (RFC 5280, appendix A).
COMMON_NAME, ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"

# What Go's crypto/x509 handles when it is marked critical (parser.go, processExtensions, read for Go 1.26);
# nameConstraints is handled unless it holds a kind of name that Go does not compare.
HANDLED_BY_GO = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    }
)
NAMES_THAT_GO_COMPARES = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
POLICY_RULES = (ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.POLICY_MAPPINGS)

# A name of more than 64 characters somewhere in an extension is no fault: Go and Kubernetes take it.
warnings.filterwarnings("ignore", message="Attribute's length must be", category=UserWarning)
# It is refused below, in our own words.
warnings.filterwarnings("ignore", message="Parsed a serial number which wasn't positive")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extension = TypeVar("Extension", bound=x509.ExtensionType)


class CertificateUnreadable(OperatorError):
    """A file or text that should hold certificates does not."""


class PrivateKeyUnreadable(OperatorError):
    """A file or text that should hold a private key does not."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of one certificate. Times are unix seconds; both ends belong to the validity.

    `serial` is lower-case hex without leading zeros. `common_name` is the last CN of the subject, and None
    where that is absent or empty; `organizations` is every O in order: so Go's pkix.Name.FillFromRDNSequence
    reads a subject, and Kubernetes makes user name and groups of it
    (kubernetes.io/docs/reference/access-authn-authz/authentication/, "X509 client certificates").
    `is_ca` is basicConstraints CA:TRUE. `signs_certificates` is what key usage says of keyCertSign, None where
    key usage is absent or empty. `extended_key_usage` holds dotted OIDs and is empty where it is absent.
    `unhandled_critical` are the critical extensions that Go refuses.
    """

    der: bytes = field(repr=False)
    fingerprint: bytes
    serial: str
    common_name: str | None
    organizations: tuple[str, ...]
    not_before: int
    not_after: int
    version: int
    is_ca: bool
    path_length: int | None
    signs_certificates: bool | None
    extended_key_usage: tuple[str, ...]
    unhandled_critical: tuple[str, ...]
    subject_der: bytes = field(repr=False)
    issuer_der: bytes = field(repr=False)
    public_key_der: bytes = field(repr=False)
    alternative_names_der: bytes | None = field(repr=False)
    constrains_names: bool
    constrains_policies: bool
    parsed: x509.Certificate = field(repr=False, compare=False)

    @property
    def fingerprint_hex(self) -> str:
        """Lower-case hex SHA-256 of the DER certificate: what Kubernetes calls the credential id."""
        return self.fingerprint.hex()

    @property
    def key_sha256(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo: the same in every certificate of one key."""
        return hashlib.sha256(self.public_key_der).digest()

    @property
    def may_be_authority(self) -> bool:
        """Whether basicConstraints lets it sign certificates.

        Version 1 has no extensions, and Go takes such a root (x509.go, CheckSignatureFrom).
        """
        return self.is_ca or self.version == 1


def load_certificates(data: bytes) -> list[Certificate]:
    """1 to 100 certificates in the order of the file. Raises CertificateUnreadable.

    Text and other PEM blocks around PEM certificates are passed over; DER holds exactly one.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CertificateUnreadable(f"The file is larger than {MAX_FILE_BYTES} bytes; {WANTED}.")
    found = _certificates_der(_without_base64(data.removeprefix(b"\xef\xbb\xbf")))
    if len(found) > MAX_CERTIFICATES:
        raise CertificateUnreadable(f"The file holds {len(found)} certificates; at most 100 are taken.")
    return [_read_numbered(der, position, len(found)) for position, der in enumerate(found, 1)]


def format_certificates(certificates: Iterable[Certificate]) -> str:
    """These certificates as PEM text, one after the other."""
    return "".join(one.parsed.public_bytes(serialization.Encoding.PEM).decode("ascii") for one in certificates)


def format_ders(ders: Iterable[bytes]) -> bytes:
    """These DER certificates as PEM, one after the other."""
    return b"".join([format_pem(b"CERTIFICATE", der) for der in ders])


def load_certificate_der(der: bytes) -> Certificate:
    """The facts of one DER certificate. Raises CertificateUnreadable."""
    try:
        fields = read_fields(der)
        names = list(name_strings(fields.subject))
        list(name_strings(fields.issuer))
    except DerMalformed as fault:
        raise CertificateUnreadable(f"These bytes are not an X.509 certificate: {fault}.") from None
    _refuse_serial(fields.serial)
    # Many classes of errors, and warnings that a filter makes errors, come out of this library: one border.
    try:
        parsed = x509.load_der_x509_certificate(der)
        return _facts(parsed, der, fields, names)
    except Exception as fault:
        raise CertificateUnreadable(
            f"The certificate breaks X.509 in a way that cannot be read past ({type(fault).__name__}): "
            "have its issuer make it anew."
        ) from fault


def _facts(parsed: x509.Certificate, der: bytes, fields: RawFields, names: list[tuple[bytes, str]]) -> Certificate:
    extensions = parsed.extensions
    basic = _value(extensions, x509.BasicConstraints)
    alternative_names = _value(extensions, x509.SubjectAlternativeName)
    common_names = [value for kind, value in names if kind == COMMON_NAME]
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).digest(),
        serial=f"{int.from_bytes(fields.serial):x}",
        common_name=(common_names[-1] or None) if common_names else None,
        organizations=tuple(value for kind, value in names if kind == ORGANIZATION),
        not_before=int(parsed.not_valid_before_utc.timestamp()),
        not_after=int(parsed.not_valid_after_utc.timestamp()),
        version=parsed.version.value + 1,
        is_ca=basic is not None and basic.ca,
        path_length=basic.path_length if basic is not None else None,
        signs_certificates=_signs_certificates(_value(extensions, x509.KeyUsage)),
        extended_key_usage=tuple(usage.dotted_string for usage in _value(extensions, x509.ExtendedKeyUsage) or ()),
        unhandled_critical=tuple(extension.oid.dotted_string for extension in extensions if _go_refuses(extension)),
        subject_der=fields.subject,
        issuer_der=fields.issuer,
        public_key_der=fields.public_key,
        alternative_names_der=alternative_names.public_bytes() if alternative_names is not None else None,
        constrains_names=_value(extensions, x509.NameConstraints) is not None,
        constrains_policies=any(extension.oid in POLICY_RULES for extension in extensions),
        parsed=parsed,
    )


def _value(extensions: x509.Extensions, kind: type[Extension]) -> Extension | None:
    return next((one.value for one in extensions if isinstance(one.value, kind)), None)


def _signs_certificates(usage: x509.KeyUsage | None) -> bool | None:
    if usage is None:
        return None
    bits = (
        usage.digital_signature,
        usage.content_commitment,
        usage.key_encipherment,
        usage.data_encipherment,
        usage.key_agreement,
        usage.key_cert_sign,
        usage.crl_sign,
    )
    return usage.key_cert_sign if any(bits) else None


def _go_refuses(extension: x509.Extension[x509.ExtensionType]) -> bool:
    value = extension.value
    if not extension.critical:
        return False
    if isinstance(value, x509.SubjectAlternativeName):
        return not any(isinstance(name, NAMES_THAT_GO_COMPARES) for name in value)
    if isinstance(value, x509.NameConstraints):
        subtrees = [*(value.permitted_subtrees or ()), *(value.excluded_subtrees or ())]
        return not all(isinstance(name, NAMES_THAT_GO_COMPARES) for name in subtrees)
    return extension.oid not in HANDLED_BY_GO


def _refuse_serial(serial: bytes) -> None:
    # Go refuses a negative one since 1.23; `cryptography` announces to refuse 0 as well.
    number = int.from_bytes(serial, signed=True)
    if number <= 0:
        kind = "negative" if number < 0 else "0"
        raise CertificateUnreadable(
            f"The certificate's serial number is {kind}, which RFC 5280 (4.1.2.2) forbids: "
            "have its issuer make it anew."
        )


def _read_numbered(der: bytes, position: int, count: int) -> Certificate:
    try:
        return load_certificate_der(der)
    except CertificateUnreadable as fault:
        if count == 1:
            raise
        raise CertificateUnreadable(f"Certificate {position} of {count}: {fault}") from fault


# --- PEM, DER, base64 ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One PEM block: its label, and its lines between BEGIN and END without line ends."""

    label: str
    lines: tuple[bytes, ...] = field(repr=False)

    @property
    def encrypted_the_old_way(self) -> bool:
        """Whether a header says that the content is encrypted (RFC 1421, as OpenSSL writes it)."""
        return any(line.startswith(b"Proc-Type:") and b"ENCRYPTED" in line for line in self.lines)

    def content(self) -> bytes:
        """The decoded bytes. Raises ValueError."""
        return _decode_base64(b"".join(self.lines))

    def text(self) -> bytes:
        """The block as it stood, with one line end after each line."""
        label = self.label.encode()
        lines = (b"-----BEGIN " + label + b"-----", *self.lines, b"-----END " + label + b"-----")
        return b"\n".join(lines) + b"\n"


def pem_blocks(data: bytes) -> Iterator[PemBlock]:
    """The PEM blocks of a text in order; an END that is missing, or of another label, ends nothing.

    A block begins at the start of a line, as in Go. Raises CertificateUnreadable where a block has no end.
    """
    label, lines = None, list[bytes]()
    for raw_line in data.splitlines():
        line = raw_line.strip()
        begun = _label(raw_line, b"-----BEGIN ")
        if begun is not None:
            label, lines = begun, []
        elif label is not None and _label(line, b"-----END ") == label:
            yield PemBlock(label, tuple(lines))
            label = None
        elif label is not None:
            lines.append(line)
    if label is not None:
        raise CertificateUnreadable("A PEM block has a BEGIN line, and no END line that belongs to it.")


def has_pem(data: bytes) -> bool:
    """Whether some line begins a PEM block."""
    return data.startswith(b"-----BEGIN ") or b"\n-----BEGIN " in data


def is_der(data: bytes) -> bool:
    """Whether the bytes begin as DER of some size does: a SEQUENCE with a length of several bytes."""
    return len(data) > 1 and data[0] == 0x30 and 0x81 <= data[1] <= 0x84


def is_base64(data: bytes) -> bool:
    """Whether a text is nothing but base64, white space aside."""
    try:
        return len(_decode_base64(data)) > 0
    except ValueError:
        return False


def _label(line: bytes, start: bytes) -> str | None:
    line = line.rstrip()
    if not line.startswith(start) or not line.endswith(b"-----") or len(line) > 100:
        return None
    return line[len(start) : -5].decode("ascii", "replace")


def _decode_base64(data: bytes) -> bytes:
    # binascii.Error is a ValueError.
    return binascii.a2b_base64(b"".join(data.split()), strict_mode=True)


def _without_base64(data: bytes) -> bytes:
    if has_pem(data) or is_der(data):
        return data
    try:
        return _decode_base64(data)
    except ValueError:
        return data


def _certificates_der(data: bytes) -> list[bytes]:
    if has_pem(data):
        return _certificates_of_pem(data)
    if is_der(data):
        return [data]
    what = "nothing" if not data.strip() else "neither PEM nor DER nor base64 of either"
    raise CertificateUnreadable(f"The file holds {what}; {WANTED}.")


def _certificates_of_pem(data: bytes) -> list[bytes]:
    blocks = list(pem_blocks(data))
    found = [block for block in blocks if block.label == "CERTIFICATE"]
    if not found:
        labels = ", ".join(sorted({_shown(block.label) for block in blocks})) or "no complete block"
        raise CertificateUnreadable(f"The PEM file holds {labels}, and no CERTIFICATE; {WANTED}.")
    try:
        return [block.content() for block in found]
    except ValueError:
        raise CertificateUnreadable("A CERTIFICATE block of the PEM file is not base64.") from None


def _shown(label: str) -> str:
    plain = label.replace(" ", "").isalnum() and label.isascii() and len(label) <= 40
    return label if plain else "a block with an odd name"


# --- private keys -------------------------------------------------------------------------------------------


def holds_private_key(data: bytes) -> bool:
    """Whether a PEM text has a private key of any kind in it, readable or not."""
    return any((_label(line, b"-----BEGIN ") or "").endswith("PRIVATE KEY") for line in data.splitlines())


def private_key_pem(data: bytes) -> bytes | None:
    """The first private key block of a PEM text, alone. Raises CertificateUnreadable for an unended block."""
    block = next((one for one in pem_blocks(data) if one.label.endswith("PRIVATE KEY")), None)
    return block.text() if block is not None else None


def load_private_key(data: bytes) -> PrivateKey:
    """The first private key of a PEM text: EC, RSA or Ed25519. Raises PrivateKeyUnreadable."""
    if len(data) > MAX_FILE_BYTES:
        raise PrivateKeyUnreadable(f"The key file is larger than {MAX_FILE_BYTES} bytes.")
    try:
        block = next((one for one in pem_blocks(data) if one.label.endswith("PRIVATE KEY")), None)
    except CertificateUnreadable as fault:
        raise PrivateKeyUnreadable(str(fault)) from None
    if block is None:
        raise PrivateKeyUnreadable("There is no private key; wanted is one as PEM, without passphrase.")
    if block.label == "ENCRYPTED PRIVATE KEY" or block.encrypted_the_old_way:
        raise PrivateKeyUnreadable(
            "The private key is encrypted with a passphrase; decrypt it with `openssl pkey` first."
        )
    return _load_plain_key(block)


def _load_plain_key(block: PemBlock) -> PrivateKey:
    # One border for the many errors of the library; its texts stay out, since they speak of a key.
    try:
        key = serialization.load_pem_private_key(block.text(), password=None)
    except Exception:
        raise PrivateKeyUnreadable("The private key is damaged, or of a kind that is not known.") from None
    if not isinstance(key, PrivateKey):
        raise PrivateKeyUnreadable("The private key is neither EC nor RSA nor Ed25519.")
    return key


def key_matches(certificate: Certificate, key: PrivateKey) -> bool:
    """Whether the certificate is about this key."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public == certificate.public_key_der
