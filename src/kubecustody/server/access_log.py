"""The access log: one JSON object a line. Lines are gathered and written five times a second, and at the stop.

Never in it: query, headers, bodies, signatures.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from select import PIPE_BUF
from typing import BinaryIO

import msgspec

log = logging.getLogger("kubecustody.server")

_PAUSE_SECONDS = 0.2
_LARGEST_GATHERING = 1000


class AccessLine(msgspec.Struct, gc=False):
    """One request.

    code: "" where it succeeded; legacy: whether it was signed in the older way; duration_us: from the end of its
    headers to the answer.
    """

    time: str
    request_id: str
    address: str
    method: str
    path: str
    operation: str
    status: int
    code: str
    account_id: str
    uid: str
    access_key_id: str
    legacy: bool
    duration_us: int


class AccessLog:
    """Writes access lines to a binary stream; None writes nothing."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._waiting: asyncio.TimerHandle | None = None
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: AccessLine) -> None:
        """Note one request."""
        if self._stream is None:
            return
        self._lines.append(self._encode(line))
        if len(self._lines) >= _LARGEST_GATHERING:
            self.flush()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was noted. A reader that went away (a closed pipe) ends the log, not the server; after any other
        fault, such as a full disk, these lines are lost, which is said, and the next ones are tried again.
        """
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._lines and self._stream is not None:
            lines, self._lines = self._lines, []
            try:
                for piece in _pieces(lines):
                    self._stream.write(piece)
                    self._stream.flush()
            except BrokenPipeError:
                log.error("the access log has no reader any more and ends")
                self._stream = None
            except OSError as error:
                log.error("%s lines of the access log could not be written: %s", len(lines), error.strerror)


def _pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """The lines in pieces that a pipe takes as a whole, so that workers never write into each other's lines.

    PIPE_BUF is what POSIX promises of write() to a pipe; a line is far shorter.
    """
    start, size = 0, 0
    for number, line in enumerate(lines):
        if size + len(line) >= PIPE_BUF:
            yield b"\n".join(lines[start:number]) + b"\n"
            start, size = number, 0
        size += len(line) + 1
    yield b"\n".join(lines[start:]) + b"\n"
