"""When the units run out, from the usage of the last 7 days."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from billing import forecast
from billing.forecast import Left, run_out
from billing.models import PeriodSample
from tests.billing.conftest import DETECT, NOON, Shop, shanghai

DAY = timedelta(days=1)


def month(start: int, end: int, units: int) -> Left:
    """Return a Period from day `start` to day `end` after NOON."""
    return Left(NOON + start * DAY, NOON + end * DAY, units)


@pytest.mark.parametrize(
    ("periods", "per_day", "days"),
    [
        ([month(-5, 25, 100)], 10.0, 10),
        ([month(-5, 25, 0)], 10.0, 0),
        ([month(-5, 25, 250)], 10.0, None),  # just enough to the end
        ([month(-5, 25, 249)], 10.0, 24.9),
        ([month(-5, 25, 300), month(25, 55, 100)], 10.0, 35),  # nothing rolls over
        ([month(-5, 5, 100), month(-4, 30, 100)], 10.0, 15),  # 50 of the first, then the second
        ([month(-5, 5, 10), month(-4, 30, 40)], 10.0, 5),
        ([month(-5, 5, 10), month(10, 30, 40)], 1.0, None),  # a gap does not count as running out
        ([], 10.0, None),
    ],
)
def test_the_forecast_finds_the_time_of_the_run_out(
    periods: list[Left], per_day: float, days: float | None
) -> None:
    expected = None if days is None else NOON + days * DAY
    found = run_out(periods, per_day, NOON)
    assert found == expected or abs(found - expected) < timedelta(seconds=1)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(0, 50)), min_size=1, max_size=5),
    st.integers(1, 20),
)
def test_the_forecast_equals_a_simulation_day_by_day(
    shapes: list[tuple[int, int, int]], per_day: int
) -> None:
    """All bounds are whole days, so the simulation uses one day's units at a time until they run out."""
    stock = [[start, start + length, units] for start, length, units in shapes]
    expected = None
    for day in range(41):
        alive = sorted((row for row in stock if row[0] <= day < row[1]), key=lambda row: row[1])
        if alive and sum(row[2] for row in alive) < per_day:
            expected = day
            break
        need = per_day if alive else 0
        for row in alive:
            part = min(row[2], need)
            row[2] -= part
            need -= part
    found = run_out([month(start, start + length, units) for start, length, units in shapes], per_day, NOON)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert NOON + expected * DAY <= found < NOON + (expected + 1) * DAY


def test_the_rate_is_that_of_the_last_7_days(alice: User, shop: Shop, call) -> None:
    start = shanghai(2027, 3, 1)
    app = shop.buy(alice, start, units=1000, months=1)
    call(app, start, 500)  # before the window of 7 days
    for day in range(1, 15):
        forecast.sample(start + day * DAY)
        call(app, start + day * DAY, 10)
    at = start + 15 * DAY
    found = forecast.of([app], at)[app.pk, DETECT]
    assert found.per_day == pytest.approx(10)
    assert found.runs_out_at is None  # 360 are left for 16 days
    call(app, at, 300)
    found = forecast.of([app], at)[app.pk, DETECT]
    assert found.per_day == pytest.approx(370 / 7)
    assert found.runs_out_at == pytest.approx(at + 60 / (370 / 7) * DAY, abs=timedelta(seconds=1))


def test_the_rate_of_a_new_app_is_measured_since_its_start(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, NOON, units=100)
    assert forecast.of([app], NOON + DAY) == {}
    call(app, NOON, 20)
    found = forecast.of([app], NOON + 2 * DAY)[app.pk, DETECT]
    assert found.per_day == pytest.approx(10)
    assert found.runs_out_at == NOON + 10 * DAY
    # A burst in the first minutes is not extrapolated to a day.
    assert forecast.of([app], NOON + timedelta(minutes=1))[app.pk, DETECT].per_day == pytest.approx(20)


def test_usage_before_a_renewal_counts(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, NOON, units=100, months=2)
    for day in range(25, 32):
        forecast.sample(shanghai(2027, 3, 10) + day * DAY)
        call(app, shanghai(2027, 3, 10, 12) + day * DAY, 7)
    found = forecast.of([app], shanghai(2027, 4, 11))[app.pk, DETECT]
    assert found.per_day == pytest.approx(7)


def test_samples_are_kept_8_days(alice: User, shop: Shop, call) -> None:
    call(shop.buy(alice), NOON)
    midnight = shanghai(2027, 3, 11)
    for day in range(12):
        forecast.sample(midnight + day * DAY)
        forecast.sample(midnight + day * DAY)  # a task that runs twice
    assert PeriodSample.objects.count() == 9
