"""Serving the pages: which path is a page, and what is answered.

Pages are files made beforehand, so a worker carries neither a template engine nor their text: each answer reads its
file. Marks in a file are filled in as it is read: MARK_NAVIGATION by the list of pages, MARK_PREFIX by the setting
`pages_prefix`, MARK_STATIC by the address of the static files, which names their content, so that a browser may keep
them for good.
"""

import hashlib
import html
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.core.errors import OperatorError

ROOTS = ("/docs", "/explorer", "/openapi.json", "/static")
MARK_NAVIGATION = b"%%NAVIGATION%%"
MARK_PREFIX = b"%%PREFIX%%"
MARK_STATIC = b"%%STATIC%%"
MARK_WORDS = b"%%WORDS%%"
MARK_RESULTS = b"%%RESULTS%%"
SEARCH = "docs/search"

_HERE = Path(__file__).parent
SITE, STATIC = _HERE / "site", _HERE / "static"

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Nothing inline, nothing from elsewhere, in nobody's frame.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_EVERY = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_FOR_GOOD = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"

Headers = list[tuple[bytes, bytes]]


class PageAnswer(NamedTuple):
    """What is sent for a page."""

    status: int
    headers: Headers
    body: bytes


def check_prefix(prefix: str) -> None:
    """Raise OperatorError where pages under this prefix would stand in the way of an operation."""
    first = f"{prefix}/docs".split("/")[1]
    taken = {operation.path.split("/")[1] for operation in OPERATIONS}
    if first in taken:
        raise OperatorError(f"pages_prefix is {prefix!r}, and the API has paths there. Choose another, such as /pages.")


class Pages:
    """Answers GET and HEAD of the pages. What it knows of the files is read at the first request."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._roots = tuple(prefix + root for root in ROOTS)
        self._known: _Known | None = None

    def covers(self, path: str) -> bool:
        """Whether this (decoded) path belongs to the pages rather than to the API."""
        return path.startswith(self._roots) and any(path == root or path.startswith(f"{root}/") for root in self._roots)

    def answer(self, path: str, query_string: bytes, headers: Iterable[tuple[bytes, bytes]]) -> PageAnswer:
        """The page of a path that is covered; where there is none, a page that says so and searches."""
        known = self._known = self._known or _Known(self._prefix)
        name = path.removeprefix(self._prefix).removeprefix("/")
        if name.startswith("static/"):
            return known.answer_static(name.removeprefix("static/"))
        if name == SEARCH:
            return known.answer_search(query_string)
        if name not in known.pages:
            return known.answer_absent(name)
        return known.answer_page(name, dict(headers).get(b"if-none-match", b""))


class _Known:
    """The files that there are, and the address of the static ones."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.pages = {name.removesuffix(".html"): path for name, path in _files(SITE)}
        self._by_folded_name = {name.lower(): name for name in self.pages}
        self._static = dict(_files(STATIC))
        content = hashlib.sha256()
        for name, path in sorted(self._static.items()):
            content.update(b"%s\0%d\0" % (name.encode(), path.stat().st_size) + path.read_bytes())
        self._tag = content.hexdigest()[:16]
        self._navigation = (SITE / "navigation.html").read_bytes()

    def answer_page(self, name: str, seen: bytes) -> PageAnswer:
        """The page, or that it is the one that the browser has."""
        path = self.pages[name]
        body = self._fill(path.read_bytes(), name)
        tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        headers = [*_EVERY, (b"cache-control", _ASK_AGAIN), (b"etag", tag)]
        if tag in seen:
            return PageAnswer(304, headers, b"")
        return PageAnswer(200, [*headers, *_content(path, body)], body)

    def answer_search(self, query_string: bytes) -> PageAnswer:
        """The page of the search, with what was found."""
        from kubecustody.pages.searching import read_words, render_results

        words, errors_only = read_words(query_string)
        found = render_results(SITE / "search-index.json", words, self._prefix, errors_only=errors_only)
        path = SITE / f"{SEARCH}.html"
        body = self._fill(path.read_bytes(), SEARCH).replace(MARK_RESULTS, found.encode())
        body = body.replace(MARK_WORDS, html.escape(words).encode())
        return PageAnswer(200, [*_EVERY, (b"cache-control", b"no-store"), *_content(path, body)], body)

    def answer_static(self, name: str) -> PageAnswer:
        """A static file. Under an address of the past it is the present one, which nobody is to keep."""
        tag, _, name = name.partition("/")
        path = self._static.get(name)
        if path is None:
            return self.answer_absent(f"static/{name}")
        body = path.read_bytes()
        keep = _FOR_GOOD if tag == self._tag else _ASK_AGAIN
        return PageAnswer(200, [*_EVERY, (b"cache-control", keep), *_content(path, body)], body)

    def answer_absent(self, name: str) -> PageAnswer:
        """Where the page stands in truth, if only case or a last slash differ; else that there is none."""
        found = self._by_folded_name.get(name.rstrip("/").lower())
        if found is not None:
            place = f"{self._prefix}/{found}".encode()
            return PageAnswer(308, [*_EVERY, (b"location", place), (b"content-length", b"0")], b"")
        path = SITE / "not-found.html"
        body = self._fill(path.read_bytes(), "")
        return PageAnswer(404, [*_EVERY, (b"cache-control", b"no-store"), *_content(path, body)], body)

    def _fill(self, body: bytes, name: str) -> bytes:
        here = b'href="%s/%s"' % (MARK_PREFIX, name.encode())
        navigation = self._navigation.replace(here, here + b' aria-current="page"')
        static = f"{self._prefix}/static/{self._tag}".encode()
        body = body.replace(MARK_NAVIGATION, navigation).replace(MARK_STATIC, static)
        return body.replace(MARK_PREFIX, self._prefix.encode())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below, by its name from there."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in _TYPES:
            yield path.relative_to(folder).as_posix(), path


def _content(path: Path, body: bytes) -> Headers:
    return [(b"content-type", _TYPES[path.suffix]), (b"content-length", b"%d" % len(body))]
