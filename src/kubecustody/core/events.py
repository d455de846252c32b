"""Events: what happened, and the hash chain that shows that nothing was changed or left out afterwards.

A seal covers the events of one transaction:

    hash = SHA-256(previous hash || canonical form of each event, each with its length before it)

The canonical form is the JSON array of the event's columns in the order of `Event`, without white space, with
non-ASCII escaped; lengths are 8 bytes, most significant first. The first previous hash is SHA-256 of
"kubecustody events of " and the account id.
"""

import hashlib
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii as quote
from types import MappingProxyType
from typing import Final, NamedTuple

# Every kind of event, and what happened.
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "account_created": "An account was made.",
        "principal_created": "A user or role was made.",
        "principal_disabled": "A user or role was disabled: their keys and sessions are refused.",
        "principal_enabled": "A disabled user or role may call again.",
        "principal_deleted": "A user or role was deleted. What they hold lives on until it is removed.",
        "delegation_given": "A user was made a delegated administrator.",
        "delegation_taken": "A user is a delegated administrator no more.",
        "group_created": "A group was made.",
        "group_deleted": "A group was deleted.",
        "group_member_added": "Somebody was put into a group.",
        "group_member_removed": "Somebody was taken out of a group.",
        "access_key_created": "An access key was made.",
        "access_key_disabled": "An access key is refused from the next request on.",
        "access_key_enabled": "A disabled access key works again.",
        "access_key_deleted": "An access key was deleted.",
        "session_begun": "A session of a role was begun; details name its end and its policy.",
        "sessions_ended": "Every session of a role that was begun before was ended.",
        "policy_stored": "A policy was made or changed; details hold the document.",
        "policy_deleted": "A policy was deleted.",
        "policy_attached": "A policy was attached to a user, role or group.",
        "policy_detached": "A policy was detached.",
        "cluster_added": "A cluster was registered.",
        "cluster_renamed": "A cluster has another name.",
        "cluster_state_told": "An operator told the state of a cluster.",
        "cluster_state_seen": "The state of a cluster was seen by looking at it.",
        "cluster_details_changed": "Where a cluster is, or how people reach it, changed.",
        "cluster_access_recorded": "The access by which this server reaches a cluster was recorded.",
        "own_access_not_renewed": "The access by which this server reaches a cluster could not be renewed; told once.",
        "own_access_renewed": "The access by which this server reaches a cluster was renewed.",
        "cluster_mode_set": "A cluster is kept otherwise: observed or managed.",
        "attest_on_clean_set": "Whether a clean in a cluster counts as attested was set.",
        "cluster_reached": "A cluster answered again, or for the first time.",
        "cluster_not_reached": "A cluster did not answer.",
        "cluster_clock_differs": "A cluster's clock is another than this server's by more than is tolerated.",
        "cluster_clock_agrees": "A cluster's clock agrees with this server's again.",
        "cluster_seen": "The version or the identity of a cluster was seen.",
        "cluster_identity_changed": "Another cluster answered at a cluster's address.",
        "bindings_changed": "Bindings in a managed cluster were changed.",
        "signer_set": "What issues for a cluster was set.",
        "trust_changed": "A cluster trusts another client CA bundle; certificates were judged anew.",
        "cluster_deleted": "A cluster was marked as deleted.",
        "cluster_purged": "A deleted cluster was taken out of the list.",
        "credential_imported": "A certificate that somebody holds was recorded.",
        "credential_issued": "A certificate was issued.",
        "signed_longer": "A cluster signed for longer than it was asked to; the certificate is to be removed.",
        "signed_shorter": "A cluster signed for shorter than it was asked to.",
        "issue_begun": "A cluster was asked to sign a certificate.",
        "issue_given_up": "A cluster did not sign, and is asked no more.",
        "credential_matched": "Whose a certificate is was found out by its common name.",
        "credential_assigned": "An operator said whose a certificate is.",
        "credential_chain_completed": "The certificates above a certificate, which were missing, were recorded.",
        "verdict_changed": "Whether a cluster's client CA vouches for a certificate changed.",
        "validity_set": "How long a person's kubeconfigs of a cluster live was set.",
        "private_key_kept": "The private key of an imported certificate was kept, sealed.",
        "private_key_disclosed": "A private key was handed out in a kubeconfig.",
        "private_key_destroyed": "A kept private key was destroyed.",
        "removal_requested": "Somebody asked for the removal of a credential.",
        "credential_compromised": "A credential is to be removed since somebody else may have its key.",
        "credential_restored": "The removal of a credential was taken back, with the permissions in details.",
        "removal_attested": "An operator gave their word that a credential is powerless.",
        "removal_withdrawn": "That word was taken back.",
        "removal_proved": "A cluster proved that a credential is powerless.",
        "removal_lapsed": "A removal counts no more: the cluster must prove it anew.",
        "permissions_changed": "What a person is permitted changed; details hold it before and after.",
        "permissions_cleaned": "What a person was permitted in a cluster was taken away.",
        "task_begun": "A call over several clusters was begun.",
        "task_ended": "A call over several clusters ended.",
        "master_key_rotated": "Every secret was sealed anew with a new master key.",
        "books_repaired": "Counts and holdings were made anew from the facts.",
        "restore_accepted": "A restored store is trusted again.",
        "audit_key_made": "The key that exports of events are signed with was made; details hold its fingerprint.",
        "audit_exported": "Events were written to a signed file.",
    }
)


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
