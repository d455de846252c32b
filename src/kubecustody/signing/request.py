"""A request as a signature sees it: the bytes of the wire, before anything was decoded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from kubecustody.core.errors import ActionMismatch, VersionMismatch

_ECHO_MAX_BYTES = 128


class SignedRequest(NamedTuple):
    """One request that arrived.

    raw_path: the path as on the wire, still escaped, without the query.
    query_string: the bytes after `?`, empty where there are none.
    headers: in the order of arrival, names in lower case, doubles kept (the form of ASGI).
    body_sha256: lower-case hex SHA-256 of the body that really arrived, not of what a header claims.
    """

    method: str
    raw_path: bytes
    query_string: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body_sha256: str

    def __repr__(self) -> str:
        """Without query and headers: they may hold what no log may show."""
        return f"SignedRequest({self.method} {self.raw_path!r})"


def decode_query(query_string: bytes) -> list[tuple[bytes, bytes]]:
    """The parameters in the order of the wire, doubles kept, read as a form: `&` separates, `+` is a space.

    A field without `=` has an empty value; empty fields are left out; a `%` without two hex digits
    stands for itself. Decode parameters with this function only: it is what the signature covers.
    """
    if b"%" not in query_string and b"+" not in query_string:
        plain = (field.partition(b"=") for field in query_string.split(b"&") if field)
        return [(key, value) for key, _, value in plain]
    pairs = (field.partition(b"=") for field in query_string.split(b"&") if field)
    return [(_decode_form(key), _decode_form(value)) for key, _, value in pairs]


def _decode_form(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def has_dot_segment(raw_path: bytes) -> bool:
    """Whether a segment is `.` or `..`, escaped or not, a `/` that is escaped counting as a border too.

    Clients and proxies fold such segments away (RFC 3986 section 5.2.4), so that what was signed and
    what is routed could name two things.
    """
    if b"." not in raw_path and b"%" not in raw_path:
        return False
    return any(segment in (b".", b"..") for segment in unquote_to_bytes(raw_path).split(b"/"))


def check_route(headers: Mapping[bytes, bytes], action: str, version: str) -> None:
    """Raise ActionMismatch or VersionMismatch where a header names another operation or version than the routed one."""
    claimed = headers.get(b"x-acs-action")
    if claimed is not None and claimed.strip() != action.encode("ascii"):
        raise ActionMismatch(claimed=echo(claimed.strip()), routed=action)
    claimed = headers.get(b"x-acs-version")
    if claimed is not None and claimed.strip() != version.encode("ascii"):
        raise VersionMismatch(claimed=echo(claimed.strip()), spoken=version)


def echo(value: bytes) -> str:
    """A short text for an error, whatever bytes came."""
    return value[:_ECHO_MAX_BYTES].decode("ascii", "backslashreplace")
