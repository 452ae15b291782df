"""The connection to the database ends before each statement of each action, and on either side of its commit.

The interrupted action is done completely or not at all, the books agree, and a retry does it exactly once.
"""

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from accounts.models import User
from billing import extension, orders, quota
from billing.errors import BillingError
from billing.models import Debit, Order, Period, Voucher, VoucherEntry, WalletEntry
from billing.payments import refunds, vouchers, wallet
from tests.billing.conftest import DETECT, NOON, Shop, breaks
from tests.lines import AFTER_COMMIT, BEFORE_COMMIT, Line

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

LATER = NOON + timedelta(minutes=1)
Action = tuple[Callable[[], object], Callable[[], object]]  # the action, and a reading of its effects


def make_order(alice: User, olga: User, shop: Shop) -> Action:
    shop.sku()
    token = uuid4().hex
    return lambda: shop.order(alice, token=token), lambda: Order.objects.filter(token=token).count()


def seen_of(order: Order) -> object:
    """Return state, Periods, money and grants of an order."""
    periods = Period.objects.filter(package__order=order)
    return (
        Order.objects.values_list("state", flat=True).get(pk=order.pk),
        list(periods.values_list("granted", flat=True)),
        list(WalletEntry.objects.filter(order=order).values_list("amount", flat=True)),
        sorted(VoucherEntry.objects.filter(order=order).values_list("amount", flat=True)),
    )


def pay(alice: User, olga: User, shop: Shop) -> Action:
    order = shop.order(alice, price="5.00", months=2)
    return lambda: orders.pay(order, LATER), lambda: seen_of(order)


def cancel(alice: User, olga: User, shop: Shop) -> Action:
    order = shop.order(alice)
    return lambda: orders.cancel(order, LATER), lambda: seen_of(order)


def refund(alice: User, olga: User, shop: Shop) -> Action:
    order = orders.pay(shop.order(alice, price="5.00", months=2), NOON)
    return (
        lambda: refunds.refund(order.package, by=olga, reason="mistake", at=LATER),
        lambda: seen_of(order),
    )


def extend(alice: User, olga: User, shop: Shop) -> Action:
    """Extend to 36 months, which cannot be done twice."""
    order = orders.pay(shop.order(alice), NOON)
    return lambda: extension.extend(order.package, 35, LATER), lambda: seen_of(order)


def redeem(alice: User, olga: User, shop: Shop) -> Action:
    voucher = gift(olga)
    return (
        lambda: vouchers.redeem(alice, voucher.code, LATER),
        lambda: Voucher.objects.values_list("customer", flat=True).get(pk=voucher.pk),
    )


def top_up(alice: User, olga: User, shop: Shop) -> Action:
    token = uuid4().hex
    return (
        lambda: wallet.top_up(alice, Decimal(1), by=olga, reason="transfer", at=LATER, token=token),
        lambda: WalletEntry.objects.filter(token=token).count(),
    )


def a_call(does: Callable[..., object], *, is_held: bool = True) -> Callable[..., Action]:
    """Return a call that two Packages pay for."""

    def call(alice: User, olga: User, shop: Shop) -> Action:
        app = shop.buy(alice, units=2)
        shop.buy(alice, app=app, units=2)
        request = {"call_id": uuid4(), "app": app, "api": DETECT, "images": 3, "at": LATER, "hold_s": 1}
        if is_held:
            quota.reserve(**request)
        return lambda: does(request), lambda: (
            list(Debit.objects.filter(app=app).values_list("state", flat=True)),
            list(app.periods.values_list("used", flat=True)),
        )

    return call


ACTIONS: dict[str, Callable[[User, User, Shop], Action]] = {
    "order": make_order,
    "pay": pay,
    "cancel": cancel,
    "refund": refund,
    "extend": extend,
    "redeem": redeem,
    "top up": top_up,
    "reserve": a_call(lambda request: quota.reserve(**request), is_held=False),
    "settle": a_call(lambda request: quota.settle(request["call_id"], LATER)),
    "give back": a_call(lambda request: quota.give_back(request["call_id"], LATER)),
    "sweep": a_call(lambda _wish: quota.sweep(LATER + timedelta(seconds=2))),
}


def gift(olga: User, customer: User | None = None) -> Voucher:
    until = LATER + timedelta(days=1)
    return vouchers.issue(
        face_value=Decimal(2), valid_from=NOON, valid_until=until, by=olga, reason="gift", at=NOON,
        customer=customer,
    )  # fmt: skip


@pytest.mark.parametrize("name", ACTIONS)
def test_an_interrupted_action_is_atomic_and_can_be_retried(
    name: str, alice: User, olga: User, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet.top_up(alice, Decimal(500), by=olga, reason="transfer", at=NOON)
    cuts = 0
    for cut_at in itertools.chain([BEFORE_COMMIT, AFTER_COMMIT], itertools.count(1)):
        gift(olga, alice)
        act, seen = ACTIONS[name](alice, olga, shop)
        before = seen()
        line = Line(cut_at)
        with line.drawn(monkeypatch), suppress(DatabaseError):
            act()
        connection.close()
        between = seen()
        assert not breaks(LATER)
        with suppress(BillingError):  # done before
            act()
        assert seen() != before
        assert between in (before, seen())
        assert not breaks(LATER)
        cuts += line.is_cut
        if not line.is_cut and cut_at > line.statements:
            break
    assert cuts >= 1
