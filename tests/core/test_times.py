"""Times as text are RFC 3339 in UTC, and read back as they were written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kubecustody.core.times import format_time, parse_time

FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
whole = st.integers(FIRST, LAST)


@given(whole)
@example(FIRST)
@example(LAST)
@example(-1)
@example(0)
@example(951_782_400)  # 29 February 2000
def test_every_second_is_written_as_datetime_writes_it(at: int) -> None:
    assert format_time(at) == datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


@given(whole)
def test_what_is_written_reads_back(at: int) -> None:
    assert parse_time(format_time(at)) == at


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)))
def test_a_time_of_any_zone_is_the_second_it_lies_in(at: datetime) -> None:
    offset = at.utcoffset()
    assert offset is not None
    assume(offset.total_seconds() % 60 == 0)  # RFC 3339 cannot write the odd ones of old days
    assert parse_time(at.isoformat()) == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-30T07:41:50Z", "2026-11-30t07:41:50z"),
        *("2026-11-30T07:41:50.999999Z", "2026-11-30T08:41:50+01:00"),
    ],
)
def test_spellings_of_one_second(text: str) -> None:
    assert parse_time(text) == 1_796_024_510


def test_without_a_zone_it_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"zone.*2026-11-30T07:41:50Z"):
        parse_time("2026-11-30T07:41:50")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "1796024510",
            "2026-11-30",
            "2026-11-30T07:41Z",
            "2026-11-30T07:41:50Z ",
            "٢٠٢٦-11-30T07:41:50Z",
        ),
        *("20261130T074150Z", "2026-W49-1T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z"),
        "2026-11-30T24:00:00Z",
    ],
)
def test_what_is_no_time_of_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)
