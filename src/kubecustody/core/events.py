"""Events: what happened, and the hash chain that shows that nothing was changed or left out afterwards.

A seal covers the events of one transaction:

    hash = SHA-256(previous hash || canonical form of each event, each with its length before it)

The canonical form is the JSON array of the event's columns in the order of `Event`, without white space, with
non-ASCII escaped; lengths are 8 bytes, most significant first. The first previous hash is SHA-256 of
"kubecustody events of " and the account id.
"""

import hashlib
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quote
from typing import NamedTuple


class Event(NamedTuple):
    """One event. recorded_at_ms is our clock (unix milliseconds), occurred_at the fact's own (unix seconds).

    uid: whom it is about, "" for nobody; cluster_seq: 0 for none; subject: kind/id of what was changed;
    details: a JSON object. Ids only, never personal names.
    """

    account_id: str
    event_no: int
    recorded_at_ms: int
    occurred_at: int
    kind: str
    actor: str
    request_id: str
    uid: str
    cluster_seq: int
    subject: str
    reason: str
    details: str


def first_hash(account_id: str) -> bytes:
    """What stands before the first seal of an account."""
    return hashlib.sha256(f"kubecustody events of {account_id}".encode()).digest()


def canonical_form(event: Event) -> str:
    """What is sealed of an event: as `json.dumps` writes it, in a quarter of its time."""
    account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, *texts = event
    subject, reason, details = map(quote, texts)
    return (
        f"[{quote(account_id)},{event_no},{recorded_at_ms},{occurred_at},{quote(kind)},{quote(actor)},"
        f"{quote(request_id)},{quote(uid)},{cluster_seq},{subject},{reason},{details}]"
    )


def seal(previous_hash: bytes, events: Iterable[Event]) -> bytes:
    """The hash that seals these events, in order, behind the seal before."""
    digest = hashlib.sha256(previous_hash)
    for event in events:
        text = canonical_form(event).encode()
        digest.update(len(text).to_bytes(8, "big"))
        digest.update(text)
    return digest.digest()
