"""A call on the wire, without sending it: parameters put where the catalogue says, signed, and the answer read.

A request goes out exactly as it was signed: no library in between rewrites path or query.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from kubecustody.catalogue.model import API_VERSION, Operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, members_of
from kubecustody.core.errors import CustodyError, OperatorError
from kubecustody.signing.acs3 import sign_request

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to call and as whom. ca_file: what the server's certificate must lead to; None: the system's roots.

    security_token: of a temporary key.
    """

    url: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    ca_file: Path | None = None
    security_token: str | None = field(default=None, repr=False)


class CallFailed(OperatorError):
    """The call could not be made or its answer not be read; the text says what to do."""


class ApiError(CustodyError):
    """The server answered an error. retry_after_ms: when to try again, where it says so; body: all that it said."""

    def __init__(self, incoming: "Incoming") -> None:
        body = incoming.read_json()
        told = body if isinstance(body, dict) else {}
        self.status: int = incoming.status
        self.code: str = str(told.get("code") or told.get("Code") or "")
        self.message: str = str(told.get("message") or told.get("Message") or "")
        self.request_id: str = incoming.request_id
        self.retry_after_ms: int | None = incoming.retry_after_ms
        self.body: dict[str, Any] = told
        super().__init__(f"{self.code} ({self.status}): {self.message} Request id: {self.request_id}")


class Outgoing(NamedTuple):
    """A signed request. target: path and query as they stand in its first line."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


class Incoming(NamedTuple):
    """An answer as it came; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def request_id(self) -> str:
        """The id of the request, to ask the server's operators about; "" without one."""
        return self.headers.get("x-acs-request-id", "")

    @property
    def retry_after_ms(self) -> int | None:
        """When the server wants to be asked again."""
        text = self.headers.get("x-acs-retry-after", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    def read_json(self) -> Any:
        """The body. Raises CallFailed."""
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise CallFailed("The endpoint answers something that is not JSON; is it this API?") from error


# --- out


def values_of(operation: Operation, request: Shape) -> dict[str, Any]:
    """The parameters of a call by wire name; what has its default is left out."""
    values = {}
    for member in members_of(operation.input):
        value = getattr(request, member.name)
        if value is not None and (member.required or value != member.default or member.about.may_be_empty):
            values[member.wire_name] = msgspec.to_builtins(value)
    return values


def values_of_texts(operation: Operation, texts: Mapping[str, str]) -> dict[str, Any]:
    """Parameters given as texts by wire name in any case. Raises CallFailed for one that does not exist.

    What goes into the query stays a text, so that the server says what is wrong with it.
    """
    members = {member.wire_name.lower(): member for member in members_of(operation.input)}
    values = {}
    for name, text in texts.items():
        member = members.get(name.lower())
        if member is None:
            known = ", ".join(member.wire_name for member in members.values()) or "none"
            raise CallFailed(f"{operation.name} has no parameter {name!r}; it has {known}.")
        values[member.wire_name] = _body_value(member, text) if member.about.location is Location.BODY else text
    return values


def _body_value(member: MemberInfo, text: str) -> Any:
    if member.kind is Kind.STRING:
        return text
    try:
        return json.loads(text.lower() if member.kind is Kind.BOOLEAN else text)
    except ValueError:
        return text


def sign(endpoint: Endpoint, operation: Operation, values: Mapping[str, Any], now: float, nonce: str) -> Outgoing:
    """The signed request. Raises CallFailed where the endpoint is none."""
    parts = split_endpoint(endpoint)
    path, query, document = operation.path, [], {}
    for member in members_of(operation.input):
        name, location = member.wire_name, member.about.location
        if location is Location.PATH:
            path = path.replace("{" + name + "}", quote(str(values.get(name, "")), safe="-_.~"))
        elif name in values and location is Location.QUERY:
            query.append((name, _query_text(values[name])))
        elif name in values:
            document[name] = values[name]
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() if document else b""
    signed = sign_request(
        method=operation.method,
        path=path,
        query=query,
        host=parts.netloc,
        action=operation.name,
        version=API_VERSION,
        access_key_id=endpoint.access_key_id,
        secret=endpoint.access_key_secret.encode(),
        signed_at=int(now),
        nonce=nonce,
        body=body,
        content_type="application/json; charset=utf-8" if body else None,
        security_token=endpoint.security_token,
    )
    headers = (
        [*signed.headers, ("content-length", str(len(body)))] if body or operation.method != "GET" else signed.headers
    )
    return Outgoing(operation.method, signed.target, headers, body)


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def split_endpoint(endpoint: Endpoint) -> SplitResult:
    """The parts of the endpoint's URL. Raises CallFailed where it is none, or the key cannot be one."""
    parts = urlsplit(endpoint.url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise CallFailed(f"{endpoint.url!r} is no endpoint; it must be https://HOST[:PORT], without a path.")
    if not (parts.netloc.isascii() and endpoint.access_key_id.isascii() and endpoint.access_key_id.isprintable()):
        raise CallFailed("Endpoint and access key id must be ASCII; a host name of another script in its xn-- form.")
    if not (endpoint.security_token or "a").isascii():
        raise CallFailed("The security token must be ASCII; give it as it was made.")
    return parts


def trust(endpoint: Endpoint) -> ssl.SSLContext | None:
    """What the server's certificate is checked against; None for plain HTTP. Raises CallFailed."""
    if split_endpoint(endpoint).scheme == "http":
        return None
    try:
        return ssl.create_default_context(cafile=str(endpoint.ca_file) if endpoint.ca_file else None)
    except OSError as error:
        raise CallFailed(f"{endpoint.ca_file} cannot be read as a root certificate: {error.strerror}.") from error


def distrusted(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> CallFailed:
    """What to tell where the server's certificate is not trusted."""
    by = f" by {endpoint.ca_file}" if endpoint.ca_file else ""
    return CallFailed(
        f"The certificate of {endpoint.url} is not trusted ({error.verify_message}){by}. Name the root that "
        "`kubecustody init` printed, tls/root.pem in its data folder: --ca FILE or SSL_CERT_FILE=FILE."
    )


# --- in


def read_result(operation: Operation, incoming: Incoming) -> Any:
    """What the operation answers: its shape, a list of it, or None. Raises ApiError, CallFailed."""
    if incoming.status >= 400:
        raise ApiError(incoming)
    if operation.output is None:
        return None
    wanted: Any = GenericAlias(list, (operation.output,)) if operation.returns_list else operation.output
    try:
        return msgspec.json.decode(incoming.content, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallFailed(f"The answer is none of {operation.name} ({error}); is the endpoint this API?") from error
