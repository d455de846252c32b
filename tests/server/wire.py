"""Requests as they stand on the wire, and their answers: nothing in between tidies them up."""

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from installations import Installation, RunningServer
from kubecustody.catalogue.errors import ERRORS
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.signing.acs3 import SignedOutgoing, sign_request

STATES = "/users//kubeconfig/states"
REQUEST_ID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}")
STATUS_OF = {definition.code: definition.status for definition in ERRORS}

# Bad requests come from one address by the hundred in tests; that limit has tests of its own.
NO_ADDRESS_LIMIT = {"failed_signature_rate_per_second": "0"}

Pair = tuple[str, str]


@dataclass
class Place:
    """An installation and its server."""

    installation: Installation
    server: RunningServer


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[Pair]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; "" where the call succeeded."""
        return "" if self.status == 200 else self.json["Code"]

    def header(self, name: str) -> str:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]


def address_of(server: RunningServer) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return parts.hostname or "", parts.port or 0


def connect(server: RunningServer, timeout: float = 20) -> socket.socket:
    return socket.create_connection(address_of(server), timeout)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        response.close()


def exchange(server: RunningServer, data: bytes, method: str = "GET") -> Answer:
    """The answer to these bytes, on a connection of their own."""
    with connect(server) as connection:
        connection.sendall(data)
        return read_answer(connection, method)


def sign(
    server: RunningServer,
    key: NewAccessKey,
    path: str = STATES,
    query: Sequence[Pair] = (),
    *,
    method: str = "GET",
    **more: Any,
) -> SignedOutgoing:
    """A request as our own signer makes it; `more` goes to the signer above what stands here."""
    ordinary: dict[str, Any] = {
        "host": urlsplit(server.url).netloc,
        "action": "ListUserKubeConfigStates",
        "version": "2015-12-15",
        "access_key_id": key.access_key_id,
        "secret": key.secret.encode(),
        "signed_at": int(time.time()),
        "nonce": os.urandom(16).hex(),
    }
    return sign_request(method=method, path=path, query=query, **(ordinary | more))


def write_request(
    signed: SignedOutgoing, *, method: str = "GET", body: bytes = b"", added: Sequence[Pair] = ()
) -> bytes:
    """The bytes of a signed request; `added` are headers that came after signing."""
    lines = [f"{method} {signed.target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.headers)]
    lines += [f"{name}: {value}" for name, value in added]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def call(
    server: RunningServer,
    key: NewAccessKey,
    path: str = STATES,
    query: Sequence[Pair] = (),
    *,
    method: str = "GET",
    body: bytes = b"",
    added: Sequence[Pair] = (),
    **more: Any,
) -> Answer:
    """Sign and send."""
    signed = sign(server, key, path, query, method=method, body=body, **more)
    return exchange(server, write_request(signed, method=method, body=body, added=added), method)


def with_headers(signed: SignedOutgoing, change: Callable[[str, str], str | None]) -> SignedOutgoing:
    """The request with each header's value replaced after signing; None leaves one out."""
    changed = [(name, change(name, value)) for name, value in signed.headers]
    return signed._replace(headers=[(name, value) for name, value in changed if value is not None])


def replaced(signed: SignedOutgoing, header: str, value: str | None) -> SignedOutgoing:
    return with_headers(signed, lambda name, before: value if name == header else before)


def get_plain(server: RunningServer, path: str) -> Answer:
    return exchange(server, f"GET {path} HTTP/1.1\r\nHost: anything\r\n\r\n".encode())


def check_error(answer: Answer, code: str, public_url: str) -> str:
    """The error's message, once everything that every error promises was checked."""
    told = answer.json
    assert told["Code"] == told["code"] == code
    assert answer.status == told["status"] == STATUS_OF[code]
    assert told["Message"] == told["message"]
    assert told["RequestId"] == told["requestId"] == answer.header("x-acs-request-id")
    assert REQUEST_ID.fullmatch(told["RequestId"])
    assert told["Recommend"] == f"{public_url}/docs/errors#{code}"
    assert told["HostId"] == urlsplit(public_url).netloc
    assert answer.header("content-type") == "application/json; charset=utf-8"
    assert answer.header("cache-control") == "no-store"
    assert told.get("AccessDeniedDetail") == told.get("accessDeniedDetail")
    message: str = told["Message"]
    assert message and "{" not in message.replace(answer.header("x-acs-request-id"), "")
    return message


def add_user(installation: Installation, name: str, kind: PrincipalKind = PrincipalKind.USER) -> NewAccessKey:
    """A new user (or role) without any policy, and their access key."""
    uid = installation.change(add_principal, kind=kind, name=name)
    key: NewAccessKey = installation.change(add_access_key, uid)
    return key
