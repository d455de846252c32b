"""Load on the loopback: requests signed ahead, kept connections, every answer checked.

The client does as little as it can between two requests, and its CPU is not the server's: what is measured
is the CPU time of the server process alone.
"""

import asyncio
import gc
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import uvloop

from bench.servers import Server
from kubecustody.signing.acs3 import SignedOutgoing, sign_request

Sign: TypeAlias = Callable[..., SignedOutgoing]

# What the provider's Python SDK sends and signs besides the headers of the signature.
SDK_HEADERS = {
    "accept": "application/json",
    "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
    "x-acs-credentials-provider": "static_ak",
}


class Call(NamedTuple):
    """A GET call, and whose key signs it."""

    path: str
    query: tuple[tuple[str, str], ...]
    action: str
    version: str
    access_key_id: str
    secret: str


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes


class Measured(NamedTuple):
    """One run. Latencies in microseconds, by the client's clock, the wait for the client's CPU included."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50_us: float
    p99_us: float

    @property
    def per_cpu_second(self) -> float:
        """Requests for each second of the server's CPU time."""
        return self.requests / self.cpu_seconds


class AnswerWrong(Exception):
    """An answer was not the one that is right."""


def build_requests(count: int, call: Call, server: Server, sign: Sign = sign_request) -> list[bytes]:
    """Raw HTTP/1.1 requests, each with a nonce of its own, signed now: they hold for 15 minutes."""
    return [_build_request(call, server, sign) for _ in range(count)]


def _build_request(call: Call, server: Server, sign: Sign) -> bytes:
    signed = sign(
        method="GET",
        path=call.path,
        query=call.query,
        host=f"{server.host}:{server.port}",
        action=call.action,
        version=call.version,
        access_key_id=call.access_key_id,
        secret=call.secret.encode(),
        signed_at=int(time.time()),
        nonce=uuid.uuid4().hex,
        extra_headers=SDK_HEADERS,
    )
    lines = (f"GET {signed.target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.headers), "", "")
    return "\r\n".join(lines).encode("ascii")


def ask(server: Server, request: bytes) -> Answer:
    """The answer to one request."""
    answers: list[Answer] = []
    _run(server, [request], 1, answers.append)
    return answers[0]


def measure(server: Server, requests: Sequence[bytes], connections: int, expected: bytes) -> Measured:
    """Send all requests, each connection its next one as soon as the last is answered.

    Raises AnswerWrong at the first answer that is not 200 with exactly the expected body.
    """

    def check(answer: Answer) -> None:
        if answer.status != 200 or answer.body != expected:
            raise AnswerWrong(f"{server.name} answered {answer.status}: {answer.body[:300]!r}")

    gc.collect()
    gc.disable()
    try:
        cpu_before, before = server.cpu_seconds(), time.perf_counter()
        latencies = _run(server, requests, connections, check)
        seconds, cpu_seconds = time.perf_counter() - before, server.cpu_seconds() - cpu_before
    finally:
        gc.enable()
    assert len(latencies) == len(requests)
    hundredths = statistics.quantiles(latencies, n=100)
    return Measured(len(requests), seconds, cpu_seconds, hundredths[49] * 1e6, hundredths[98] * 1e6)


def _run(server: Server, requests: Sequence[bytes], connections: int, check: Callable[[Answer], None]) -> list[float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(server, iter(requests), connections, check))


async def _drive(
    server: Server, requests: Iterator[bytes], connections: int, check: Callable[[Answer], None]
) -> list[float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    open_ones = [
        await loop.create_connection(lambda: _Connection(check, latencies), server.host, server.port)
        for _ in range(connections)
    ]
    try:
        await asyncio.gather(*(connection.drain(requests, transport) for transport, connection in open_ones))
    finally:
        for transport, _ in open_ones:
            transport.abort()
    return latencies


class _Connection(asyncio.Protocol):
    """Sends requests one after the other."""

    def __init__(self, check: Callable[[Answer], None], latencies: list[float]) -> None:
        self._check = check
        self._latencies = latencies
        self._received = b""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        """The server may not hang up while it owes an answer."""
        if not self._done.done():
            self._done.set_exception(error or AnswerWrong("the server closed the connection"))

    async def drain(self, requests: Iterator[bytes], transport: asyncio.Transport) -> None:
        """Send from the shared requests until there are no more."""
        self._requests = requests
        self._transport = transport
        self._send_next()
        await self._done

    def data_received(self, data: bytes) -> None:
        """Take one whole answer, check it, send the next request."""
        received = self._received = self._received + data if self._received else data
        try:
            answer = _parse_answer(received)
            if answer is None:
                return
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._check(answer)
        except AnswerWrong as error:
            if not self._done.done():
                self._done.set_exception(error)
            return
        self._received = b""
        self._send_next()

    def _send_next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _parse_answer(received: bytes) -> Answer | None:
    """The answer, or None while it is not whole. Only answers with Content-Length are understood."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = received[:head_end].lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        raise AnswerWrong(f"an answer without Content-Length: {head!r}")
    body = received[head_end + 4 :]
    length = int(rest.partition(b"\r\n")[0])
    if len(body) > length:
        raise AnswerWrong(f"more than one answer to one request: {body[length:][:300]!r}")
    return Answer(int(head[9:12]), body) if len(body) == length else None
