"""The body of a request: read within a size and a time, and hashed."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kubecustody.core.errors import BodyTooLarge, BodyTooSlow

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class ClientGone(Exception):
    """The client closed the connection before its body was whole; nobody reads an answer."""


async def read_body(
    headers: list[tuple[bytes, bytes]], receive: Receive, limit_bytes: int, limit_seconds: float
) -> tuple[bytes, str]:
    """The body and its SHA-256 (lower-case hex). Raises BodyTooLarge, BodyTooSlow, ClientGone."""
    if not _has_body(headers, limit_bytes):
        return b"", EMPTY_SHA256
    try:
        async with asyncio.timeout(limit_seconds):
            body = await _collect(receive, limit_bytes)
    except TimeoutError:
        raise BodyTooSlow(limit_seconds) from None
    return body, hashlib.sha256(body).hexdigest()


def _has_body(headers: list[tuple[bytes, bytes]], limit_bytes: int) -> bool:
    for name, value in headers:
        if name == b"transfer-encoding":
            return True
        if name == b"content-length" and value != b"0":
            if value.isdigit() and int(value[:20]) > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            return True
    return False


async def _collect(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
