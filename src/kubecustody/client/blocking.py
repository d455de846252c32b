"""The blocking client."""

import http.client
import os
import ssl
import threading
import time
from types import TracebackType
from typing import Any

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import Shape
from kubecustody.client.calling import Calls
from kubecustody.client.flow import Broken, Flow, Outcome, Retries, Send, call_flow
from kubecustody.client.wire import (
    LARGEST_ANSWER_BYTES,
    Endpoint,
    Incoming,
    distrusted,
    read_result,
    split_endpoint,
    trust,
    values_of,
)

TIMEOUT_SECONDS = 30.0


def new_nonce() -> str:
    """A nonce that was never used."""
    return os.urandom(16).hex()


class Client(Calls):
    """Calls the API, one call at a time; safe to use from several threads. Each operation is a method.

    Raises ApiError where the server answers an error, CallFailed where no answer came or it cannot be read.
    """

    def __init__(
        self, endpoint: Endpoint, *, retries: Retries | None = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = endpoint
        self._retries = retries or Retries()
        self._timeout_seconds = timeout_seconds
        self._trust = trust(endpoint)
        self._kept: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection that is kept."""
        with self._lock:
            self._drop()

    def call(self, operation: Operation, values: dict[str, Any]) -> Incoming:
        """The answer to a call, an error's too; values by wire name. Raises CallFailed."""
        flow = call_flow(self._endpoint, operation, values, retries=self._retries, clock=time.time, new_nonce=new_nonce)
        with self._lock:
            return self._run(flow)

    def _call(self, name: str, request: Shape) -> Any:
        operation = get_operation(name)
        return read_result(operation, self.call(operation, values_of(operation, request)))

    def _run(self, flow: Flow) -> Incoming:
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                answer: Incoming = end.value
                return answer
            if isinstance(step, Send):
                outcome = self._send(step)
            else:
                time.sleep(step.seconds)
                outcome = None

    def _send(self, step: Send) -> Incoming | Broken:
        if step.fresh:
            self._drop()
        sent = False
        try:
            connection = self._connect()
            sent = True
            outgoing = step.outgoing
            connection.putrequest(outgoing.method, outgoing.target, skip_host=True, skip_accept_encoding=True)
            for name, value in outgoing.headers:
                connection.putheader(name, value)
            connection.endheaders(outgoing.body or None)
            response = connection.getresponse()
            content = response.read(LARGEST_ANSWER_BYTES)
            headers = {name.lower(): value for name, value in response.getheaders()}
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise distrusted(self._endpoint, error) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            return Broken(sent, f"{self._endpoint.url} does not answer ({error or type(error).__name__}).")
        if response.will_close or response.length:
            self._drop()
        return Incoming(response.status, headers, content)

    def _connect(self) -> http.client.HTTPConnection:
        if self._kept is not None:
            return self._kept
        parts = split_endpoint(self._endpoint)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
            if self._trust is None
            else http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=self._trust)
        )
        connection.connect()
        self._kept = connection
        return connection

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
