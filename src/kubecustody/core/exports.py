"""Exported events: one JSON object a line, which can be checked line by line without the server that wrote them.

    {"export": 1, ...}            what it is: account, first and last event, the seal before, the fingerprint of the key
    {"event_no": 1, ..., "sha256": ...}   an event with the SHA-256 of its canonical form
    {"seal": ..., ...}            the seal over the events since the one before: see `core.events`
    {"sha256": ..., "signature": ...}     the end: SHA-256 of every byte before this line, and the signature over it

What is signed is the digest of the last line as 64 hex digits and a line feed, so that `sha256sum` and openssl can
check it. Each line is as `json.dumps` writes it without white space and with non-ASCII as it is.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from kubecustody.core.events import Event, canonical_form, seal

FORM = 1
MOST_FAULTS = 20


class Head(NamedTuple):
    """What an export says of itself. key: the fingerprint of the one that signs."""

    installation_id: str
    account_id: str
    first_event_no: int
    last_event_no: int
    previous_seal: str
    exported_at: str
    exported_by: str
    key: str


def head_line(head: Head) -> bytes:
    """The first line."""
    return _line({"export": FORM, **head._asdict()})


def event_line(event: Event) -> bytes:
    """The line of an event. Details are an object, but for what this program would have written otherwise: a text."""
    members: dict[str, Any] = event._asdict()
    details = json.loads(event.details)
    if _details_text(details) == event.details:
        members["details"] = details
    members["sha256"] = hashlib.sha256(canonical_form(event).encode()).hexdigest()
    return _line(members)


def seal_line(first_event_no: int, last_event_no: int, seal_hash: bytes) -> bytes:
    """The line of a seal."""
    return _line({"seal": seal_hash.hex(), "first_event_no": first_event_no, "last_event_no": last_event_no})


def end_line(digest: str, signature: str) -> bytes:
    """The last line: the digest of all before it, and the signature over the digest, in base64."""
    return _line({"sha256": digest, "signature": signature})


def signed_message(digest: str) -> bytes:
    """What is signed."""
    return digest.encode() + b"\n"


def _line(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _details_text(details: Any) -> str:
    return json.dumps(details, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _event_of(members: dict[str, Any]) -> Event:
    values = {name: members[name] for name in Event._fields}
    if not isinstance(values["details"], str):
        values["details"] = _details_text(values["details"])
    return Event(**values)


class Checker:
    """Takes an export line by line and finds what is wrong with it, each with its place.

    is_signed: whether a signature (base64) over a message is of the key that is trusted, which has the fingerprint
    `key`. What is found is in `faults`, at most MOST_FAULTS of them.
    """

    def __init__(self, key: str, is_signed: Callable[[bytes, str], bool]) -> None:
        self.faults: list[str] = []
        self.head: Head | None = None
        self.events = 0
        self.lines = 0
        self._key = key
        self._is_signed = is_signed
        self._digest = hashlib.sha256()
        self._next_no = 0
        self._unsealed_no = 0
        self._seals: set[bytes] = set()  # before the next one: as told, and as it follows from what is before it
        self._waiting: list[tuple[int, Event | None]] = []  # line and event, since the last seal
        self._ended = False

    def take(self, line: bytes) -> None:
        """Look at the next line, with its line feed."""
        self.lines += 1
        if self._ended:
            self._fault("stands behind the end, where nothing may follow")
            return
        try:
            members = json.loads(line)
            written = isinstance(members, dict) and _line(members) == line
        except ValueError:
            members, written = None, False
        if isinstance(members, dict) and "signature" in members:
            self._take_end(members)
        elif not written:
            self._fault("was changed: it is not as it was written")
            self._waiting.append((self.lines, None))
            self._next_no += self.lines > 1
        else:
            self._take_whole(members)
        self._digest.update(line)

    def finish(self) -> None:
        """Say that there are no more lines."""
        if not self._ended:
            self.faults.append(f"The file was cut: it ends after line {self.lines}, without the line of the signature.")
        del self.faults[MOST_FAULTS:]

    def _fault(self, text: str) -> None:
        self.faults.append(f"Line {self.lines} {text}.")

    def _take_whole(self, members: dict[str, Any]) -> None:
        try:
            if self.lines == 1:
                self._take_head(members)
            elif "event_no" in members:
                self._take_event(members)
            else:
                self._take_seal(members)
        except (KeyError, TypeError, ValueError):
            self._fault("is none that an export has: members are missing or wrong")

    def _take_head(self, members: dict[str, Any]) -> None:
        if members.pop("export") != FORM:
            raise ValueError(members)
        self.head = Head(**members)
        self._next_no = self.head.first_event_no
        self._unsealed_no = self._next_no
        self._seals = {bytes.fromhex(self.head.previous_seal)}
        if self.head.key != self._key:
            self._fault(f"says that the key {self.head.key} signed, and the one at hand is {self._key}")

    def _take_event(self, members: dict[str, Any]) -> None:
        told = members.pop("sha256")
        event = _event_of(members)
        self.events += 1
        if event.event_no < self._next_no:
            self._fault(f"holds event {event.event_no} a second time or in the wrong place")
            return
        if event.event_no > self._next_no:
            missing = (
                f"{self._next_no}"
                if event.event_no == self._next_no + 1
                else (f"{self._next_no} to {event.event_no - 1}")
            )
            self._fault(f"holds event {event.event_no}; missing before it: {missing}")
            self._waiting.append((self.lines, None))
        self._next_no = event.event_no + 1
        changed = told != hashlib.sha256(canonical_form(event).encode()).hexdigest()
        if changed:
            self._fault(f"was changed: event {event.event_no} is not what was written")
        self._waiting.append((self.lines, None if changed else event))

    def _take_seal(self, members: dict[str, Any]) -> None:
        told, first, last = bytes.fromhex(members["seal"]), members["first_event_no"], members["last_event_no"]
        events = [event for _, event in self._waiting if event is not None]
        whole = len(events) == len(self._waiting)
        if last >= self._next_no:
            self._fault(f"seals events {first} to {last}; missing before it: {self._next_no} to {last}")
            self._next_no, whole = last + 1, False
        made = {seal(before, events) for before in self._seals}
        if not self._waiting:
            self._fault("seals no event: it stands there a second time or in the wrong place")
        elif whole and first != self._unsealed_no:
            self._fault(f"seals events from {first} on; a seal from {self._unsealed_no} on is missing before it")
        elif whole and told not in made:
            lines = f"{self._waiting[0][0]} to {self.lines}"
            self._fault(f"seals events {first} to {last}, and that does not hold: one of the lines {lines} was changed")
        self._seals = {told, *made}
        self._unsealed_no = self._next_no
        self._waiting.clear()

    def _take_end(self, members: dict[str, Any]) -> None:
        self._ended = True
        digest = self._digest.hexdigest()
        if self._waiting:
            self._fault("ends the file, and a seal is missing before it")
        if self.head is not None and self._next_no != self.head.last_event_no + 1:
            self._fault(f"ends the file at event {self._next_no - 1}; line 1 promises {self.head.last_event_no}")
        if not self.faults and members.get("sha256") != digest:
            self._fault("has another digest than the lines before it, which were changed")
        if not self._is_signed(signed_message(digest), str(members.get("signature"))):
            self._fault("has a signature that is not of this key over what stands before it")
