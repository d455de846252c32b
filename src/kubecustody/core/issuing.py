"""What an issue, a renewal and a temporary kubeconfig come to: decisions about facts, without effects.

Renewal begins in the last part of a certificate's life: the smaller of 180 days (the provider's page "Renew a
kubeconfig", read 2026-11-24) and a third of it. A temporary one is handed out again while it has half its life left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

DAY_SECONDS = 86_400
PROVIDER_DAYS = 3 * 365
LONGEST_DAYS = 365
BACKDATE_SECONDS = 300
RENEWAL_SECONDS = 180 * DAY_SECONDS
SHORTEST_TEMPORARY_MINUTES, LONGEST_TEMPORARY_MINUTES = 15, 4320
LONGEST_EXPIRE_HOURS = 876_000


class Held(NamedTuple):
    """One current credential of ours: neither removed nor asked to be, not expired, vouched for.

    holders_key: its key was made by its holder, so that it counts for the limits and is nobody's predecessor.
    """

    number: int
    issued_at: int
    not_after: int
    temporary_minutes: int | None
    key_kept: bool
    holders_key: bool = False


class Limits(NamedTuple):
    """How many current ones a person may hold in one cluster."""

    long_lived: int
    temporary: int


@dataclass(frozen=True, slots=True)
class HandOut:
    """Give the credential of this number out again."""

    number: int


@dataclass(frozen=True, slots=True)
class Issue:
    """Make a new one that lives this long; ask the removal of those that it replaces."""

    life_seconds: int
    replaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AtLimit:
    """No more may be made: the number of the oldest current one, and the limit."""

    oldest: int
    limit: int


Decision = HandOut | Issue | AtLimit


def decide_long_lived(
    held: Sequence[Held],
    life_seconds: int,
    validity_after: int | None,
    limits: Limits,
    now: float,
    *,
    keep_keys: bool,
) -> Decision:
    """What to do for somebody who asks for a kubeconfig without an end of their choice.

    validity_after: the last number from before the account set another validity: what was issued up to it is not
    handed out again.
    """
    mine = [one for one in held if one.temporary_minutes is None]
    usable = [one for one in mine if one.key_kept and (validity_after is None or one.number > validity_after)]
    newest = max(usable, key=lambda one: (one.not_after, one.number), default=None)
    if newest is not None and now < newest.not_after - renewal_window(newest.not_after - newest.issued_at):
        return HandOut(newest.number)
    replaces = () if keep_keys else tuple(one.number for one in mine if not one.holders_key)
    if len(mine) - len(replaces) >= limits.long_lived:
        return AtLimit(min(mine, key=lambda one: (one.issued_at, one.number)).number, limits.long_lived)
    return Issue(life_seconds, replaces)


def decide_temporary(
    held: Sequence[Held], minutes: int, limits: Limits, now: float, *, keep_keys: bool = True
) -> Decision:
    """What to do for somebody who asks for a kubeconfig of so many minutes."""
    mine = [one for one in held if one.temporary_minutes is not None]
    same = [one for one in mine if one.temporary_minutes == minutes and one.key_kept]
    newest = max(same, key=lambda one: (one.not_after, one.number), default=None)
    if newest is not None and newest.not_after - now >= minutes * 60 / 2:
        return HandOut(newest.number)
    replaces = (
        ()
        if keep_keys
        else tuple(one.number for one in mine if one.temporary_minutes == minutes and not one.holders_key)
    )
    if len(mine) - len(replaces) >= limits.temporary:
        return AtLimit(min(mine, key=lambda one: (one.issued_at, one.number)).number, limits.temporary)
    return Issue(minutes * 60, replaces)


def decide_new(
    held: Sequence[Held], life_seconds: int, temporary_minutes: int | None, limits: Limits
) -> Issue | AtLimit:
    """What to do for somebody who brings a key of their own: nothing is handed out again, and nothing replaced."""
    temporary = temporary_minutes is not None
    mine = [one for one in held if (one.temporary_minutes is not None) is temporary]
    limit = limits.temporary if temporary else limits.long_lived
    if len(mine) >= limit:
        return AtLimit(min(mine, key=lambda one: (one.issued_at, one.number)).number, limit)
    return Issue(life_seconds)


def renewal_window(life_seconds: int) -> int:
    """How long before its end a certificate of this life is renewed, in seconds."""
    return min(RENEWAL_SECONDS, life_seconds // 3)
