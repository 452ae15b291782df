"""The state of an App's quota: used up, running out, expiring, restored."""

from datetime import datetime, timedelta

import pytest

from accounts.models import User
from billing import packages
from billing.packages import QuotaState
from tests.billing.conftest import NOON, Shop, shanghai


@pytest.mark.parametrize(
    ("used", "at", "state"),
    [
        (0, NOON, QuotaState.GOOD),
        (80, NOON, QuotaState.GOOD),
        (81, NOON, QuotaState.LOW),
        (100, NOON, QuotaState.USED_UP),
        (0, shanghai(2027, 5, 2, 23), QuotaState.GOOD),
        (0, shanghai(2027, 5, 3, 1), QuotaState.ENDING),
        (0, shanghai(2027, 5, 10), QuotaState.EXPIRED),
    ],
)
def test_the_most_urgent_state_is_shown(
    alice: User, shop: Shop, call, used: int, at: datetime, state: QuotaState
) -> None:
    """Bought on 10 March for two months: the last day is 9 May."""
    app = shop.buy(alice, units=100, months=2)
    if used:
        call(app, NOON, used)
    (row,) = packages.summary([app], at)
    assert row.state == state


def test_units_are_restored_in_the_next_month(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=100, months=3)
    call(app, NOON, 100)
    april = shanghai(2027, 4, 10)
    (row,) = packages.summary([app], april - timedelta(seconds=1))
    assert (row.state, row.renews_at) == (QuotaState.USED_UP, april)
    (row,) = packages.summary([app], april)
    assert (row.state, row.restored_at, row.remaining) == (QuotaState.RESTORED, april, 100)
    (row,) = packages.summary([app], april + packages.RESTORED_FOR)
    assert row.state == QuotaState.GOOD


def test_a_month_that_was_not_used_up_is_not_restored(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=100, months=3)
    call(app, NOON, 99)
    (row,) = packages.summary([app], shanghai(2027, 4, 10))
    assert (row.state, row.restored_at) == (QuotaState.GOOD, None)


def test_a_second_package_is_used_when_the_first_is_used_up(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=10)
    call(app, NOON, 10)
    shop.buy(alice, NOON, app=app, units=100, months=1)
    (row,) = packages.summary([app], NOON)
    assert (row.state, row.remaining, row.granted) == (QuotaState.GOOD, 100, 110)
