"""The example of the manual's chapter 2: 100 units a month, quantity 2, 3 months, ordered on 10 March."""

from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.models import User
from billing import packages, quota
from billing.errors import Expired, UsedUp
from billing.models import Order
from tests.billing.conftest import DETECT, Shop, breaks, shanghai

TENTH_OF_MARCH = shanghai(2027, 3, 10, 14, 30)


def test_periods_are_as_in_the_manual(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, TENTH_OF_MARCH, units=100, quantity=2, months=3)

    # 1. 3/10-4/9, 4/10-5/9 and 5/10-6/9 have 200 each.
    for day in [(3, 10, 23), (4, 9, 23), (4, 10, 0), (5, 9, 23), (5, 10, 0), (6, 9, 23)]:
        assert quota.remaining(app, DETECT, shanghai(2027, *day)) == 200

    # 2. Used up on 1 April: nothing until 10 April ...
    call(app, TENTH_OF_MARCH, 100)
    call(app, shanghai(2027, 4, 1, 12), 100)
    last_moment = shanghai(2027, 4, 10) - timedelta(microseconds=1)
    for moment in (shanghai(2027, 4, 1, 13), last_moment):
        with pytest.raises(UsedUp) as refused:
            quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=1, at=moment)
        assert refused.value.details == {"remaining": 0, "next_at": shanghai(2027, 4, 10)}
    # ... and on 10 April the second month takes effect.
    call(app, shanghai(2027, 4, 10), 200)
    assert quota.remaining(app, DETECT, shanghai(2027, 4, 10, 1)) == 0

    # 3. On 9 June fewer than 200 are used; then the packages have expired, and the rest is lost.
    call(app, shanghai(2027, 6, 9, 12), 50)
    assert quota.remaining(app, DETECT, shanghai(2027, 6, 9, 23, 59, 59)) == 150
    assert quota.remaining(app, DETECT, shanghai(2027, 6, 10)) == 0
    with pytest.raises(Expired) as expired:
        quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=1, at=shanghai(2027, 6, 10))
    assert expired.value.details == {"ended_at": shanghai(2027, 6, 10)}

    assert not breaks(shanghai(2027, 6, 11))


def test_the_example_costs_6_yuan(alice: User, shop: Shop) -> None:
    """100 units a month at 1 yuan a month, quantity 2, 3 months: 6 yuan."""
    assert str(shop.order(alice, units=100, quantity=2, months=3, price="1.00").amount) == "6.00"


def test_a_package_bought_again_before_the_end_serves_at_once(alice: User, shop: Shop, call) -> None:
    """除非再次购买资源包: used up on 1 April, bought again on 2 April, the new package serves at once."""
    app = shop.buy(alice, TENTH_OF_MARCH, units=100, quantity=2, months=3)
    call(app, shanghai(2027, 4, 1), 200)
    again = shop.buy(alice, shanghai(2027, 4, 2, 8), app=app, units=100, quantity=1, months=1)
    assert again == app
    assert Order.objects.filter(app=app).count() == 2

    call(app, shanghai(2027, 4, 2, 9), 60)
    assert quota.remaining(app, DETECT, shanghai(2027, 4, 5)) == 40
    # From 10 April on, both are live, and the one that ends first (2 May) is used first.
    call(app, shanghai(2027, 4, 10), 70)
    assert list(app.periods.filter(used__gt=0).order_by("starts_at").values_list("used", flat=True)) == [
        200,
        100,
        30,
    ]
    # On 2 May the second package ends; the first continues until 10 June.
    assert quota.remaining(app, DETECT, shanghai(2027, 5, 2)) == 170
    (row,) = packages.summary([app], shanghai(2027, 5, 2))
    assert row.expires_at == shanghai(2027, 6, 10)


def test_an_expired_api_can_be_bought_again(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, TENTH_OF_MARCH, units=100, quantity=2, months=3)
    shop.buy(alice, shanghai(2027, 6, 20, 10), app=app, units=100)
    call(app, shanghai(2027, 6, 20, 10), 100)
    assert quota.remaining(app, DETECT, shanghai(2027, 6, 21)) == 0
