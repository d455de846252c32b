"""The HTTP protocol: uvicorn's on httptools, with what a server of keys needs beyond it.

- The head of a request is bounded in time and size: uvicorn waits for headers without end and keeps whatever comes,
  so a few slow or endless senders could hold a server's connections and memory.
- What is no HTTP at all is answered as every other error is, and logged and counted.
- At a stop, idle TLS connections are cut: uvloop would wait for each client's goodbye.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
LARGEST_HEAD_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers take longer than 20 seconds or more than 64 KiB."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._in_head = True
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the first head."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to an unfinished head; wait for the rest of it only so long."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self.transport.close()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head_bytes = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; `msg` is uvicorn's word for it."""
        answer = self.app.answer_malformed(self.client[0] if self.client else "")
        lines = [b"%s: %s\r\n" % header for header in (*answer.headers, (b"connection", b"close"))]
        self.transport.write(b"".join([b"HTTP/1.1 400 Bad Request\r\n", *lines, b"\r\n", answer.body]))
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection once nothing is under way on it."""
        if self.scheme == "https" and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)
