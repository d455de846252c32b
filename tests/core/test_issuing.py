"""What an issue, a renewal and a temporary kubeconfig come to."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.issuing import (
    AtLimit,
    HandOut,
    Held,
    Issue,
    Limits,
    decide_long_lived,
    decide_temporary,
    renewal_window,
)

DAY = 86_400
NOW = 1_795_521_600
LIMITS = Limits(long_lived=20, temporary=500)


def long_lived(number: int, age_days: float, life_days: float, *, kept: bool = True) -> Held:
    issued_at = int(NOW - age_days * DAY)
    return Held(number, issued_at, int(issued_at + life_days * DAY), None, kept)


def temporary(number: int, age: int, minutes: int, *, kept: bool = True) -> Held:
    return Held(number, NOW - age, NOW - age + minutes * 60, minutes, kept)


def decide(
    held: Sequence[Held], life_days: int = 90, after: int | None = None, *, keep: bool = True, now: float = NOW
) -> HandOut | Issue | AtLimit:
    return decide_long_lived(held, life_days * DAY, after, LIMITS, now, keep_keys=keep)


# --- long-lived: examples


def test_who_holds_nothing_gets_a_new_one() -> None:
    assert decide([]) == Issue(90 * DAY)


@pytest.mark.parametrize(
    ("life_days", "window_days"), [(90, 30), (365, 365 / 3), (540, 180), (1095, 180), (36_500, 180), (3, 1)]
)
def test_renewal_begins_in_the_last_third_of_a_life_and_180_days_before_its_end_at_most(
    life_days: int, window_days: float
) -> None:
    window = int(window_days * DAY)
    assert renewal_window(life_days * DAY) == window
    one = long_lived(1, 0, life_days)
    assert decide([one], now=one.not_after - window - 1) == HandOut(1)
    assert decide([one], now=one.not_after - window) == Issue(90 * DAY)


def test_of_several_the_one_that_ends_last_is_handed_out() -> None:
    assert decide([long_lived(1, 10, 90), long_lived(2, 9, 60), long_lived(3, 10, 90)]) == HandOut(3)


def test_one_whose_key_is_not_kept_is_not_handed_out() -> None:
    assert decide([long_lived(1, 0, 90, kept=False)]) == Issue(90 * DAY)
    assert decide([long_lived(1, 1, 80), long_lived(2, 0, 90, kept=False)]) == HandOut(1)


def test_what_was_issued_before_another_validity_was_set_is_not_handed_out() -> None:
    assert decide([long_lived(7, 0, 90)], life_days=30, after=7) == Issue(30 * DAY)
    assert decide([long_lived(7, 0, 90), long_lived(8, 0, 30)], life_days=30, after=7) == HandOut(8)


def test_temporary_ones_are_nothing_to_who_asks_for_a_long_lived_one() -> None:
    assert decide([temporary(number, 0, 4320) for number in range(30)]) == Issue(90 * DAY)


def test_at_the_limit_the_oldest_is_named() -> None:
    held = [long_lived(number, 70 + number % 7, 90) for number in range(1, 21)]
    assert decide(held) == AtLimit(6, 20)
    assert decide(held[1:]) == Issue(90 * DAY)


def test_at_the_limit_one_that_can_be_handed_out_is() -> None:
    held = [long_lived(number, 80, 90) for number in range(1, 30)]
    assert decide([*held, long_lived(99, 1, 90)]) == HandOut(99)


def test_without_kept_keys_the_new_one_replaces_what_was_there() -> None:
    held = [long_lived(number, 1, 90, kept=False) for number in range(1, 25)]
    assert decide(held, keep=False) == Issue(90 * DAY, tuple(range(1, 25)))


# --- temporary: examples


def test_a_temporary_one_of_the_same_length_with_half_its_life_left_is_given_again() -> None:
    one = temporary(1, 0, 60)
    assert decide_temporary([one], 60, LIMITS, NOW + 1800) == HandOut(1)
    assert decide_temporary([one], 60, LIMITS, NOW + 1800.5) == Issue(3600)


@pytest.mark.parametrize("other", [temporary(1, 0, 61), temporary(1, 0, 60, kept=False), long_lived(1, 0, 90)])
def test_a_temporary_one_of_another_length_without_key_or_a_long_lived_one_is_no_answer(other: Held) -> None:
    assert decide_temporary([other], 60, LIMITS, NOW) == Issue(3600)


def test_five_hundred_temporary_ones_are_as_many_as_one_may_hold() -> None:
    held = [temporary(number, 3 * DAY - number, 4320) for number in range(1, 501)]
    assert decide_temporary(held, 15, LIMITS, NOW) == AtLimit(1, 500)
    assert decide_temporary(held[1:], 15, LIMITS, NOW) == Issue(900)
    assert decide_temporary([*held, temporary(900, 1, 15)], 15, LIMITS, NOW) == HandOut(900)
    assert decide(held) == Issue(90 * DAY)


# --- properties

LIVES = st.one_of(st.integers(1, 4000 * DAY), st.sampled_from([90 * DAY, 540 * DAY, 1095 * DAY]))


@st.composite
def credentials(draw: st.DrawFn) -> list[Held]:
    """At most eight that are current at NOW, numbered apart."""
    numbers = draw(st.lists(st.integers(1, 40), unique=True, max_size=8))
    held = []
    for number in numbers:
        minutes = draw(st.none() | st.sampled_from([15, 60, 4320]))
        life = draw(LIVES) if minutes is None else minutes * 60
        age = draw(st.integers(0, life))
        held.append(Held(number, NOW - age, NOW - age + life, minutes, draw(st.booleans())))
    return held


@given(credentials(), LIVES, st.none() | st.integers(0, 40), st.integers(1, 8), st.booleans())
def test_long_lived_decisions_keep_every_rule(
    held: list[Held], life: int, after: int | None, limit: int, keep: bool
) -> None:
    decision = decide_long_lived(held, life, after, Limits(limit, 1), NOW, keep_keys=keep)
    mine = {one.number: one for one in held if one.temporary_minutes is None}
    fit = {
        number
        for number, one in mine.items()
        if one.key_kept
        and (after is None or number > after)
        and one.not_after - min(180 * DAY, (one.not_after - one.issued_at) // 3) > NOW
    }
    if isinstance(decision, HandOut):
        assert decision.number in fit
    elif isinstance(decision, AtLimit):
        assert keep and len(mine) >= limit == decision.limit
        assert mine[decision.oldest].issued_at == min(one.issued_at for one in mine.values())
    else:
        assert decision.life_seconds == life
        assert set(decision.replaces) == (set() if keep else set(mine))
        assert len(mine) - len(decision.replaces) < limit


@given(credentials(), st.sampled_from([15, 60, 4320]), st.integers(1, 8))
def test_temporary_decisions_keep_every_rule(held: list[Held], minutes: int, limit: int) -> None:
    decision = decide_temporary(held, minutes, Limits(1, limit), NOW)
    mine = {one.number: one for one in held if one.temporary_minutes is not None}
    fit = {
        number
        for number, one in mine.items()
        if one.key_kept and one.temporary_minutes == minutes and 2 * (one.not_after - NOW) >= minutes * 60
    }
    if fit:
        assert isinstance(decision, HandOut) and decision.number in fit
        assert mine[decision.number].not_after == max(mine[number].not_after for number in fit)
    elif len(mine) >= limit:
        oldest = min(mine.values(), key=lambda one: (one.issued_at, one.number))
        assert decision == AtLimit(oldest.number, limit)
    else:
        assert decision == Issue(minutes * 60)


@given(credentials(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_held_decides_nothing(held: list[Held], random: object) -> None:
    shuffled = list(held)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(held) == decide(shuffled)
    assert decide_temporary(held, 60, LIMITS, NOW) == decide_temporary(shuffled, 60, LIMITS, NOW)
