"""Requests of every client of the provider's, byte by byte as they came over the wire.

captured/provenance.json says of each client which version was run, and when. Each request holds at its own date, and
no longer once a single byte of what it signed is another.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import md5, sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from httptools import HttpRequestParser, parse_url

from kubecustody.core.errors import SignatureError, SignatureIncomplete, SignatureMismatch
from kubecustody.core.times import parse_time
from kubecustody.signing import acs3, roa
from kubecustody.signing.request import SignedRequest

FOLDER = Path(__file__).parent / "captured"
PROVENANCE: dict[str, Any] = json.loads((FOLDER / "provenance.json").read_text())
NAMES = sorted(path.stem for path in FOLDER.glob("*.http"))
SECRET = PROVENANCE["secret"].encode()
OLD_FORM_SIGNS = {b"accept", b"content-md5", b"content-type", b"date"}

# Clients of the newer generation, where they sign in the older form, send no Content-MD5: nothing covers the body.
BODY_UNSIGNED = {f"{client}-body" for client in ("go-v5", "go-v7-old", "node-openapi-core-old")}
BODY_UNSIGNED |= {f"python-tea-old-{mode}-body" for mode in ("sync", "async")}

# aiohttp, under the asynchronous Python client, adds a Content-Type after the older form was signed without one.
TYPE_UNSIGNED = {"python-tea-old-async-query", "python-tea-old-async-token"}
HOLDING = sorted(set(NAMES) - BODY_UNSIGNED - TYPE_UNSIGNED)


class Captured(NamedTuple):
    """One request of the wire, taken apart by the parser that the server uses."""

    method: bytes
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return dict(self.headers).get(name, b"")

    @property
    def is_old_form(self) -> bool:
        return self.header(b"authorization").startswith(b"acs ")

    @property
    def signed_names(self) -> set[bytes]:
        if not self.is_old_form:
            return set(self.header(b"authorization").partition(b"SignedHeaders=")[2].partition(b",")[0].split(b";"))
        return {name for name, _ in self.headers if name in OLD_FORM_SIGNS or name.startswith(b"x-acs-")}

    @property
    def sent_at(self) -> float:
        if self.is_old_form:
            return parsedate_to_datetime(self.header(b"date").decode()).timestamp()
        return parse_time(self.header(b"x-acs-date").decode())

    def with_header(self, name: bytes, value: bytes | None) -> "Captured":
        changed = [(key, value if key == name else old) for key, old in self.headers]
        return self._replace(headers=[(key, old) for key, old in changed if old is not None])


class _Reading:
    """What the parser tells."""

    def __init__(self) -> None:
        self.target, self.body, self.complete = b"", b"", False
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.complete = True


def captured(name: str) -> Captured:
    reading = _Reading()
    parser = HttpRequestParser(reading)
    parser.feed_data((FOLDER / f"{name}.http").read_bytes())
    assert reading.complete
    url = parse_url(reading.target)
    return Captured(parser.get_method(), url.path, url.query or b"", reading.headers, reading.body)


def verify(one: Captured, now: float, secret: bytes = SECRET) -> acs3.Claim | roa.RoaClaim:
    """The claim of a request that holds, routed to whatever operation it names."""
    request = SignedRequest(
        one.method.decode("latin-1"), one.path, one.query, one.headers, sha256(one.body).hexdigest()
    )
    action = one.header(b"x-acs-action").decode("ascii", "replace")
    version = one.header(b"x-acs-version").decode("ascii", "replace")
    if one.is_old_form:
        body_md5 = md5(one.body).digest() if one.body else None
        claim = roa.read_claim(request, now=now, action=action, version=version, body_md5=body_md5)
        roa.verify_signature(request, claim, secret)
        return claim
    found = acs3.read_claim(request, now=now, action=action, version=version)
    acs3.verify_signature(request, found, secret)
    return found


def neighbours(value: bytes) -> Iterator[bytes]:
    """The value with one byte changed, at each place."""
    for place, byte in enumerate(value):
        yield value[:place] + bytes([byte ^ 1]) + value[place + 1 :]


def signature_of(authorization: bytes) -> bytes:
    """The signature's bytes, whose last letter of base64 has two bits to spare."""
    last = authorization[-28:]
    try:
        return b64decode(last, validate=True)
    except ValueError:
        return last


def changed(one: Captured) -> Iterator[tuple[str, Captured]]:
    """Every request that differs from this one in one byte of what is signed, and which byte's part that is."""
    for part in ("method", "path", "query", "body"):
        for value in neighbours(getattr(one, part)):
            other: Any = {part: value}
            yield part, one._replace(**other)
    for name in one.signed_names:
        yield f"no {name!r}", one.with_header(name, None)
        for value in neighbours(one.header(name)):
            yield repr(name), one.with_header(name, value)
    # The access key's id before is no part of what is signed: another id has another secret.
    whole = one.header(b"authorization")
    begin = whole.index(b":" if one.is_old_form else b",SignedHeaders=") + 1
    for value in neighbours(whole[begin:]):
        if not one.is_old_form or signature_of(whole) != signature_of(value):
            yield "authorization", one.with_header(b"authorization", whole[:begin] + value)


def day_of(one: Captured) -> str:
    return datetime.fromtimestamp(one.sent_at, UTC).date().isoformat()


def test_every_request_says_where_it_comes_from_and_every_client_has_one() -> None:
    clients = {name.rpartition("-")[0] for name in NAMES}
    assert clients == set(PROVENANCE["clients"])
    for name, told in PROVENANCE["clients"].items():
        days = {day_of(captured(one)) for one in NAMES if one.rpartition("-")[0] == name}
        assert days == {told["day"]}, name
        assert any(character.isdigit() for character in told["client"])


@pytest.mark.parametrize("name", HOLDING)
def test_captured_request_holds_at_its_date_with_its_secret_alone(name: str) -> None:
    one = captured(name)
    claim = verify(one, one.sent_at)
    is_temporary = name.endswith("-token")
    assert claim.access_key_id == ("STS.AKTESTID" if is_temporary else "AKTESTID")
    assert claim.security_token == (PROVENANCE["token"] if is_temporary else None)
    for now, secret in ((one.sent_at + 901, SECRET), (one.sent_at - 901, SECRET), (one.sent_at, b"another")):
        with pytest.raises(SignatureError):
            verify(one, now, secret)


@pytest.mark.parametrize("name", HOLDING)
def test_captured_request_holds_no_longer_with_any_signed_byte_changed(name: str) -> None:
    one = captured(name)
    taken = []
    parts = set()
    for part, other in changed(one):
        parts.add(part)
        try:
            verify(other, one.sent_at)
        except SignatureError:
            continue
        taken.append((part, other))
    assert taken == []
    assert {"method", "path", "authorization"} <= parts and len(parts) > 10
    assert ("body" in parts) == bool(one.body)


@pytest.mark.parametrize("name", sorted(BODY_UNSIGNED))
def test_body_that_an_old_form_left_unsigned_is_refused_for_that_alone(name: str) -> None:
    one = captured(name)
    assert one.is_old_form and one.body and not one.header(b"content-md5")
    with pytest.raises(SignatureIncomplete, match="a body is signed only through Content-MD5"):
        verify(one, one.sent_at)
    verify(one._replace(body=b""), one.sent_at)


@pytest.mark.parametrize("name", sorted(TYPE_UNSIGNED))
def test_content_type_that_was_added_after_signing_is_refused_for_that_alone(name: str) -> None:
    one = captured(name)
    with pytest.raises(SignatureMismatch):
        verify(one, one.sent_at)
    verify(one.with_header(b"content-type", None), one.sent_at)
