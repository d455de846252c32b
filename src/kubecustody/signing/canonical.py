"""The canonical spellings of a path and a query that clients of the provider sign.

The spellings of one thing decode to the same segments and parameters, so that trying several
never lets a signature speak for another request.
"""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from kubecustody.signing.request import decode_query

# RFC 3986 section 2.3: what is never escaped.
_UNRESERVED = rb"[A-Za-z0-9\-_.~]"
_PLAIN_PATH = re.compile(rb"(?:/" + _UNRESERVED + rb"*)+")
_PLAIN_FIELD = _UNRESERVED + rb"++=" + _UNRESERVED + rb"++"
_PLAIN_QUERY = re.compile(_PLAIN_FIELD + rb"(?:&" + _PLAIN_FIELD + rb")*+")


def escape(text: bytes) -> bytes:
    """Every byte but the unreserved ones as `%` and two upper-case hex digits (RFC 3986 section 2.1)."""
    return quote_from_bytes(text, safe="~").encode("ascii")


def canonical_paths(raw_path: bytes) -> tuple[bytes, ...]:
    """One to three spellings: the path as received, then each segment decoded and escaped anew, and the same with
    `!'()` left as they are.

    The second is for clients such as yarl, which un-escape characters after signing. The third is for the provider's
    Node SDK: it signs what JavaScript's encodeURIComponent makes, and sends the `'` of it escaped.
    """
    path = raw_path or b"/"
    if _PLAIN_PATH.fullmatch(path):
        return (path,)
    segments = [unquote_to_bytes(segment) for segment in path.split(b"/")]
    escaped, javascript = (
        b"/".join(quote_from_bytes(segment, safe=safe).encode("ascii") for segment in segments)
        for safe in ("~", "~!'()")
    )
    return tuple(dict.fromkeys((path, escaped, javascript)))


def canonical_queries(query_string: bytes) -> tuple[bytes, ...]:
    """One or two spellings, sorted by key and then value: empty values as `k=`, then as `k`."""
    if _PLAIN_QUERY.fullmatch(query_string):
        return (_sort_plain_query(query_string),)
    return spell_query(decode_query(query_string))


def spell_query(parameters: list[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    """The same for parameters that are decoded already."""
    pairs = [(escape(key), escape(value)) for key, value in sorted(parameters)]
    full = b"&".join(key + b"=" + value for key, value in pairs)
    # A nameless empty parameter keeps its `=`: without it, it would be no parameter at all.
    bare = b"&".join(key + b"=" + value if value or not key else key for key, value in pairs)
    return (full,) if bare == full else (full, bare)


def _sort_plain_query(query_string: bytes) -> bytes:
    """The shortcut for a query without anything to escape, which nearly all are."""
    # `=` becomes the lowest byte for a while: as it is, "a.b=" would sort before "a=".
    fields = sorted(query_string.replace(b"=", b"\0").split(b"&"))
    return b"&".join(fields).replace(b"\0", b"=")
