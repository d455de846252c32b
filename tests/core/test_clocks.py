"""Skews of clocks, and what follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.clocks import (
    TOLERATED_SECONDS,
    find_clock_obstacle,
    is_tolerated,
    seconds_behind,
    skew_between,
)

DAY = 86_400


@given(at=st.floats(1e9, 2e9), took=st.floats(0, 15), skew=st.integers(-10 * DAY, 10 * DAY), part=st.floats(0, 1))
def test_a_skew_is_never_said_to_be_larger_than_it_is_and_hardly_smaller(
    at: float, took: float, skew: int, part: float
) -> None:
    """A clock that goes otherwise by `skew` says its whole second somewhere between question and answer."""
    there = int(at + took * part + skew)
    seen = skew_between(there, at, at + took)
    assert abs(seen) <= abs(skew) + 1
    assert abs(skew - seen) <= took + 2


@pytest.mark.parametrize("skew", [None, 0, TOLERATED_SECONDS, -TOLERATED_SECONDS])
def test_what_is_tolerated_has_no_consequences(skew: int | None) -> None:
    assert is_tolerated(skew) and seconds_behind(skew) == 0
    assert find_clock_obstacle(skew, 1, signs_itself=True) is None
    assert find_clock_obstacle(skew, 1, signs_itself=False) is None


@pytest.mark.parametrize(("skew", "behind"), [(3600, 0), (-31, 31), (-3600, 3600), (-DAY, DAY), (-50 * DAY, DAY)])
def test_a_cluster_that_is_behind_takes_certificates_for_longer_but_its_word_is_not_taken_for_more_than_a_day(
    skew: int, behind: int
) -> None:
    assert seconds_behind(skew) == behind


@pytest.mark.parametrize(
    ("skew", "signs_itself", "shortest"), [(3600, False, 3601), (-3600, True, 3601), (3600, True, 1), (-3600, False, 1)]
)
def test_what_would_be_over_at_once_is_not_issued(skew: int, signs_itself: bool, shortest: int) -> None:
    assert find_clock_obstacle(skew, shortest, signs_itself=signs_itself) is None
    told = find_clock_obstacle(skew, shortest - 1, signs_itself=signs_itself)
    assert (told is None) == (shortest == 1)
    assert told is None or "3600 s" in told
