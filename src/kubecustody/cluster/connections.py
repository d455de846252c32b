"""The connections to all clusters: one pool, with bounds on everything that a foreign server has a hand in."""

import asyncio
import contextlib
import socket
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from kubecustody.cluster.access import Access
from kubecustody.cluster.addresses import AddressRules, AddrInfo, Network, Resolver
from kubecustody.cluster.errors import NotKubernetes, TooBig, translate
from kubecustody.cluster.tls import Contexts, make_context

LARGEST_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. content_type is without parameters; retry_after and date as they were
    sent.
    """

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: str | None = None
    date: str | None = None


class Connections:
    """Sends requests to API servers, of one event loop. Close it, or use it as `async with`.

    networks and allow_loopback say which addresses are connected to (`addresses.AddressRules`). At most `concurrency`
    requests are under way; a request that has to wait for its turn loses none of its timeout_seconds. A connection is
    kept for idle_seconds: each holds 350 kB of buffers, so not for much longer than one cluster is looked at. At most
    `contexts` TLS settings are kept, 24 kB each.
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        allow_loopback: bool = False,
        *,
        concurrency: int = 64,
        connect_seconds: float = 5,
        timeout_seconds: float = 15,
        idle_seconds: float = 3,
        contexts: int = 512,
    ) -> None:
        self._rules = AddressRules(networks, allow_loopback=allow_loopback)
        self._concurrency, self._idle_seconds, self._timeout_seconds = concurrency, idle_seconds, timeout_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._timeout = aiohttp.ClientTimeout(timeout_seconds, connect_seconds)
        self._contexts = Contexts(contexts)
        self._session: aiohttp.ClientSession | None = None
        self._resolver: Resolver | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, and forget keys and certificates."""
        self._contexts.clear()
        if self._session is not None and self._resolver is not None:
            await self._session.close()
            await self._resolver.close()
            self._session = self._resolver = None
        await self._end_sockets()

    async def _end_sockets(self) -> None:
        """End what is still saying good-bye to servers that do not answer: asyncio would wait half a minute for it."""
        for open_socket in [one for one in self._sockets if one.fileno() != -1]:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for _ in range(100):
            if all(one.fileno() == -1 for one in self._sockets):
                return
            await asyncio.sleep(0.005)

    def allow(self, address: str) -> bool:
        """Whether an IP address is one that is connected to from here."""
        try:
            return self._rules.allow(ip_address(address))
        except ValueError:
            return False

    async def send(
        self,
        access: Access,
        method: str,
        url: str,
        *,
        asked: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        once: bool = False,
    ) -> Answer:
        """What is answered at this URL, over TLS that the access vouches for. Raises ClusterError.

        asked: what is asked of whom, for errors. once: over a connection of its own, after which nothing of the
        access is kept.
        """
        context = make_context(access) if once else self._contexts.get(access)
        async with self._slots:
            try:
                async with self._open().request(
                    method,
                    URL(url, encoded=True),
                    headers={**headers, "Connection": "close"} if once else headers,
                    data=body,
                    ssl=context,
                    server_hostname=access.tls_server_name,
                    allow_redirects=False,
                ) as response:
                    return await _read(response, asked)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # Not even as a cause: aiohttp's errors hold the request's headers, and pieces of the answer.
                raise translate(asked, error, self._timeout_seconds) from None

    def _open_socket(self, info: AddrInfo) -> socket.socket:
        opened = self._rules.open_socket(info)
        self._sockets.add(opened)
        return opened

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._resolver = Resolver(self._concurrency)
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=self._resolver,
                keepalive_timeout=self._idle_seconds,
                socket_factory=self._open_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, asked: str) -> Answer:
    """The whole answer. Raises TooBig, NotKubernetes, and what aiohttp raises."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        _abort(response)
        raise NotKubernetes(f"{asked}: the answer is packed, which was not asked for.")
    return Answer(
        response.status,
        response.content_type.lower(),
        await _read_body(response, asked),
        response.headers.get("Retry-After"),
        response.headers.get("Date"),
    )


async def _read_body(response: aiohttp.ClientResponse, asked: str) -> bytes:
    pieces, left = [], LARGEST_ANSWER_BYTES - (response.content_length or 0)
    if left >= 0:
        left = LARGEST_ANSWER_BYTES
        async for piece in response.content.iter_any():
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                break
    if left < 0:
        _abort(response)
        raise TooBig(f"{asked}: the answer is larger than {LARGEST_ANSWER_BYTES} bytes.")
    return b"".join(pieces)


def _abort(response: aiohttp.ClientResponse) -> None:
    """End the connection at once: who sends without end does not answer a good-bye either."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()
