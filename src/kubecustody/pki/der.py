"""The few bytes of a certificate that must be seen as they are written.

Go compares names as raw bytes and reads their strings by its own rules, while `cryptography` decodes names,
warns about long ones and about serial numbers of 0. So these fields are read from the DER itself; everything
else about a certificate comes from `cryptography`.
"""

from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass

INTEGER, BIT_STRING, OBJECT_IDENTIFIER, UTF8_STRING = 0x02, 0x03, 0x06, 0x0C
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
EXPLICIT_VERSION = 0xA0

# The string types that Go's crypto/x509 reads in a name (parser.go, parseASN1String). T61String is read as
# Latin-1 there, BMPString as UTF-16 without surrogates.
STRING_ENCODINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1E: "utf-16-be",
}


class DerMalformed(ValueError):
    """The bytes are not the DER that was expected. The text names the part, never its content."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value: `body` is the value, `whole` the value with its tag and length."""

    tag: int
    body: bytes
    whole: bytes


@dataclass(frozen=True, slots=True)
class RawFields:
    """What of a TBSCertificate (RFC 5280, 4.1) is needed byte by byte."""

    serial: bytes
    issuer: bytes
    subject: bytes
    public_key: bytes


def read_fields(certificate: bytes) -> RawFields:
    """Serial, names and key of a DER certificate. Raises DerMalformed."""
    outer = only_element(certificate, SEQUENCE)
    to_be_signed = next(elements(outer.body), None)
    if to_be_signed is None or to_be_signed.tag != SEQUENCE:
        raise DerMalformed("there is no TBSCertificate")
    parts = list(elements(to_be_signed.body))
    if parts and parts[0].tag == EXPLICIT_VERSION:
        parts.pop(0)
    if [part.tag for part in parts[:6]] != [INTEGER, *[SEQUENCE] * 5]:
        raise DerMalformed("the TBSCertificate lacks a field")
    serial, _algorithm, issuer, _validity, subject, public_key = parts[:6]
    return RawFields(serial.body, issuer.whole, subject.whole, public_key.whole)


def name_strings(name: bytes) -> Iterator[tuple[bytes, str]]:
    """Each (type, value) of a name, in order; the type is the OID's DER body. Raises DerMalformed."""
    for relative_name in elements(only_element(name, SEQUENCE).body):
        if relative_name.tag != SET:
            raise DerMalformed("a name is not a sequence of sets")
        for attribute in elements(relative_name.body):
            yield _attribute(attribute)


def _attribute(attribute: Element) -> tuple[bytes, str]:
    parts = list(elements(attribute.body)) if attribute.tag == SEQUENCE else []
    if len(parts) < 2 or parts[0].tag != OBJECT_IDENTIFIER:
        raise DerMalformed("a name has an attribute without type or value")
    encoding = STRING_ENCODINGS.get(parts[1].tag)
    if encoding is None:
        raise DerMalformed("a name has a string type that Kubernetes does not read")
    try:
        return parts[0].body, parts[1].body.decode(encoding)
    except UnicodeDecodeError:
        raise DerMalformed("a name has a string that breaks the rules of its type") from None


def encode(tag: int, *parts: bytes) -> bytes:
    """One element whose value is these parts, one after another."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def encode_unsigned(number: int) -> bytes:
    """An INTEGER that is not negative."""
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def format_pem(label: bytes, der: bytes) -> bytes:
    """PEM: lines of 64 characters (RFC 7468 2)."""
    text = b2a_base64(der, newline=False)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----\n"])


def only_element(data: bytes, tag: int) -> Element:
    """The one element that fills `data`. Raises DerMalformed if it is another, or bytes follow it."""
    found = list(elements(data, most=2))
    if len(found) != 1 or found[0].tag != tag:
        raise DerMalformed("the bytes are not one ASN.1 sequence")
    return found[0]


def elements(data: bytes, *, most: int = 1000) -> Iterator[Element]:
    """The elements that stand one after another in `data`, at most `most`. Raises DerMalformed."""
    offset = 0
    while offset < len(data) and most > 0:
        element = _element_at(data, offset)
        yield element
        offset += len(element.whole)
        most -= 1


def _element_at(data: bytes, offset: int) -> Element:
    header = data[offset : offset + 2]
    if len(header) < 2 or header[0] & 0x1F == 0x1F:
        raise DerMalformed("the bytes end early, or have a tag of several bytes")
    length, start = header[1], offset + 2
    if length >= 0x80:
        size = length - 0x80
        if not 1 <= size <= 4:
            raise DerMalformed("a length is not DER")
        length, start = int.from_bytes(data[start : start + size]), start + size
    if start + length > len(data):
        raise DerMalformed("the bytes end early")
    return Element(header[0], data[start : start + length], data[offset : start + length])
