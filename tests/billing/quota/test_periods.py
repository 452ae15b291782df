"""How months are anchored: the manual's example, ends of months, leap years, distant years."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.periods import SHANGHAI, add_months, windows
from tests.billing.conftest import shanghai

# Hypothesis requires naive bounds.
BOUNDS = (datetime(2019, 1, 1), datetime(2099, 12, 31))  # noqa: DTZ001 - naive, see above
MOMENTS = st.datetimes(*BOUNDS, timezones=st.just(SHANGHAI))


def test_months_are_those_of_the_manuals_example() -> None:
    paid = shanghai(2027, 3, 10, 9, 30)
    assert windows(paid, 3) == [
        (paid, shanghai(2027, 4, 10)),
        (shanghai(2027, 4, 10), shanghai(2027, 5, 10)),
        (shanghai(2027, 5, 10), shanghai(2027, 6, 10)),
    ]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        (date(2027, 1, 31), [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30), date(2027, 5, 31)]),
        (date(2028, 1, 31), [date(2028, 2, 29), date(2028, 3, 31), date(2028, 4, 30), date(2028, 5, 31)]),
        (date(2027, 1, 30), [date(2027, 2, 28), date(2027, 3, 30)]),
        (date(2028, 1, 29), [date(2028, 2, 29), date(2028, 3, 29)]),
        (date(2027, 1, 29), [date(2027, 2, 28), date(2027, 3, 29)]),
        (date(2028, 2, 29), [date(2028, 3, 29), date(2028, 4, 29)]),
        (date(2027, 12, 31), [date(2028, 1, 31), date(2028, 2, 29)]),
        (date(2099, 12, 31), [date(2100, 1, 31), date(2100, 2, 28)]),  # 2100 is not a leap year
    ],
)
def test_month_ends_are_clipped_from_the_original_day(anchor: date, expected: list[date]) -> None:
    assert [add_months(anchor, k) for k in range(1, len(expected) + 1)] == expected


def test_days_are_in_shanghai_time_not_utc() -> None:
    paid = datetime(2027, 1, 30, 16, 30, tzinfo=UTC)  # 31 January, 00:30 in Shanghai
    assert windows(paid, 1) == [(paid, shanghai(2027, 2, 28))]


def test_naive_times_and_zero_months_are_rejected() -> None:
    with pytest.raises(ValueError, match="aware"):
        windows(datetime(2027, 1, 1), 1)  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ValueError, match="months"):
        windows(shanghai(2027, 1, 1), 0)


@given(MOMENTS, st.integers(1, 36))
@example(shanghai(2027, 1, 31, 23, 59, 59), 36)
@example(shanghai(2028, 2, 29), 36)
def test_windows_tile_the_months(paid: datetime, months: int) -> None:
    tiles = windows(paid, months)
    assert len(tiles) == months
    assert tiles[0][0] == paid
    assert all(start < end for start, end in tiles)
    assert all(before[1] == after[0] for before, after in pairwise(tiles))
    for number, (_start, end) in enumerate(tiles, start=1):
        local = end.astimezone(SHANGHAI)
        assert local.time() == time.min
        assert (local.year * 12 + local.month) - (paid.year * 12 + paid.month) == number
        assert local.day == min(paid.day, monthrange(local.year, local.month)[1])


@given(MOMENTS, st.integers(1, 36))
def test_a_month_is_27_to_31_days(paid: datetime, months: int) -> None:
    """Never longer than a month; the first is shorter by the part of the day before the payment."""
    for start, end in windows(paid, months):
        assert timedelta(days=27) < end - start <= timedelta(days=31)
