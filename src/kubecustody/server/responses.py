"""Answers: bodies and headers, of results and of errors.

An error's body has its members in both spellings: the provider's gateway capitalises them, its service does not;
new SDKs read both, old ones only the capitalised.
"""

from typing import Any, NamedTuple

import msgspec

from kubecustody.catalogue.errors import (
    ERROR_PAGE_PATH,
    INTERNAL_ERROR,
    ErrorAnswer,
    describe_error,
    get_error_definition,
)
from kubecustody.catalogue.shapes import Shape
from kubecustody.core.errors import MethodUnsupported, RequestError
from kubecustody.settings import Settings

Headers = list[tuple[bytes, bytes]]

_CONTENT_TYPE = (b"content-type", b"application/json; charset=utf-8")
_NO_STORE = (b"cache-control", b"no-store")
_encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """What is sent back. code: "" where the request succeeded."""

    status: int
    headers: Headers
    body: bytes
    code: str = ""


def answer_result(result: Shape | list[Any] | None, request_id: str) -> Answer:
    """The answer of an operation that succeeded; an empty object where it has nothing to say, since SDKs read JSON."""
    body = b"{}" if result is None else _encode(result)
    return Answer(200, _headers(body, request_id), body)


class ErrorResponder:
    """Makes the answers of errors. Links in them begin with `public_url`, never with what a request says."""

    def __init__(self, settings: Settings) -> None:
        self._page = settings.public_url + settings.pages_prefix + ERROR_PAGE_PATH
        self._has_pages = settings.pages == "on"
        self._host_id = settings.public_url.partition("://")[2]

    def answer_error(self, error: RequestError, request_id: str) -> Answer:
        """The answer of an error that was raised on purpose."""
        told = describe_error(error)
        answer = self._answer(told, request_id)
        if told.retry_after_ms is not None:
            wait = str(max(1, told.retry_after_ms)).encode()
            answer.headers.append((b"x-acs-retry-after", wait))
            answer.headers.append((b"x-ratelimit-user", b"TimeLeft:" + wait))  # where the provider's Go SDK looks
        if isinstance(error, MethodUnsupported):
            answer.headers.append((b"allow", ", ".join(error.allowed).encode()))
        return answer

    def answer_unexpected(self, request_id: str) -> Answer:
        """The answer of an exception that nobody foresaw: the request id, and nothing else that tells of it."""
        return self._answer(ErrorAnswer(INTERNAL_ERROR.code, INTERNAL_ERROR.status, INTERNAL_ERROR.message), request_id)

    def _answer(self, told: ErrorAnswer, request_id: str) -> Answer:
        page = f"{self._page}#{told.code}" if self._has_pages else get_error_definition(told.code).cure
        members: dict[str, Any] = {
            "RequestId": request_id,
            "HostId": self._host_id,
            "Code": told.code,
            "Message": told.message,
            "Recommend": page,
            "requestId": request_id,
            "code": told.code,
            "message": told.message,
            "status": told.status,
        }
        if told.denial is not None:
            members["AccessDeniedDetail"] = members["accessDeniedDetail"] = told.denial
        body = _encode(members)
        return Answer(told.status, _headers(body, request_id), body, told.code)


def _headers(body: bytes, request_id: str) -> Headers:
    return [
        _CONTENT_TYPE,
        (b"content-length", b"%d" % len(body)),
        (b"x-acs-request-id", request_id.encode()),
        _NO_STORE,
    ]
