"""ACS3-HMAC-SHA256: read what a request claims, verify that it holds, and sign requests of our own.

The form is the provider's (page "Request syntax and signature method V3", read 2026-11-24); that every
x-acs-* header must be signed and that nothing is taken twice is stricter here. The steps:

`read_claim`, without any secret:
 1. The message has one length: Content-Length and Transfer-Encoding never come together.
 2. Authorization came once and gives algorithm, access key, signed headers and 32 bytes of signature.
 3. `host` and every x-acs-* header that came are signed, and no signed header came twice.
 4. x-acs-date is a real time within 15 minutes of now, either way.
 5. x-acs-signature-nonce has 1..128 bytes.
 6. x-acs-content-sha256 is the hash of the body that arrived.
 7. x-acs-action and x-acs-version, where sent, are those of the routed operation.
 8. Every signed header came; with their values the part of the canonical request from the headers on stands.
`verify_signature`, with the secret of the access key:
 9. Write the canonical request in each spelling that clients sign, the usual one first.
10. The string to sign is the algorithm and the hash of that text.
11. Its HMAC under the secret is the signature, compared in constant time.

What the caller still owes:
- before: limits on the number and size of headers and on the body; `body_sha256` of the very bytes that
  it will decode; the route from the same raw path, without dot segments (`has_dot_segment`).
- between: does the key exist, is it alive, which secret is its; does a temporary key come with its own
  security token, and a permanent one with none.
- after, and only after step 11, else anyone could spend the nonces of others: is the nonce new. It is to be
  remembered, per account and access key, until `nonce_expires_at`.
- parameters from `decode_query`, and a doubled one that is not a list refused.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

from kubecustody.core.errors import (
    ContentHashMismatch,
    ContentHashMissing,
    NonceMalformed,
    NonceMissing,
    SignatureIncomplete,
    SignatureMethodUnknown,
    SignatureMismatch,
    TimestampExpired,
    TimestampMalformed,
    TimestampMissing,
)
from kubecustody.signing.canonical import canonical_paths, canonical_queries, spell_query
from kubecustody.signing.request import SignedRequest, check_route, echo

ALGORITHM = "ACS3-HMAC-SHA256"
CLOCK_SKEW_SECONDS = 900
NONCE_MAX_BYTES = 128
_MOST_SIGNED_HEADERS = 64

_CREDENTIAL_PART = re.compile(
    rb"ACS3-HMAC-SHA256 Credential=([A-Za-z0-9._\-]{1,128}),SignedHeaders=([a-z0-9._\-;]{1,2048})"
)
_SIGNATURE = re.compile(rb"[0-9A-Fa-f]{64}")
_DATE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z")
_DATE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TOKEN_LINE = re.compile(rb"^(x-acs-security-token:).*$", re.MULTILINE)
_NO_NAMES: frozenset[bytes] = frozenset()
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Claim(NamedTuple):
    """What a request says of itself; nothing of it is proven before `verify_signature` has returned.

    signed_at, nonce_expires_at: unix seconds. signed_headers: sorted, lower case.
    canonical_tail: the canonical request from its headers to its end.
    """

    access_key_id: str
    signed_headers: tuple[bytes, ...]
    signature: bytes
    signed_at: int
    nonce: str
    nonce_expires_at: int
    security_token: str | None
    canonical_tail: bytes

    def __repr__(self) -> str:
        """Without signature, token and headers: no log may show them."""
        return f"Claim(access_key_id={self.access_key_id!r}, signed_at={self.signed_at})"


class SignedOutgoing(NamedTuple):
    """A request to send. `target` is path and query exactly as signed; `headers` include Authorization."""

    target: str
    headers: list[tuple[str, str]]


class _CredentialPart(NamedTuple):
    """What stands in Authorization before the signature.

    tail_template: the canonical request from its headers to its end, with `%b` for each header's value
    and for the hash of the body.
    """

    access_key_id: str
    signed_headers: tuple[bytes, ...]
    covered: frozenset[bytes]
    tail_template: bytes


# --- reading -------------------------------------------------------------------------------------------


def read_claim(request: SignedRequest, *, now: float, action: str, version: str) -> Claim:
    """What the request claims, as far as that can be checked without its secret: steps 1 to 8.

    now: unix seconds. action, version: those of the routed operation. Raises a SignatureError.
    """
    headers = dict(request.headers)
    doubled = _NO_NAMES if len(headers) == len(request.headers) else _doubled_names(request.headers)
    # 1
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise SignatureIncomplete("Content-Length and Transfer-Encoding exclude each other")
    # 2
    credential, signature = _read_authorization(headers, doubled)
    # 3
    _check_coverage(headers, doubled, credential)
    # 4
    signed_at = _read_date(headers, now)
    # 5
    nonce = _read_nonce(headers)
    # 6
    content_hash = _read_content_hash(headers, request.body_sha256)
    # 7
    check_route(headers, action, version)
    # 8
    canonical_tail = _fill_tail(headers, credential, content_hash)
    token = headers.get(b"x-acs-security-token")
    return Claim(
        access_key_id=credential.access_key_id,
        signed_headers=credential.signed_headers,
        signature=signature,
        signed_at=signed_at,
        nonce=nonce,
        nonce_expires_at=signed_at + CLOCK_SKEW_SECONDS,
        security_token=None if token is None else token.strip().decode("latin-1"),
        canonical_tail=canonical_tail,
    )


def _doubled_names(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[bytes]:
    seen: set[bytes] = set()
    doubled: set[bytes] = set()
    for name, _ in headers:
        (doubled if name in seen else seen).add(name)
    return frozenset(doubled)


def _read_authorization(headers: Mapping[bytes, bytes], doubled: frozenset[bytes]) -> tuple[_CredentialPart, bytes]:
    value = headers.get(b"authorization", b"").strip()
    if not value:
        raise SignatureIncomplete("the Authorization header is missing")
    if b"authorization" in doubled:
        raise SignatureIncomplete("the Authorization header came twice")
    before, _, signature = value.rpartition(b",Signature=")
    credential = _read_credential_part(before)
    if credential is None or not _SIGNATURE.fullmatch(signature):
        raise _authorization_fault(value)
    return credential, bytes.fromhex(signature.decode("ascii"))


@lru_cache(maxsize=256)  # it stays the same from one request of a client to the next
def _read_credential_part(text: bytes) -> _CredentialPart | None:
    match = _CREDENTIAL_PART.fullmatch(text)
    if match is None:
        return None
    access_key_id, signed_headers = match.groups()
    names = signed_headers.split(b";")
    if len(names) > _MOST_SIGNED_HEADERS:
        raise SignatureIncomplete(f"SignedHeaders may name at most {_MOST_SIGNED_HEADERS} headers")
    covered = frozenset(names)
    if b"" in covered or names != sorted(covered):
        raise SignatureIncomplete("SignedHeaders must be sorted and name nothing twice")
    if b"host" not in covered:
        raise SignatureIncomplete("host must be among the SignedHeaders")
    return _CredentialPart(access_key_id.decode("ascii"), tuple(names), covered, _tail_template(names, signed_headers))


def _tail_template(names: Sequence[bytes], signed_headers: bytes) -> bytes:
    lines = [name + b":%b" for name in names]
    return b"\n".join([*lines, b"", signed_headers, b"%b"])


def _authorization_fault(value: bytes) -> SignatureIncomplete | SignatureMethodUnknown:
    algorithm = value.split(None, 1)[0]
    if algorithm != ALGORITHM.encode("ascii"):
        return SignatureMethodUnknown(echo(algorithm))
    return SignatureIncomplete(
        "Authorization must read ACS3-HMAC-SHA256 Credential=<access key id>,"
        "SignedHeaders=<names separated by ;>,Signature=<64 hex digits>"
    )


def _check_coverage(headers: Mapping[bytes, bytes], doubled: frozenset[bytes], credential: _CredentialPart) -> None:
    for name in headers.keys() - credential.covered:
        if name.startswith(b"x-acs-"):
            raise SignatureIncomplete(f"{echo(name)} must be among the SignedHeaders")
    if not credential.covered.isdisjoint(doubled):
        raise SignatureIncomplete(f"{echo(min(credential.covered & doubled))} came twice")


def _read_date(headers: Mapping[bytes, bytes], now: float) -> int:
    value = headers.get(b"x-acs-date")
    if value is None:
        raise TimestampMissing()
    signed_at = _parse_date(value.strip())
    if signed_at is None:
        raise TimestampMalformed(echo(value.strip()))
    if abs(now - signed_at) > CLOCK_SKEW_SECONDS:
        raise TimestampExpired(_format_date(signed_at), server_time=_format_date(now))
    return signed_at


@lru_cache(maxsize=64)  # thousands of requests bear the same second
def _parse_date(text: bytes) -> int | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return int(datetime.fromisoformat(text.decode("ascii")).timestamp())
    except ValueError:
        return None  # the 30th of February


def _format_date(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime(_DATE_FORMAT)


def _read_nonce(headers: Mapping[bytes, bytes]) -> str:
    """Trimmed as the canonical request has it, else blanks around it would make a spent nonce a new one."""
    value = headers.get(b"x-acs-signature-nonce")
    if value is None:
        raise NonceMissing
    value = value.strip()
    if not 1 <= len(value) <= NONCE_MAX_BYTES:
        raise NonceMalformed(NONCE_MAX_BYTES)
    return value.decode("latin-1")


def _read_content_hash(headers: Mapping[bytes, bytes], body_sha256: str) -> bytes:
    """As sent, which is how it was signed; hex digits of either case are the same hash."""
    value = headers.get(b"x-acs-content-sha256")
    if value is None:
        raise ContentHashMissing
    value = value.strip()
    if not hmac.compare_digest(value.lower(), body_sha256.encode("ascii")):
        raise ContentHashMismatch(claimed=echo(value), actual=body_sha256)
    return value


def _fill_tail(headers: Mapping[bytes, bytes], credential: _CredentialPart, content_hash: bytes) -> bytes:
    try:
        values = [headers[name].strip() for name in credential.signed_headers]
    except KeyError as error:
        missing = echo(error.args[0])
        raise SignatureIncomplete(f"{missing} is among the SignedHeaders but was not sent") from None
    return credential.tail_template % (*values, content_hash)


# --- verifying -----------------------------------------------------------------------------------------


def verify_signature(request: SignedRequest, claim: Claim, secret: bytes) -> None:
    """Return if the holder of the secret signed this request: steps 9 to 11; else raise SignatureMismatch.

    `claim` must be what `read_claim` gave for this request. SignatureIncomplete is raised where a line
    break inside a part would let two requests have one canonical text.
    """
    # 9
    method = request.method.encode()
    paths, queries = canonical_paths(request.raw_path), canonical_queries(request.query_string)
    primary = b"\n".join((method, paths[0], queries[0], claim.canonical_tail))
    if primary.count(b"\n") != len(claim.signed_headers) + 5:
        raise SignatureIncomplete("the request has a line break where none belongs")
    # 10, 11
    if _holds(primary, claim, secret):
        return
    for path, query in list(product(paths, queries))[1:]:
        if _holds(b"\n".join((method, path, query, claim.canonical_tail)), claim, secret):
            return
    raise _mismatch(primary)


def _holds(canonical_request: bytes, claim: Claim, secret: bytes) -> bool:
    return hmac.compare_digest(_signature(canonical_request, secret), claim.signature)


def _string_to_sign(canonical_request: bytes) -> bytes:
    return b"ACS3-HMAC-SHA256\n" + sha256(canonical_request).hexdigest().encode("ascii")


def _signature(canonical_request: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, _string_to_sign(canonical_request), "sha256")


def _mismatch(canonical_request: bytes) -> SignatureMismatch:
    masked = _TOKEN_LINE.sub(rb"\1***", canonical_request)
    return SignatureMismatch(
        string_to_sign=_string_to_sign(canonical_request).decode("ascii"),
        canonical_request=masked.decode("utf-8", "backslashreplace"),
    )


# --- signing -------------------------------------------------------------------------------------------


def sign_request(
    *,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    host: str,
    action: str,
    version: str,
    access_key_id: str,
    secret: bytes,
    signed_at: int,
    nonce: str,
    body: bytes = b"",
    content_type: str | None = None,
    security_token: str | None = None,
    extra_headers: Mapping[str, str] = _NO_HEADERS,
) -> SignedOutgoing:
    """A request that `verify_signature` takes; every header that it returns is signed.

    path: already escaped. host: with the port where the client sends one. signed_at: unix seconds.
    Names of extra headers are made lower case. Raises ValueError where path or a header is not ASCII.
    """
    content_hash = sha256(body).hexdigest()
    headers = {name.lower(): value for name, value in extra_headers.items()}
    headers |= {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": content_hash,
        "x-acs-date": _format_date(signed_at),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    if content_type is not None:
        headers["content-type"] = content_type
    if security_token is not None:
        headers["x-acs-security-token"] = security_token
    names = sorted(headers)
    signed_headers = ";".join(names)
    values = [headers[name].strip().encode("ascii") for name in names]
    template = _tail_template([name.encode("ascii") for name in names], signed_headers.encode("ascii"))
    tail = template % (*values, content_hash.encode("ascii"))
    query_text = spell_query([(key.encode(), value.encode()) for key, value in query])[0]
    canonical_request = b"\n".join((method.encode("ascii"), path.encode("ascii"), query_text, tail))
    signature = _signature(canonical_request, secret).hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={signature}"
    )
    target = f"{path}?{query_text.decode('ascii')}" if query else path
    return SignedOutgoing(target, list(headers.items()))
