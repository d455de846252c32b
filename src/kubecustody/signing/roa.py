"""The older signature of ROA style, HMAC-SHA1: read what a request claims, and verify that it holds.

Clients that no longer change sign so. The form (the provider calls it "V2 for ROA") is read from what
aliyun-python-sdk-core 2.16.1 and @alicloud/pop-core 1.8.0 sign, run on 2026-11-24. It is weaker than ACS3:
it does not cover Host, it covers a body only through Content-MD5, and it writes the query decoded, so that
`?ids=a%26force%3Dtrue` and `?ids=a&force=true` would have one signature; what could be read in two ways is
refused. The steps:

`read_claim`, without any secret:
 1. The message has one length: Content-Length and Transfer-Encoding never come together.
 2. No header that this form signs came twice.
 3. Authorization gives access key and 20 bytes of signature.
 4. x-acs-signature-method and x-acs-signature-version, where sent, are those of this form.
 5. Date is a real time within 15 minutes of now, either way.
 6. x-acs-signature-nonce, where sent, has 1..128 bytes.
 7. Content-MD5 is the hash of the body that arrived; only a request without body may leave it out.
 8. x-acs-action and x-acs-version, where sent, are those of the routed operation.
 9. With the signed headers the string to sign stands up to the path.
`verify_signature`, with the secret of the access key:
10. Path and query have one reading once they are decoded.
11. Write the string to sign in each spelling that clients sign, the usual one first.
12. Its HMAC under the secret is the signature, compared in constant time.

What the caller still owes:
- before: the limits, the route and the body's hash as in `signing.acs3`; whether this form is wanted at all.
- between: does the key exist, is it alive, which secret is its; does a temporary key come with its own
  security token, and a permanent one with none.
- after, and only after step 12: is the nonce new. Where the client sent none, the signature's bytes are the
  nonce for an operation that does more than read; one that only reads may be repeated, since clients send
  equal requests within one second. Either is to be remembered, per account and access key, until
  `nonce_expires_at`.
- parameters from `decode_query`, and a doubled one that is not a list refused.
"""

import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from kubecustody.core.errors import (
    NonceMalformed,
    SignatureIncomplete,
    SignatureMethodUnknown,
    SignatureMismatch,
    TimestampExpired,
    TimestampMalformed,
    TimestampMissing,
)
from kubecustody.signing.acs3 import CLOCK_SKEW_SECONDS, NONCE_MAX_BYTES
from kubecustody.signing.request import SignedRequest, check_route, decode_query, echo

SCHEME = b"acs"

# The order in which the string to sign has them.
_FIRST_LINES = (b"accept", b"content-md5", b"content-type", b"date")
_SIGNED_NAMES = frozenset((*_FIRST_LINES, b"authorization"))
_AUTHORIZATION = re.compile(rb"acs ([A-Za-z0-9._\-]{1,128}):([A-Za-z0-9+/]{27}=)")
_DATE = re.compile(rb"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
_TOKEN_LINE = re.compile(rb"^(x-acs-security-token:).*$", re.MULTILINE)
_BLANKS_TO_SPACES = bytes.maketrans(b"\t\n\r\f", b"    ")
_EMPTY_SHA256 = sha256(b"").hexdigest()
_EMPTY_MD5 = b"1B2M2Y8AsgTpgAmY7PhCfg=="
_ACS3_INSTEAD = "this older signature could be read in two ways; sign with ACS3-HMAC-SHA256 instead"


class RoaClaim(NamedTuple):
    """What a request says of itself; nothing of it is proven before `verify_signature` has returned.

    signature: the decoded bytes, since base64 has several spellings of them. signed_at, nonce_expires_at:
    unix seconds. nonce: None where the client sent none. canonical_head: the string to sign up to the path.
    """

    access_key_id: str
    signature: bytes
    signed_at: int
    nonce: str | None
    nonce_expires_at: int
    security_token: str | None
    canonical_head: bytes

    def __repr__(self) -> str:
        """Without signature, token and headers: no log may show them."""
        return f"RoaClaim(access_key_id={self.access_key_id!r}, signed_at={self.signed_at})"


# --- reading -------------------------------------------------------------------------------------------


def read_claim(request: SignedRequest, *, now: float, action: str, version: str, body_md5: bytes | None) -> RoaClaim:
    """What the request claims, as far as that can be checked without its secret: steps 1 to 9.

    now: unix seconds. action, version: those of the routed operation. body_md5: the 16 bytes of the MD5 of
    the body that arrived, None only where it is empty. Raises a SignatureError.
    """
    # 1
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and b"content-length" in names:
        raise SignatureIncomplete("Content-Length and Transfer-Encoding exclude each other")
    # 2
    signed = _read_signed_headers(request.headers)
    # 3
    access_key_id, signature = _read_authorization(signed)
    # 4
    _check_method(signed)
    # 5
    signed_at = _read_date(signed, now)
    # 6
    nonce = _read_nonce(signed)
    # 7
    _check_body(signed, request.body_sha256, body_md5)
    # 8
    check_route(signed, action, version)
    # 9
    canonical_head = _write_head(request.method, signed)
    token = signed.get(b"x-acs-security-token")
    return RoaClaim(
        access_key_id=access_key_id,
        signature=signature,
        signed_at=signed_at,
        nonce=nonce,
        nonce_expires_at=signed_at + CLOCK_SKEW_SECONDS,
        security_token=None if token is None else token.decode("latin-1"),
        canonical_head=canonical_head,
    )


def _read_signed_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that this form signs, and Authorization.

    Each value is as the string to sign has it: what is read from another spelling, such as a nonce with a
    tab for a space, could be changed under the same signature.
    """
    signed: dict[bytes, bytes] = {}
    for name, value in headers:
        if name.startswith(b"x-acs-"):
            value = value.translate(_BLANKS_TO_SPACES)
        elif name not in _SIGNED_NAMES:
            continue
        if name in signed:
            raise SignatureIncomplete(f"{echo(name)} came twice")
        signed[name] = value.strip()
    return signed


def _read_authorization(signed: Mapping[bytes, bytes]) -> tuple[str, bytes]:
    value = signed.get(b"authorization", b"")
    if not value:
        raise SignatureIncomplete("the Authorization header is missing")
    match = _AUTHORIZATION.fullmatch(value)
    if match is None:
        raise _authorization_fault(value)
    access_key_id, signature = match.groups()
    return access_key_id.decode("ascii"), a2b_base64(signature)


def _authorization_fault(value: bytes) -> SignatureIncomplete | SignatureMethodUnknown:
    scheme = value.split(None, 1)[0]
    if scheme != SCHEME:
        return SignatureMethodUnknown(echo(scheme))
    return SignatureIncomplete("Authorization must read acs <access key id>:<base64 of the HMAC-SHA1>")


def _check_method(signed: Mapping[bytes, bytes]) -> None:
    method = signed.get(b"x-acs-signature-method", b"HMAC-SHA1")
    if method != b"HMAC-SHA1":
        raise SignatureMethodUnknown(echo(method))
    version = signed.get(b"x-acs-signature-version", b"1.0")
    if version != b"1.0":
        raise SignatureIncomplete(f"x-acs-signature-version is {echo(version)!r}, but with HMAC-SHA1 it is 1.0")


def _read_date(signed: Mapping[bytes, bytes], now: float) -> int:
    value = signed.get(b"date")
    if value is None:
        raise TimestampMissing("Date")
    signed_at = _parse_date(value)
    if signed_at is None:
        raise TimestampMalformed(echo(value), "Date")
    if abs(now - signed_at) > CLOCK_SKEW_SECONDS:
        raise TimestampExpired(echo(value), formatdate(now, usegmt=True), header="Date")
    return signed_at


@lru_cache(maxsize=64)  # thousands of requests bear the same second
def _parse_date(text: bytes) -> int | None:
    """Unix seconds of a date as RFC 9110 section 5.6.7 prefers it (RFC 1123, GMT), weekday included."""
    if not _DATE.fullmatch(text):
        return None
    spelled = text.decode("ascii")
    try:
        signed_at = int(parsedate_to_datetime(spelled).timestamp())
    except ValueError:
        return None  # the 30th of February
    return signed_at if formatdate(signed_at, usegmt=True) == spelled else None


def _read_nonce(signed: Mapping[bytes, bytes]) -> str | None:
    value = signed.get(b"x-acs-signature-nonce")
    if value is None:
        return None
    if not 1 <= len(value) <= NONCE_MAX_BYTES:
        raise NonceMalformed(NONCE_MAX_BYTES)
    return value.decode("latin-1")


def _check_body(signed: Mapping[bytes, bytes], body_sha256: str, body_md5: bytes | None) -> None:
    """A hash that was sent is checked without a body too, else a signed body could be taken away."""
    if body_md5 is None:
        if body_sha256 != _EMPTY_SHA256:
            raise ValueError("body_md5 may be None only where the body is empty")
        actual = _EMPTY_MD5
    else:
        actual = b2a_base64(body_md5, newline=False)
    claimed = signed.get(b"content-md5", b"")
    if not claimed:
        if actual == _EMPTY_MD5:
            return
        raise SignatureIncomplete(
            "a body is signed only through Content-MD5: send the base64 of the body's MD5, "
            "or sign with ACS3-HMAC-SHA256"
        )
    if not hmac.compare_digest(claimed, actual):
        raise SignatureIncomplete(
            f"Content-MD5 is {echo(claimed)}, but the body that arrived has {actual.decode('ascii')}"
        )


def _write_head(method: str, signed: Mapping[bytes, bytes]) -> bytes:
    first = (method.encode(), *(signed.get(name, b"") for name in _FIRST_LINES))
    if any(b"\n" in line for line in first):
        raise SignatureIncomplete("the request has a line break where none belongs")
    own = [name + b":" + signed[name] for name in sorted(signed) if name.startswith(b"x-acs-")]
    return b"\n".join((*first, *own, b""))


# --- verifying -----------------------------------------------------------------------------------------


def verify_signature(request: SignedRequest, claim: RoaClaim, secret: bytes) -> None:
    """Return if the holder of the secret signed this request: steps 10 to 12; else raise SignatureMismatch.

    `claim` must be what `read_claim` gave for this request. SignatureIncomplete is raised where path or
    query could be read in two ways.
    """
    parameters = decode_query(request.query_string)
    # 10
    _refuse_ambiguous_path(request.raw_path)
    _refuse_ambiguous_query(parameters)
    # 11
    resources = _spell_resources(request.raw_path, parameters)
    # 12
    for resource in resources:
        if hmac.compare_digest(hmac.digest(secret, claim.canonical_head + resource, "sha1"), claim.signature):
            return
    raise _mismatch(claim, resources[0])


def _refuse_ambiguous_path(raw_path: bytes) -> None:
    """Clients sign the path as sent or decoded; both are tried, so neither may be the other of another path."""
    decoded = unquote_to_bytes(raw_path)
    if not raw_path.startswith(b"/") or decoded.count(b"/") != raw_path.count(b"/"):
        raise SignatureIncomplete(f"the path has an escaped / or begins without one: {_ACS3_INSTEAD}")
    for sign, text in ((b"?", "?"), (b"%", "%"), (b"\n", "line break")):
        if sign in decoded:
            raise SignatureIncomplete(f"the decoded path has a {text}: {_ACS3_INSTEAD}")


def _refuse_ambiguous_query(parameters: Sequence[tuple[bytes, bytes]]) -> None:
    for name, value in parameters:
        if b"&" in name or b"=" in name:
            raise SignatureIncomplete(f"the name of the parameter {echo(name)!r} has a & or =: {_ACS3_INSTEAD}")
        if b"&" in value:
            raise SignatureIncomplete(f"the value of the parameter {echo(name)!r} has a &: {_ACS3_INSTEAD}")


def _spell_resources(raw_path: bytes, parameters: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """One to four spellings of path and decoded query, the usual one first.

    The path as sent, then decoded, for clients whose HTTP library escapes after signing; for each, empty
    values as `k=`, then as `k`.
    """
    pairs = sorted(parameters)
    full = b"&".join(name + b"=" + value for name, value in pairs)
    # A nameless empty parameter keeps its `=`: without it, it would be no parameter at all.
    bare = b"&".join(name + b"=" + value if value or not name else name for name, value in pairs)
    return [
        path + b"?" + query if pairs else path
        for path in dict.fromkeys((raw_path, unquote_to_bytes(raw_path)))
        for query in dict.fromkeys((full, bare))
    ]


def _mismatch(claim: RoaClaim, resource: bytes) -> SignatureMismatch:
    text = _TOKEN_LINE.sub(rb"\1***", claim.canonical_head) + resource
    return SignatureMismatch(string_to_sign=text.decode("utf-8", "backslashreplace"), canonical_request="")
