"""The asynchronous client. It needs aiohttp (the extra `async`)."""

import asyncio
import ssl
import time
from types import TracebackType
from typing import Any

import aiohttp
from yarl import URL

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
    read_result,
    trust,
    values_of,
)


class AsyncClient(AsyncCalls):
    """Calls the API, as many calls at once as there are connections. Each operation is a method.

    Raises ApiError where the server answers an error, CallFailed where no answer came or it cannot be read.
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
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._session is not None:
            await self._session.close()
            self._session = None

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

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, ssl=True if self._trust is None else self._trust)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
        return self._session

    async def _send(self, step: Send) -> Incoming | Broken:
        outgoing = step.outgoing
        headers = dict(outgoing.headers)
        if step.fresh:
            headers["connection"] = "close"
        url = URL(self._endpoint.url.rstrip("/") + outgoing.target, encoded=True)
        try:
            async with self._open().request(
                outgoing.method, url, headers=headers, data=outgoing.body or None, allow_redirects=False
            ) as response:
                content = await response.content.read(LARGEST_ANSWER_BYTES)
                while more := await response.content.read(LARGEST_ANSWER_BYTES - len(content)):
                    content += more
                told = {name.lower(): value for name, value in response.headers.items()}
                return Incoming(response.status, told, content)
        except aiohttp.ClientConnectorCertificateError as error:
            cause = error.certificate_error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise distrusted(self._endpoint, cause) from error
            return Broken(False, f"{self._endpoint.url} does not answer ({cause}).")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Broken(False, f"{self._endpoint.url} does not answer ({error or type(error).__name__}).")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Broken(True, f"{self._endpoint.url} does not answer ({error or type(error).__name__}).")
