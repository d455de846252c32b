"""A call on the wire, without sending it: parameters put where the catalogue says, signed, and the answer read.

A request goes out exactly as it was signed: no library in between rewrites path or query.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple, get_type_hints
from urllib.parse import SplitResult, quote

import msgspec

from kubecustody.catalogue.model import API_VERSION, Operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, find_whole, members_of
from kubecustody.core.errors import CustodyError, OperatorError
from kubecustody.core.urls import split_url
from kubecustody.settings import is_loopback
from kubecustody.signing.acs3 import sign_request

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_MOST_DIGITS = 12
_WRONG_HOST, _WRONG_ADDRESS = 62, 64  # X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH of OpenSSL


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
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None

    def read_json(self) -> Any:
        """The body. Raises CallFailed."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):  # its text would repeat what came
            raise CallFailed(
                f"The endpoint answers something that is not JSON; is it this API? (Status {self.status}.)"
            ) from None


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
    except (ValueError, RecursionError):
        return text


def sign(endpoint: Endpoint, operation: Operation, values: Mapping[str, Any], now: float, nonce: str) -> Outgoing:
    """The signed request. Raises CallFailed where the endpoint is none."""
    parts = split_endpoint(endpoint)
    path, query, document = operation.path, [], {}
    whole = find_whole(operation.input)
    for member in members_of(operation.input):
        name, location = member.wire_name, member.about.location
        if location is Location.PATH:
            path = path.replace("{" + name + "}", quote(str(values.get(name, "")), safe="-_.~"))
        elif name in values and location is Location.QUERY:
            query.append((name, _query_text(values[name])))
        elif name in values:
            document[name] = values[name]
    content = values.get(whole.wire_name) if whole else document or None
    body = b"" if content is None else json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
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
    try:
        parts = split_url(endpoint.url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and parts.port != 0
        usable = usable and not parts.query and not parts.fragment and "\\" not in parts.netloc
    except ValueError:  # a port or an address that is none
        usable = False
    if "@" in endpoint.url:
        raise CallFailed("An endpoint has no user and no password in it; it must be https://HOST[:PORT].")
    if not usable:
        raise CallFailed(f"{endpoint.url!r} is no endpoint; it must be https://HOST[:PORT], without a path.")
    if not all(map(_is_plain, (parts.netloc, endpoint.access_key_id))):
        raise CallFailed("Endpoint and access key id must be ASCII; a host name of another script in its xn-- form.")
    if not all(map(_is_plain, (endpoint.access_key_secret, endpoint.security_token or ""))):
        raise CallFailed("Access key secret and security token must be ASCII; give them as they were made.")
    try:
        (parts.hostname or "").encode("idna")  # as the resolver does it
    except UnicodeError:
        raise CallFailed(f"{endpoint.url!r} is no endpoint: its host cannot be a host's name.") from None
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise CallFailed(f"{endpoint.url} would carry signatures and keys in the clear; call it by https://.")
    return parts


def _is_plain(text: str) -> bool:
    """Whether it can stand in a header as it is."""
    return text.isascii() and text.isprintable() and " " not in text


def trust(endpoint: Endpoint) -> ssl.SSLContext | None:
    """What the server's certificate is checked against; None for plain HTTP. Raises CallFailed."""
    if split_endpoint(endpoint).scheme == "http":
        return None
    try:
        context = ssl.create_default_context(cafile=str(endpoint.ca_file) if endpoint.ca_file else None)
    except OSError as error:
        raise CallFailed(f"{endpoint.ca_file} cannot be read as a root certificate: {error.strerror}.") from error
    # As Go and curl verify, with every Python: from 3.13 on the default refuses certificates without RFC 5280's key
    # identifiers, which many a company's CA leaves out, and takes any certificate of the file for a root.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def distrusted(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> CallFailed:
    """What to tell where the server's certificate is not trusted."""
    if error.verify_code in (_WRONG_HOST, _WRONG_ADDRESS):
        return CallFailed(
            f"The certificate of {endpoint.url} is for another host ({error.verify_message}). Call the server by a "
            "name or address that `kubecustody init --host` was told."
        )
    by = f" by {endpoint.ca_file}" if endpoint.ca_file else ""
    return CallFailed(
        f"The certificate of {endpoint.url} is not trusted ({error.verify_message}){by}. Name the root that "
        "`kubecustody init` printed, tls/root.pem in its data folder: --ca FILE or SSL_CERT_FILE=FILE."
    )


def no_answer(endpoint: Endpoint, why: str) -> str:
    """What to tell where nothing came that can be used."""
    return f"{endpoint.url} does not answer ({why})."


# --- in


def oversize(endpoint: Endpoint) -> CallFailed:
    """What to tell where more comes than is read."""
    most = LARGEST_ANSWER_BYTES // 1024 // 1024
    return CallFailed(f"{endpoint.url} answers with more than {most} MiB; ask for a smaller page, or is it this API?")


def read_result(operation: Operation, incoming: Incoming) -> Any:
    """What the operation answers: its shape, a list of it, the one value of it, or None.

    Raises ApiError, CallFailed.
    """
    if incoming.status >= 400:
        raise ApiError(incoming)
    if operation.output is None:
        if incoming.content:
            incoming.read_json()  # what a stranger says is no success
        return None
    wanted: Any = GenericAlias(list, (operation.output,)) if operation.returns_list else operation.output
    if whole := find_whole(operation.output):
        wanted = get_type_hints(operation.output)[whole.name]
    try:
        return msgspec.json.decode(incoming.content, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = error if isinstance(error, msgspec.DecodeError) else "it is not JSON"
        raise CallFailed(f"The answer is none of {operation.name} ({why}); is the endpoint this API?") from None
