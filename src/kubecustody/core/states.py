"""The states of credentials and of rows of the list, derived from facts at a given moment.

The rule, which docs/explanation/states.md tells in prose. Of one credential, the first that holds:

1. *Removed*: there is evidence of a named kind that it is powerless. A wish for removal is no evidence.
2. *Expired*: now is later than its not_after (RFC 5280 4.1.2.5: at not_after itself it is still valid).
3. *Unknown*: it may live, but nothing here vouches for it.
4. *Unexpired*, also before its not_before.

Of a row (one person, one cluster): no credential, Unissued; any Unexpired, Unexpired; else any Unknown,
Unknown; else the state of the newest one (greatest issued_at, then the one recorded last).

A credential is vouched for until `vouched_until`: the end of its certificate or of the chain above it,
whichever comes first, since an API server checks the validity of every certificate of a chain (Go,
crypto/x509 Certificate.Verify, read 2026-11-24). A chain verdict holds for one trust epoch of the cluster;
made against another epoch it vouches for nothing.

Times are unix seconds. Nothing here reads a clock.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class CertState(StrEnum):
    """The state of a certificate, in the words of the wire."""

    UNISSUED = "Unissued"
    UNEXPIRED = "Unexpired"
    EXPIRED = "Expired"
    REMOVED = "Removed"
    UNKNOWN = "Unknown"


class ClusterState(StrEnum):
    """The state of a cluster, in the words of the wire."""

    INITIAL = "initial"
    FAILED = "failed"
    RUNNING = "running"
    UPDATING = "updating"
    UPDATING_FAILED = "updating_failed"
    SCALING = "scaling"
    STOPPED = "stopped"
    DELETING = "deleting"
    DELETED = "deleted"
    DELETE_FAILED = "delete_failed"


class RemovedBy(StrEnum):
    """What kind of evidence makes a credential Removed."""

    ATTESTED = "attested"
    PROVED = "proved"


class CanGetIn(StrEnum):
    """Whether a person can get into a cluster by a certificate known here."""

    YES = "yes"
    NO = "no"
    UNPROVEN = "unproven"


class Credential(NamedTuple):
    """The facts of one credential that decide its state.

    not_after is None for a record without certificate. vouched_until is None where nothing vouches for it,
    and then `verdict` says why. `masters`: its group passes every authorizer (system:masters).
    """

    number: int
    issued_at: int
    not_before: int
    not_after: int | None
    vouched_until: int | None
    trust_epoch: int
    verdict: str = "chains"
    masters: bool = False
    removed_at: int | None = None
    removed_by: RemovedBy | None = None
    removal_requested_at: int | None = None


class Holding(NamedTuple):
    """What one person's credentials in one cluster add up to: facts, not a state, so that nothing has to run
    when a certificate expires.

    vouched_until: latest end among those not removed and vouched for; unvouched_until: latest not_after among
    those not removed whose voucher ends before it or never was; unvouched_open: how many not removed have no
    known end; newest_removed_at and newest_not_after: of the newest one; trust_epoch: the one that the
    verdicts were made against.
    """

    vouched_until: int | None
    unvouched_until: int | None
    unvouched_open: int
    newest_removed_at: int | None
    newest_not_after: int | None
    trust_epoch: int


# The state of a row, and the latest end among the certificates that decided it; None: there is none. A plain tuple:
# it is made for every row of every list.
RowState = tuple[CertState, int | None]

_UNISSUED, _UNEXPIRED, _EXPIRED = CertState.UNISSUED, CertState.UNEXPIRED, CertState.EXPIRED
_REMOVED, _UNKNOWN = CertState.REMOVED, CertState.UNKNOWN


def state_of_credential(credential: Credential, trust_epoch: int, now: float) -> CertState:
    """The state of one credential at `now`, in a cluster whose client CA bundle has `trust_epoch`."""
    if credential.removed_at is not None:
        return CertState.REMOVED
    if credential.not_after is not None and now > credential.not_after:
        return CertState.EXPIRED
    vouched_until = credential.vouched_until
    if vouched_until is None or credential.trust_epoch != trust_epoch or now > vouched_until:
        return CertState.UNKNOWN
    return CertState.UNEXPIRED


def state_of_row(holding: Holding | None, trust_epoch: int, now: float) -> RowState:
    """The state of one person in one cluster at `now`, from what their credentials add up to."""
    if holding is None:
        return _UNISSUED, None
    vouched_until, unvouched_until, unvouched_open, removed_at, not_after, epoch = holding
    if vouched_until is not None:
        if epoch == trust_epoch:
            if now <= vouched_until:
                return _UNEXPIRED, vouched_until
        elif unvouched_until is None or unvouched_until < vouched_until:
            unvouched_until = vouched_until
    if unvouched_until is not None and now <= unvouched_until:
        return _UNKNOWN, unvouched_until
    if unvouched_open:
        return _UNKNOWN, None
    if removed_at is not None:
        return _REMOVED, not_after
    return _EXPIRED, not_after


def holding_of(credentials: Iterable[Credential], trust_epoch: int) -> Holding | None:
    """What these credentials of one person in one cluster add up to; None without any.

    `trust_epoch` is the cluster's; a verdict made against another counts as none.
    """
    vouched: list[int] = []
    unvouched: list[int] = []
    unvouched_open = 0
    newest: Credential | None = None
    for credential in credentials:
        if newest is None or (credential.issued_at, credential.number) > (newest.issued_at, newest.number):
            newest = credential
        if credential.removed_at is not None:
            continue
        voucher = credential.vouched_until if credential.trust_epoch == trust_epoch else None
        if voucher is not None:
            vouched.append(voucher)
        if credential.not_after is None:
            unvouched_open += 1
        elif voucher is None or voucher < credential.not_after:
            unvouched.append(credential.not_after)
    if newest is None:
        return None
    return Holding(
        max(vouched, default=None),
        max(unvouched, default=None),
        unvouched_open,
        newest.removed_at,
        newest.not_after,
        trust_epoch,
    )


def is_live(credential: Credential, now: float) -> bool:
    """Whether it may still get in: neither Removed nor Expired."""
    return credential.removed_at is None and (credential.not_after is None or now <= credential.not_after)


def is_current(credential: Credential, now: float) -> bool:
    """Whether it is live and nobody has asked for its removal."""
    return credential.removal_requested_at is None and is_live(credential, now)


def can_get_in(credentials: Iterable[Credential], trust_epoch: int, now: float) -> CanGetIn:
    """Whether a person can get in by these credentials, as far as is known here.

    `no` means "not by a certificate known here": whoever had rights may have made others. An attestation is
    somebody's word, so it leaves the question open. A live certificate of system:masters passes before every
    authorizer, whatever was unbound, and so does one whose removal was merely attested.
    """
    answer = CanGetIn.NO
    for credential in credentials:
        if credential.removed_by is RemovedBy.PROVED:
            continue
        if credential.not_after is not None and now > credential.not_after:
            continue
        if credential.not_after is not None and now < credential.not_before:
            continue
        voucher = credential.vouched_until
        vouched = voucher is not None and credential.trust_epoch == trust_epoch and now <= voucher
        if credential.masters and vouched:
            return CanGetIn.YES
        answer = CanGetIn.UNPROVEN
    return answer
