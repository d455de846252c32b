"""What talking to an API server can fail with, one tree. aiohttp's and ssl's own errors are translated here, once.

    ClusterError
    ├── AddressRefused       the address is one that is never connected to from here
    ├── Unreachable          no connection, no TLS, or no whole answer in time
    ├── ServerNotTrusted     the server's certificate is not vouched for
    ├── NotKubernetes        what answers is no Kubernetes API server, or not one of those that are known
    ├── TooBig               more was answered, or is there, than is taken
    └── StatusError          an API server said no
        ├── Unauthorized         401
        ├── Forbidden            403
        ├── NotFound             404
        ├── AlreadyThere         409 AlreadyExists
        ├── Conflict             409, and 410 for a list that is too old to go on with
        ├── TooManyRequests      429
        ├── RequestRejected      any other 4xx: the request is taken for wrong
        └── ServerFailed         5xx

No text holds a word of what was answered, but for Kubernetes' reason where it is one of those that Kubernetes
defines; nor a token, a key, or a URL's user information (which no endpoint may have).
"""

import os
import ssl

import aiohttp

from kubecustody.core.errors import CustodyError

LONGEST_RETRY_SECONDS = 3600

# metav1.StatusReason (k8s.io/apimachinery, pkg/apis/meta/v1/types.go, read for 1.37).
REASONS = frozenset(
    {
        "Unauthorized",
        "Forbidden",
        "NotFound",
        "AlreadyExists",
        "Conflict",
        "Gone",
        "Invalid",
        "ServerTimeout",
        "StoreReadError",
        "Timeout",
        "TooManyRequests",
        "BadRequest",
        "MethodNotAllowed",
        "NotAcceptable",
        "RequestEntityTooLarge",
        "UnsupportedMediaType",
        "InternalError",
        "Expired",
        "ServiceUnavailable",
    }
)


class ClusterError(CustodyError):
    """A cluster did not do what it was asked. The text is fit for logs and for those who run the server."""


class AddressRefused(ClusterError):
    """The address is one that is never connected to from here."""


class Unreachable(ClusterError):
    """No connection, no TLS, or no whole answer in time. Whether a change was made is not known."""


class ServerNotTrusted(ClusterError):
    """The certificate of what answers is not vouched for; nothing was asked of it."""


class NotKubernetes(ClusterError):
    """What answers is no Kubernetes API server, or not one of those that are known."""


class TooBig(ClusterError):
    """More was answered, or is there, than is taken."""


class StatusError(ClusterError):
    """An API server said no; reason is Kubernetes' word for why, "" where it has none that is known."""

    def __init__(self, text: str, status: int, reason: str) -> None:
        super().__init__(text)
        self.status, self.reason = status, reason


class Unauthorized(StatusError):
    """401: the credential is not accepted."""


class Forbidden(StatusError):
    """403: the credential is accepted, and not allowed this."""


class NotFound(StatusError):
    """404: there is no such object, or no such kind of object in this version."""


class AlreadyThere(StatusError):
    """409: an object of this name is there."""


class Conflict(StatusError):
    """409 or 410: the object is not, or not any more, as it was when it was read."""


class RequestRejected(StatusError):
    """Any other 4xx: the API server takes the request for wrong."""


class ServerFailed(StatusError):
    """5xx: the API server, or what stands before it, failed. Whether a change was made is not known."""


class TooManyRequests(StatusError):
    """429: to be asked again after so many seconds, 0 to 3600; 1 where nothing was said."""

    def __init__(self, text: str, status: int, reason: str, retry_after_seconds: int) -> None:
        super().__init__(text, status, reason)
        self.retry_after_seconds = retry_after_seconds


class AddressIsRefused(OSError):
    """What stops a connection on its way; it never leaves this package."""


_KINDS: dict[int, type[StatusError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Conflict}


def status_error(asked: str, status: int, reason: str, retry_after: str | None) -> StatusError:
    """The error for a status of 400 and more. `asked` says what was asked of whom."""
    word = reason if reason in REASONS else ""
    text = f"{asked} answers {status}{f' ({word})' if word else ''}."
    if status == 429:
        return TooManyRequests(text, status, word, _seconds(retry_after))
    if status == 409 and word == "AlreadyExists":
        return AlreadyThere(text, status, word)
    kind = _KINDS.get(status, ServerFailed if status >= 500 else RequestRejected)
    return kind(text, status, word)


def _seconds(retry_after: str | None) -> int:
    # Kubernetes gives whole seconds; RFC 9110 (10.2.3) knows dates too, which are taken for nothing said.
    text = (retry_after or "").strip()
    digits = text.isascii() and text.isdecimal() and len(text) < 10
    return min(int(text), LONGEST_RETRY_SECONDS) if digits else 1


def translate(asked: str, error: Exception, timeout_seconds: float) -> ClusterError:
    """The error of this project for one of aiohttp's. Their own texts repeat what was answered, so they stay out."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return ServerNotTrusted(f"{asked}: its certificate is not trusted{_why(error.certificate_error)}.")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(f"{asked}: the name of the host is not known.")
        case aiohttp.ClientConnectorSSLError():
            return Unreachable(f"{asked}: TLS could not be set up.")
        case aiohttp.ClientConnectorError(os_error=AddressIsRefused()):
            return AddressRefused(
                f"{asked}: its address is none that is connected to from here (loopback, link-local, or outside "
                "cluster_networks)."
            )
        case TimeoutError():
            return Unreachable(f"{asked}: no answer within {timeout_seconds:g} s.")
        case aiohttp.ClientResponseError():
            return NotKubernetes(f"{asked}: the answer is not HTTP as a Kubernetes API server speaks it.")
        case _:
            return Unreachable(f"{asked}: the connection failed or ended early{_errno(error)}.")


def _why(error: Exception) -> str:
    """OpenSSL's own sentence, which names nothing but the host that was asked for."""
    return f" ({error.verify_message})" if isinstance(error, ssl.SSLCertVerificationError) else ""


def _errno(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return f" ({os.strerror(number)})" if number else ""
