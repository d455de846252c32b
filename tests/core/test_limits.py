from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.limits import Slots, TokenBuckets


def test_burst_passes_and_then_one_per_interval() -> None:
    buckets = TokenBuckets(rate_per_second=10, burst=3, capacity=8)
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 100]
    assert buckets.take("a", 100.05) == 50
    assert buckets.take("a", 100.1) == 0
    assert buckets.take("a", 100.1) == 100


def test_keys_do_not_share_a_bucket() -> None:
    buckets = TokenBuckets(rate_per_second=1, burst=1, capacity=8)
    assert [buckets.take(key, 5.0) for key in ("a", "b", "a")] == [0, 0, 1000]


def test_peek_takes_nothing_and_keeps_nothing() -> None:
    buckets = TokenBuckets(rate_per_second=1, burst=1, capacity=8)
    assert buckets.peek("a", 0.0) == 0
    assert len(buckets) == 0
    buckets.take("a", 0.0)
    assert [buckets.peek("a", at) for at in (0.0, 0.75, 1.0)] == [1000, 250, 0]


def test_rate_of_zero_sets_no_limit() -> None:
    buckets = TokenBuckets(rate_per_second=0, burst=1, capacity=8)
    assert {buckets.take("a", 0.0) for _ in range(100)} == {0}
    assert buckets.peek("a", 0.0) == 0
    assert len(buckets) == 0


@pytest.mark.parametrize(("rate", "burst", "capacity"), [(-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_that_mean_nothing_are_refused(rate: float, burst: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="a limit needs"):
        TokenBuckets(rate, burst, capacity)


def test_flood_of_keys_cannot_grow_the_memory() -> None:
    buckets = TokenBuckets(rate_per_second=0.001, burst=5, capacity=100)
    for number in range(10_000):
        buckets.take(f"10.0.{number >> 8}.{number & 255}", number / 1e6)
        assert len(buckets) <= 100
        assert len(buckets._queue) <= 201


def test_full_bucket_goes_before_the_least_recently_used() -> None:
    buckets = TokenBuckets(rate_per_second=1, burst=10, capacity=2)
    for _ in range(10):
        buckets.take("spent", 0.0)
    buckets.take("refilled", 1.0)
    buckets.take("new", 2.0)
    assert buckets.peek("spent", 0.0) == 1000


def test_least_recently_used_goes_where_none_is_full() -> None:
    buckets = TokenBuckets(rate_per_second=1, burst=1, capacity=2)
    for key, at in (("a", 0.0), ("b", 0.1), ("a", 0.2), ("c", 0.3)):
        buckets.take(key, at)
    assert buckets.peek("a", 0.3) == 700
    assert buckets.peek("b", 0.3) == 0


steps = st.lists(st.floats(0, 3, allow_subnormal=False), min_size=1, max_size=60)
rates = st.floats(0.1, 50)


@given(rates, st.integers(1, 5), steps, st.floats(0, 1e6))
def test_no_window_lets_more_pass_than_burst_and_rate(rate: float, burst: int, gaps: list[float], start: float) -> None:
    buckets = TokenBuckets(rate, burst, capacity=4)
    passed: list[float] = []
    now = start
    for gap in gaps:
        now += gap
        if buckets.take("k", now) == 0:
            passed.append(now)
    for first, since in enumerate(passed):
        for last in range(first, len(passed)):
            window = passed[last] - since
            assert last - first + 1 <= burst + rate * window + 1e-6


@given(rates, st.integers(1, 5), steps)
def test_who_waits_as_long_as_told_passes_and_not_a_millisecond_sooner(
    rate: float, burst: int, gaps: list[float]
) -> None:
    buckets = TokenBuckets(rate, burst, capacity=4)
    now = 0.0
    for gap in gaps:
        now += gap
        wait = buckets.peek("k", now)
        assert buckets.take("k", now) == wait
        if wait:
            assert wait == 1 or buckets.peek("k", now + (wait - 1) / 1000 - 1e-6) > 0
            assert buckets.peek("k", now + wait / 1000) == 0


@pytest.mark.parametrize("start", [608945.0, 809139.9, 839951.54, 951957.65])
def test_who_waits_as_long_as_told_passes_also_on_a_clock_long_running(start: float) -> None:
    for burst in (1, 2, 5):
        buckets, now = TokenBuckets(rate_per_second=100, burst=burst, capacity=4), start
        for _ in range(12):
            wait = buckets.take("k", now)
            now += wait / 1000
            assert buckets.peek("k", now) == 0 or wait == 0


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 0.5, allow_subnormal=False)), max_size=200),
    st.integers(1, 5),
)
def test_what_is_dropped_is_full_or_the_least_recently_used(calls: list[tuple[str, float]], capacity: int) -> None:
    buckets = TokenBuckets(rate_per_second=2, burst=3, capacity=capacity)
    used: dict[str, int] = defaultdict(int)
    now = 0.0
    for number, (key, gap) in enumerate(calls):
        now += gap
        before = dict(buckets._full_at)
        buckets.take(key, now)
        used[key] = number
        assert len(buckets) <= capacity
        gone = before.keys() - buckets._full_at.keys()
        assert len(gone) <= 1
        for dropped in gone:
            full = [other for other, full_at in before.items() if full_at <= now]
            assert dropped in full if full else used[dropped] == min(used[other] for other in before)


def test_slots_are_bounded_for_each_and_for_all_and_come_back() -> None:
    slots = Slots(2, 3)
    assert [slots.take(kind) for kind in "aaab"] == [True, True, False, True]
    assert not slots.take("c"), "all together are three"
    slots.give_back("a")
    assert [slots.take("c"), slots.take("a")] == [True, False]
