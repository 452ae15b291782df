"""Limits of one customer: unpaid orders, orders of a day and free packages, even with concurrent requests."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django import Settings

from accounts.models import Region, User
from billing import catalogue, notices, orders
from billing.errors import ChangeRefused, TooManyFree, TooManyOrders, TooManyUnpaid
from billing.models import Duration, Notice, Order, OrderState, Package
from billing.notices import due
from billing.payments import refunds, wallet
from tests import purchases
from tests.billing.conftest import NOON, Shop
from tests.together import at_once

LATER = NOON + timedelta(minutes=1)


def test_a_customer_may_have_twenty_unpaid_orders(alice: User, bob: User, shop: Shop) -> None:
    waiting = [shop.order(alice) for _i in range(20)]
    with pytest.raises(TooManyUnpaid) as refused:
        shop.order(alice)
    assert refused.value.details == {"limit": 20}
    shop.order(bob)
    orders.cancel(waiting[0], NOON)
    shop.order(alice)
    with pytest.raises(TooManyUnpaid):
        shop.order(alice)
    again = shop.order(alice, token=waiting[1].token)  # the same form again creates no order
    assert again.pk == waiting[1].pk
    shop.order(alice, NOON + timedelta(hours=48))  # the others can no longer be paid


def test_a_customer_may_create_a_limited_number_of_orders_in_a_day(
    alice: User, bob: User, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled and paid orders count, too: they stay in the books."""
    monkeypatch.setattr(orders, "ORDERS_AT_MOST", 4)
    shop.buy(alice)
    for minutes in range(1, 4):
        last = shop.order(alice, NOON + timedelta(minutes=minutes))
        orders.cancel(last, NOON + timedelta(minutes=minutes))
    with pytest.raises(TooManyOrders) as refused:
        shop.order(alice, LATER)
    assert refused.value.details == {"limit": 4}
    assert shop.order(alice, LATER, token=last.token).pk == last.pk  # the same form again creates no order
    shop.order(bob, LATER)
    shop.order(alice, NOON + timedelta(hours=24))  # the first is a day old
    with pytest.raises(TooManyOrders):
        shop.order(alice, NOON + timedelta(hours=24))


def test_free_packages_are_limited_while_they_run(
    alice: User, shop: Shop, settings: Settings, olga: User
) -> None:
    settings.FREE_PACKAGES_PER_CUSTOMER = 2
    app = shop.buy(alice)
    waiting = shop.order(alice, app=app)
    shop.buy(alice, app=app)
    with pytest.raises(TooManyFree):
        shop.order(alice, app=app)
    with pytest.raises(TooManyFree):
        orders.pay(waiting, LATER)
    assert Order.objects.get(pk=waiting.pk).state == OrderState.PENDING
    shop.order(alice, app=app, price="1.00")  # paid packages are not limited
    refunds.refund(Package.objects.filter(app=app).earliest("pk"), by=olga, reason="mistake", at=LATER)
    assert orders.pay(waiting, LATER).state == OrderState.PAID
    shop.buy(alice, NOON + timedelta(days=40), app=app, price="0.00")  # the others have ended


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_concurrent_orders_respect_the_limit(alice: User, shop: Shop, settings: Settings) -> None:
    settings.FREE_PACKAGES_PER_CUSTOMER = 3
    for _i in range(17):
        shop.order(alice)
    sku = shop.sku()
    create = partial(purchases.place, alice, at=NOON, sku=sku)
    made = at_once(*(partial(create, token=f"race {number}") for number in range(8)))
    assert sum(isinstance(one, Order) for one in made) == 3
    assert sum(isinstance(one, TooManyUnpaid) for one in made) == 5
    pending = Order.objects.filter(customer=alice)
    assert {order.amount for order in pending} == {Decimal(0)}
    paid = at_once(*(partial(orders.pay, order, LATER) for order in pending[:8]))
    assert sum(isinstance(one, TooManyFree) for one in paid) == 5
    assert Package.objects.count() == 3


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_concurrent_orders_respect_the_limit_of_a_day(
    alice: User, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ORDERS_AT_MOST", 3)
    sku = shop.sku()
    create = partial(purchases.place, alice, at=NOON, sku=sku)
    made = at_once(*(partial(create, token=f"race {number}") for number in range(8)))
    assert sum(isinstance(one, Order) for one in made) == 3
    assert sum(isinstance(one, TooManyOrders) for one in made) == 5


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_concurrent_additions_of_one_row_add_it_once(olga: User) -> None:
    """A duplicate is rejected by a rule and not by an error of the database."""

    def add_region() -> Region:
        region = Region(code="cn-bj1", name="北京1", name_en="Beijing 1")
        catalogue.add(region, by=olga, reason="test", at=NOON)
        return region

    def add_months() -> Duration:
        duration = Duration(months=12)
        catalogue.add(duration, by=olga, reason="test", at=NOON)
        return duration

    for add, kind in ((add_region, Region), (add_months, Duration)):
        made = at_once(*[add] * 6)
        assert sum(isinstance(one, kind) for one in made) == 1
        assert sum(isinstance(one, ChangeRefused) for one in made) == 5


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_a_form_submitted_concurrently_takes_effect_once(alice: User, olga: User, shop: Shop) -> None:
    """The unique keys of top-ups, orders, notice settings and notices: one row each, and no error."""
    top_up = partial(wallet.top_up, alice, Decimal(5), by=olga, reason="test", at=NOON, token="form")
    entries = at_once(*[top_up] * 6)
    assert len({getattr(entry, "pk", entry) for entry in entries}) == 1
    assert wallet.balance(alice) == 5
    sku = shop.sku()
    order = partial(purchases.place, alice, at=NOON, sku=sku, token="form")
    assert len({getattr(one, "pk", one) for one in at_once(*[order] * 6)}) == 1
    choose = partial(
        notices.choose, alice, quota_percents=[50], quota_on=True, ending_on=True, unpaid_on=True
    )
    assert [getattr(one, "quota_percents", one) for one in at_once(*[choose] * 6)] == [[50]] * 6
    scan = partial(due.scan, NOON + timedelta(hours=24))
    assert all(isinstance(one, int) for one in at_once(*[scan] * 4))
    assert Notice.objects.filter(customer=alice).count() == 1
