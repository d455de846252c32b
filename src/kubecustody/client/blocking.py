"""The blocking client."""

import http.client
import os
import select
import ssl
import threading
import time
from contextlib import closing
from types import TracebackType
from typing import Any

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import Shape
from kubecustody.client.calling import Calls
from kubecustody.client.flow import Broken, Outcome, Retries, Send, call_flow
from kubecustody.client.wire import (
    LARGEST_ANSWER_BYTES,
    Endpoint,
    Incoming,
    Outgoing,
    distrusted,
    no_answer,
    oversize,
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
    """Calls the API, one request at a time; safe to use from several threads. Each operation is a method.

    timeout_seconds: how long the server may be silent. Raises ApiError where the server answers an error, CallFailed
    where no answer came or it cannot be read.
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
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                answer: Incoming = end.value
                return answer
            if isinstance(step, Send):
                with self._lock:
                    outcome = self._send(step)
            else:
                time.sleep(step.seconds)
                outcome = None

    def _call(self, name: str, request: Shape) -> Any:
        operation = get_operation(name)
        return read_result(operation, self.call(operation, values_of(operation, request)))

    def _send(self, step: Send) -> Incoming | Broken:
        try:
            connection = self._take(fresh=step.fresh)
        except ssl.SSLCertVerificationError as error:
            raise distrusted(self._endpoint, error) from error
        except OSError as error:
            return self._broken(error, sent=False)
        try:
            answer, reusable = self._exchange(connection, step.outgoing)
            if reusable:
                self._kept = connection
            return answer
        except (OSError, http.client.HTTPException) as error:
            return self._broken(error, sent=True)
        finally:
            if self._kept is not connection:
                connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, outgoing: Outgoing) -> tuple[Incoming, bool]:
        """The answer, and whether the connection may carry another request."""
        connection.putrequest(outgoing.method, outgoing.target, skip_host=True, skip_accept_encoding=True)
        for name, value in outgoing.headers:
            connection.putheader(name, value)
        connection.endheaders(outgoing.body or None)
        with closing(connection.getresponse()) as response:
            content = response.read(LARGEST_ANSWER_BYTES + 1)
            if len(content) > LARGEST_ANSWER_BYTES:
                raise oversize(self._endpoint)
            # Nothing is said where less came than was promised, or where the head was cut, its end taken for an end.
            if response.length or (response.length is None and not response.chunked and not content):
                raise http.client.IncompleteRead(content)
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Incoming(response.status, headers, content), response.isclosed() and not response.will_close

    def _take(self, *, fresh: bool) -> http.client.HTTPConnection:
        """The connection that is kept, if it still stands, else a new one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if not fresh and _is_silent(kept):
                return kept
            kept.close()
        parts = split_endpoint(self._endpoint)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
            if self._trust is None
            else http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=self._trust)
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _broken(self, error: OSError | http.client.HTTPException, *, sent: bool) -> Broken:
        if isinstance(error, OSError):
            why = str(error) or type(error).__name__
        else:  # most of their texts repeat what came
            cut = isinstance(error, http.client.IncompleteRead)
            why = "the connection ended in the midst of it" if cut else "what comes is no HTTP"
        return Broken(sent, no_answer(self._endpoint, why))

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _is_silent(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing came on an idle connection; else the server has closed it, or speaks out of turn."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
