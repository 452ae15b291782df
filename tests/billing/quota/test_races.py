"""Races on a real PostgreSQL: units, orders, vouchers. Each has a control that fails."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from accounts.models import App, User
from bench.postgresql import races
from billing import extension, orders, quota
from billing.errors import BillingError, HoldLost, NotOrdered, UsedUp
from billing.models import Debit, Order, Package, Period, Voucher, WalletEntry
from billing.payments import refunds, vouchers, wallet
from tests.billing.conftest import DETECT, NOON, Shop, breaks
from tests.together import at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

LATER = NOON + timedelta(minutes=1)


@pytest.fixture
def two_packages(alice: User, shop: Shop) -> App:
    """101 + 50 units."""
    app = shop.buy(alice, units=101)
    return shop.buy(alice, LATER, app=app, units=50)


def test_50_threads_reserve_exactly_the_granted_units(two_packages: App) -> None:
    assert races.race_threads(two_packages, threads=50, calls_each=5, units=1, at=LATER) == 151
    assert quota.remaining(two_packages, DETECT, LATER) == 0
    assert not breaks(LATER)


def test_50_threads_reserve_calls_that_span_packages(two_packages: App) -> None:
    """4 does not divide 151: 37 calls and 3 units left, some calls paid by both Packages."""
    assert races.race_threads(two_packages, threads=50, calls_each=2, units=4, at=LATER) == 37
    assert quota.remaining(two_packages, DETECT, LATER) == 3
    assert not breaks(LATER)


def test_read_then_write_oversells_with_threads(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=100)
    served = races.race_threads(app, threads=50, calls_each=5, units=1, at=NOON, take=races.take_naively)
    assert served > 100
    assert breaks()


def test_processes_reserve_exactly_the_granted_units(two_packages: App) -> None:
    assert races.race(two_packages, processes=16, calls_each=12, units=1, at=LATER) == 151
    assert quota.remaining(two_packages, DETECT, LATER) == 0
    assert not breaks(LATER)


def test_read_then_write_oversells_with_processes(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=40)
    served = races.race(app, processes=8, calls_each=20, units=1, at=NOON, take=races.take_naively)
    assert served > 40


def test_concurrent_reserve_give_back_settle_and_sweep_lose_no_unit(two_packages: App) -> None:
    """Half of the calls fail while the sweep runs: no unit is lost or counted twice."""
    app = two_packages
    kept: list[int] = []
    done = threading.Event()

    def caller(number: int) -> Callable[[], None]:
        def work() -> None:
            for turn in range(8):
                call_id, units = uuid4(), 1 + (number + turn) % 7
                with suppress(UsedUp, HoldLost):
                    quota.reserve(call_id=call_id, app=app, api=DETECT, images=units, at=LATER, hold_s=1)
                    if (number + turn) % 2:
                        quota.give_back(call_id, LATER)
                    else:
                        quota.settle(call_id, LATER)
                        kept.append(units)

        return work

    def sweeper() -> None:
        while not done.is_set():
            quota.sweep(LATER + timedelta(seconds=2))

    def callers() -> None:
        at_once(*[caller(number) for number in range(12)])
        done.set()

    at_once(sweeper, callers)
    quota.sweep(LATER + timedelta(seconds=2))
    assert kept
    assert 151 - quota.remaining(app, DETECT, LATER) == sum(kept)
    assert not breaks(LATER)


def test_give_back_and_reserve_do_not_deadlock(alice: User, shop: Shop) -> None:
    """Both Packages are nearly used up: calls wait for one while units of the other are returned."""
    app = shop.buy(alice, units=11)
    shop.buy(alice, LATER, app=app, units=9)

    def work(number: int) -> Callable[[], int]:
        def take_and_return() -> int:
            for turn in range(100):
                call_id = uuid4()
                with suppress(UsedUp):
                    quota.reserve(
                        call_id=call_id, app=app, api=DETECT, images=1 + (number + turn) % 7, at=LATER
                    )
                    quota.give_back(call_id, LATER)
            return number

        return take_and_return

    assert at_once(*[work(number) for number in range(16)]) == list(range(16))
    assert quota.remaining(app, DETECT, LATER) == 20
    assert not breaks(LATER)


def test_concurrent_reserves_of_one_call_are_one_debit(two_packages: App) -> None:
    call_id = uuid4()
    works = [
        lambda: quota.reserve(call_id=call_id, app=two_packages, api=DETECT, images=120, at=LATER).units
        for _i in range(8)
    ]
    assert at_once(*works) == [120] * 8
    assert Debit.objects.count() == 1
    assert quota.remaining(two_packages, DETECT, LATER) == 31
    assert not breaks(LATER)


def test_either_settle_or_sweep_wins(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=1000)
    for _round in range(15):
        debit = quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=3, at=NOON, hold_s=1)
        before = quota.remaining(app, DETECT, NOON)
        settled, swept = at_once(
            lambda debit=debit: quota.settle(debit.pk, LATER), lambda: quota.sweep(LATER)
        )
        gone = isinstance(settled, HoldLost)
        assert swept == int(gone)
        assert quota.remaining(app, DETECT, NOON) == before + (3 if gone else 0)
    assert not breaks(LATER)


def test_many_clicks_pay_once(alice: User, olga: User, shop: Shop) -> None:
    wallet.top_up(alice, Decimal(100), by=olga, reason="transfer", at=NOON)
    order = shop.order(alice, price="7.00")
    results = at_once(*[lambda: orders.pay(Order.objects.get(pk=order.pk), LATER) for _i in range(8)])
    assert sum(isinstance(result, Order) for result in results) == 1
    assert {result.code for result in results if isinstance(result, BillingError)} == {"order_paid"}
    assert wallet.balance(alice) == 93
    assert (Package.objects.count(), App.objects.count()) == (1, 1)
    assert not breaks(LATER)


def test_either_pay_or_cancel_wins(alice: User, shop: Shop) -> None:
    for _round in range(8):
        order = shop.order(alice)
        paid, cancelled = at_once(
            lambda order=order: orders.pay(order, LATER),
            lambda order=order: orders.cancel(Order.objects.get(pk=order.pk), LATER),
        )
        assert isinstance(paid, Order) != isinstance(cancelled, Order)
    assert not breaks(LATER)


def test_only_one_of_pay_cancel_and_expiry_wins(alice: User, olga: User, shop: Shop) -> None:
    """The clocks of two machines disagree: by one of them the 48 hours are over, by the other not yet."""
    wallet.top_up(alice, Decimal(100), by=olga, reason="transfer", at=NOON)
    states = set()
    for _round in range(10):
        order = shop.order(alice, price="5.00")
        _expired, _cancelled, paid = at_once(
            lambda order=order: orders.expire_due(order.expires_at),
            lambda order=order: orders.cancel(Order.objects.get(pk=order.pk), LATER),
            lambda order=order: orders.pay(order, order.expires_at - timedelta(microseconds=1)),
        )
        order.refresh_from_db()
        states.add(order.state)
        assert (order.state == "paid") == isinstance(paid, Order)
        assert WalletEntry.objects.filter(order=order).count() == int(isinstance(paid, Order))
        assert not breaks(LATER)
    assert "cancelled" in states


def test_refund_and_extension_are_serialized(alice: User, olga: User, shop: Shop) -> None:
    """If the refund is second, it includes the added months; if the extension is second, it is refused."""
    for _round in range(8):
        package = orders.pay(shop.order(alice, units=5), NOON).package
        refunded, _extended = at_once(
            lambda package=package: refunds.refund(package, by=olga, reason="mistake", at=LATER),
            lambda package=package: extension.extend(package, 2, LATER),
        )
        assert isinstance(refunded, Package)
        assert not package.periods.filter(granted__gt=0).exists()
    assert not breaks(LATER)


def test_two_extensions_add_up(alice: User, shop: Shop) -> None:
    package = orders.pay(shop.order(alice), NOON).package
    at_once(*[lambda: extension.extend(package, 2, LATER) for _i in range(4)])
    package.refresh_from_db()
    assert (package.extra_months, package.periods.count()) == (8, 9)
    assert not breaks(LATER)


def test_refunds_and_payments_of_one_voucher_do_not_deadlock(alice: User, olga: User, shop: Shop) -> None:
    """Concurrent refunds and payments of one customer lock vouchers and wallet in the same order."""
    for days in (1, 2):
        vouchers.issue(
            face_value=Decimal(5), valid_from=NOON, valid_until=NOON + timedelta(days=days), customer=alice,
            by=olga, reason="gift", at=NOON,
        )  # fmt: skip
    wallet.top_up(alice, Decimal(20), by=olga, reason="transfer", at=NOON)
    for _round in range(5):
        paid = [orders.pay(shop.order(alice, price="7.00"), LATER) for _i in range(2)]
        pending = [shop.order(alice, price="7.00") for _i in range(2)]
        results = at_once(
            *[
                lambda order=order: refunds.refund(order.package, by=olga, reason="mistake", at=LATER)
                for order in paid
            ],
            *[lambda order=order: orders.pay(order, LATER) for order in pending],
        )
        for order in results[2:]:
            assert isinstance(order, Order)
            refunds.refund(order.package, by=olga, reason="mistake", at=LATER)
        assert vouchers.balance(alice, LATER) + wallet.balance(alice) == 30
        assert not breaks(LATER)


def test_a_balance_pays_only_one_of_two_orders(alice: User, olga: User, shop: Shop) -> None:
    wallet.top_up(alice, Decimal(10), by=olga, reason="transfer", at=NOON)
    pending = [shop.order(alice, price="6.00") for _i in range(4)]
    results = at_once(*[lambda order=order: orders.pay(order, LATER) for order in pending])
    assert sum(isinstance(result, Order) for result in results) == 1
    assert wallet.balance(alice) == 4
    assert WalletEntry.objects.filter(kind="payment").count() == 1
    assert not breaks(LATER)


def test_vouchers_are_not_spent_twice(alice: User, olga: User, shop: Shop) -> None:
    for days in (3, 2, 1):
        vouchers.issue(
            face_value=Decimal(5), valid_from=NOON, valid_until=NOON + timedelta(days=days), customer=alice,
            by=olga, reason="gift", at=NOON,
        )  # fmt: skip
    pending = [shop.order(alice, price="4.00") for _i in range(6)]
    results = at_once(*[lambda order=order: orders.pay(order, LATER) for order in pending])
    assert sum(isinstance(result, Order) for result in results) == 3
    assert vouchers.balance(alice, LATER) == 3
    assert not breaks(LATER)


def test_a_code_is_redeemed_by_one_customer(alice: User, bob: User, olga: User) -> None:
    voucher = vouchers.issue(
        face_value=Decimal(5), valid_from=NOON, valid_until=LATER + timedelta(days=1), by=olga, reason="gift",
        at=NOON,
    )  # fmt: skip
    works = [lambda who=who: vouchers.redeem(who, voucher.code, LATER) for who in (alice, bob) * 4]
    owners = [result.customer_id for result in at_once(*works) if isinstance(result, Voucher)]
    assert len(owners) == 4
    assert len(set(owners)) == 1


def test_a_double_click_makes_one_order(alice: User, shop: Shop) -> None:
    shop.sku()
    results = at_once(*[lambda: shop.order(alice, token="one form") for _i in range(8)])
    assert len({result.pk for result in results if isinstance(result, Order)}) == 1
    assert all(isinstance(result, Order) for result in results)


def test_either_refund_or_call_wins(alice: User, olga: User, shop: Shop) -> None:
    for _round in range(10):
        app = shop.buy(alice, units=5)
        package = app.packages.get()
        refunded, reserved = at_once(
            lambda package=package: refunds.refund(package, by=olga, reason="mistake", at=LATER),
            lambda app=app: quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=1, at=LATER),
        )
        assert isinstance(refunded, Package) != isinstance(reserved, Debit)
        assert not isinstance(reserved, BillingError) or isinstance(reserved, NotOrdered | UsedUp)
        assert Period.objects.get(package=package).used == int(isinstance(reserved, Debit))
    assert not breaks(LATER)
