"""The asynchronous client, over aiohttp."""

import asyncio
import ssl
import time
from types import TracebackType
from typing import Any

try:
    import aiohttp
    from yarl import URL
except ImportError:
    raise ImportError(
        "The asynchronous client needs aiohttp: pip install aiohttp. The blocking one needs nothing more."
    ) from None

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import Shape
from kubecustody.client.blocking import TIMEOUT_SECONDS, new_nonce
from kubecustody.client.calling import AsyncCalls
from kubecustody.client.flow import Broken, Outcome, Retries, Send, call_flow
from kubecustody.client.wire import (
    LARGEST_ANSWER_BYTES,
    Endpoint,
    Incoming,
    distrusted,
    no_answer,
    oversize,
    read_result,
    trust,
    values_of,
)

_GOODBYE_SECONDS = 0.1


class AsyncClient(AsyncCalls):
    """Calls the API, as many calls at once as there are connections. Each operation is a method.

    timeout_seconds: how long one request may take in all. Raises ApiError where the server answers an error, CallFailed
    where no answer came or it cannot be read.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connections: int = 16,
    ) -> None:
        self._endpoint = endpoint
        self._retries = retries or Retries()
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._trust = trust(endpoint)
        self._connections = connections
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether each request has a fresh connection

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        used = bool(self._sessions)
        while self._sessions:
            await self._sessions.popitem()[1].close()
        if used and self._trust is not None:
            # TLS says goodbye by itself, which aiohttp waits for only of connections that it kept.
            await asyncio.sleep(_GOODBYE_SECONDS)

    async def call(self, operation: Operation, values: dict[str, Any]) -> Incoming:
        """The answer to a call, an error's too; values by wire name. Raises CallFailed."""
        flow = call_flow(self._endpoint, operation, values, retries=self._retries, clock=time.time, new_nonce=new_nonce)
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                answer: Incoming = end.value
                return answer
            if isinstance(step, Send):
                outcome = await self._send(step)
            else:
                await asyncio.sleep(step.seconds)
                outcome = None

    async def _call(self, name: str, request: Shape) -> Any:
        operation = get_operation(name)
        return read_result(operation, await self.call(operation, values_of(operation, request)))

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        if fresh not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=self._connections, ssl=True if self._trust is None else self._trust, force_close=fresh
            )
            session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
            # By itself it sends GET and DELETE a second time where a connection ends, with the nonce that is spent.
            session._retry_connection = False
            self._sessions[fresh] = session
        return self._sessions[fresh]

    async def _send(self, step: Send) -> Incoming | Broken:
        outgoing = step.outgoing
        url = URL(self._endpoint.url.rstrip("/") + outgoing.target, encoded=True)
        try:
            async with self._open(fresh=step.fresh).request(
                outgoing.method, url, headers=outgoing.headers, data=outgoing.body or None, allow_redirects=False
            ) as response:
                content = await self._read(response)
                told = {name.lower(): value for name, value in response.headers.items()}
                return Incoming(response.status, told, content)
        except aiohttp.ClientConnectorCertificateError as error:
            cause = error.certificate_error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise distrusted(self._endpoint, cause) from error
            return self._broken(cause, sent=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return self._broken(error, sent=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._broken(error, sent=True)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for part in response.content.iter_any():
            content += part
            if len(content) > LARGEST_ANSWER_BYTES:
                raise oversize(self._endpoint)
        return bytes(content)

    def _broken(self, error: Exception, *, sent: bool) -> Broken:
        match error:
            case aiohttp.ClientConnectorError():
                why = str(error.os_error)
            case aiohttp.ClientPayloadError():
                why = "the connection ended in the midst of it"
            case aiohttp.ClientResponseError():  # its text repeats what came
                why = "what comes is no HTTP"
            case _:
                why = str(error) or type(error).__name__
        return Broken(sent, no_answer(self._endpoint, why))
