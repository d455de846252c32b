"""A TLS server on loopback that answers what a test writes, byte for byte.

async with ScriptedServer(answering(b"HTTP/1.1 200 OK\r\n...")) as server:
    Cluster(connections, server.access)
"""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Self

from kubecustody.cluster.access import Access
from kubecustody.pki.issuing import PemPair, make_ca
from kubecustody.pki.tls import make_server_certificate

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

NOW = int(time.time())
CA = make_ca("server CA", NOW, 1)
PAIR = make_server_certificate(CA, ["localhost", "127.0.0.1", "::1"], NOW)


class ScriptedServer:
    """Plays its script on every connection, once its request's head is read; `heads` are these, `connections` counts
    what was accepted, before TLS.
    """

    def __init__(self, script: Script, *, tls: bool = True, pair: PemPair = PAIR, host: str = "127.0.0.1") -> None:
        self._script, self._tls, self._pair, self._host = script, tls, pair, host
        self.heads: list[bytes] = []
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        context = _context(self._pair) if self._tls else None
        self._server = await asyncio.start_server(self._play, self._host, 0, ssl=context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.access = Access(f"https://127.0.0.1:{self.port}", CA.certificate)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # connections end a moment later

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                    await self._script(reader, writer)
        finally:
            self.ended.set()
            self._tasks.discard(task)
            writer.transport.abort()


def answering(*pieces: bytes, pause_seconds: float = 0) -> Script:
    """A script that sends these pieces, waiting before each."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            await asyncio.sleep(pause_seconds)
            writer.write(piece)
            await writer.drain()

    return script


def repeating(head: bytes, block: bytes, times: int | None = None) -> Script:
    """A script that sends a head and then a block, again and again."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        sent = 0
        while times is None or sent < times:
            writer.write(block)
            await writer.drain()
            # A connection that is broken takes all and makes nobody wait.
            await asyncio.sleep(0)
            sent += 1
            if writer.is_closing():
                return

    return script


def answer(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _context(pair: PemPair) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + b"\n" + pair.private_key)
        file.flush()
        context.load_cert_chain(file.name)
    return context
