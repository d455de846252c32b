"""Calling an operation: parameters put where the catalogue says, signed with ACS3-HMAC-SHA256, sent.

The request goes out exactly as it was signed: no library in between rewrites path or query.
"""

import http.client
import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from kubecustody.catalogue.model import API_VERSION, Operation
from kubecustody.catalogue.shapes import Location, members_of
from kubecustody.core.errors import OperatorError
from kubecustody.signing.acs3 import sign_request

_TIMEOUT_SECONDS = 30.0
_LARGEST_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to call and as whom. ca_file: what the server's certificate must lead to; None: the system's roots."""

    url: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer: its status, request id, and body as JSON."""

    status: int
    request_id: str
    body: Any


class CallFailed(OperatorError):
    """The call could not be made or its answer not be read; the text says what to do."""


def call_operation(endpoint: Endpoint, operation: Operation, parameters: Mapping[str, str]) -> Reply:
    """The answer to a signed call; parameters by wire name, as text. Raises CallFailed."""
    parts = _split_endpoint(endpoint)
    path, query = place_parameters(operation, parameters)
    signed = sign_request(
        method=operation.method,
        path=path,
        query=query,
        host=parts.netloc,
        action=operation.name,
        version=API_VERSION,
        access_key_id=endpoint.access_key_id,
        secret=endpoint.access_key_secret.encode(),
        signed_at=int(time.time()),
        nonce=os.urandom(16).hex(),
    )
    return _send(endpoint, operation.method, signed.target, signed.headers)


def _split_endpoint(endpoint: Endpoint) -> SplitResult:
    parts = urlsplit(endpoint.url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise CallFailed(f"{endpoint.url!r} is no endpoint; it must be https://HOST[:PORT], without a path.")
    if not (parts.netloc.isascii() and endpoint.access_key_id.isascii() and endpoint.access_key_id.isprintable()):
        raise CallFailed("Endpoint and access key id must be ASCII; a host name of another script in its xn-- form.")
    return parts


def place_parameters(operation: Operation, parameters: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """The path and the query with these parameters in place. Raises CallFailed for one that does not exist."""
    path, query = operation.path, []
    members = {member.wire_name.lower(): member for member in members_of(operation.input)}
    placed: dict[str, str] = {}
    for name, value in parameters.items():
        member = members.get(name.lower())
        if member is None:
            known = ", ".join(member.wire_name for member in members.values())
            raise CallFailed(f"{operation.name} has no parameter {name!r}; it has {known}.")
        placed[member.wire_name] = value
    for member in members.values():
        value = placed.get(member.wire_name, "")
        if member.about.location is Location.PATH:
            path = path.replace("{" + member.wire_name + "}", quote(value, safe="-_.~"))
        elif member.wire_name in placed:
            query.append((member.wire_name, value))
    return path, query


def _send(endpoint: Endpoint, method: str, target: str, headers: list[tuple[str, str]]) -> Reply:
    parts = urlsplit(endpoint.url)
    connection = _connect(endpoint, parts.hostname or "", parts.port, secure=parts.scheme == "https")
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        content = response.read(_LARGEST_ANSWER_BYTES)
        return Reply(response.status, response.headers.get("x-acs-request-id", ""), json.loads(content))
    except ssl.SSLCertVerificationError as error:
        raise CallFailed(
            f"The certificate of {endpoint.url} is not trusted ({error.verify_message})"
            + (f" by {endpoint.ca_file}" if endpoint.ca_file else "")
            + ". Name the root that `kubecustody init` printed, tls/root.pem in its data folder: --ca FILE or "
            "SSL_CERT_FILE=FILE."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise CallFailed(f"{endpoint.url} does not answer ({error or type(error).__name__}).") from error
    except ValueError as error:
        raise CallFailed(f"{endpoint.url} answers something that is not JSON; is it this API?") from error
    finally:
        connection.close()


def _connect(endpoint: Endpoint, host: str, port: int | None, *, secure: bool) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        context = ssl.create_default_context(cafile=str(endpoint.ca_file) if endpoint.ca_file else None)
    except OSError as error:
        raise CallFailed(f"{endpoint.ca_file} cannot be read as a root certificate: {error.strerror}.") from error
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)
