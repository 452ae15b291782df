"""Orders: one state machine and one payment, whatever is clicked in which order."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.errors import RuleError
from accounts.models import App, Region, User
from billing import catalogue, orders
from billing.errors import (
    InsufficientBalance,
    OfferClosed,
    OrderCancelled,
    OrderExpired,
    OrderNotCancellable,
    OrderPaid,
    PriceChanged,
    TokenReused,
)
from billing.models import CancelReason, Duration, Order, Package, Sku, WalletEntry
from billing.payments import vouchers, wallet
from tests.billing.conftest import DETECT, NOON, Shop, shanghai

LATER = NOON + timedelta(minutes=1)
TWO_DAYS = timedelta(hours=48)


def test_an_order_number_is_local_time_and_six_digits(alice: User, shop: Shop) -> None:
    order = shop.order(alice, shanghai(2019, 11, 15, 0, 8, 47))
    assert re.fullmatch(r"20191115000847\d{6}", order.number)


def test_another_order_number_is_drawn_if_the_first_is_taken(alice: User, shop: Shop, monkeypatch) -> None:
    drawn = iter([1, 1, 1, 2])
    monkeypatch.setattr("secrets.randbelow", lambda _limit: next(drawn))
    numbers = [shop.order(alice).number for _i in range(2)]
    assert [number[-6:] for number in numbers] == ["000001", "000002"]


@pytest.mark.parametrize(
    ("price", "quantity", "months", "amount"),
    [("0.00", 9, 3, "0.00"), ("1.00", 2, 3, "6.00"), ("0.01", 1, 1, "0.01"), ("19.99", 9, 3, "539.73")],
)
def test_the_amount_is_price_times_quantity_times_months(
    alice: User, shop: Shop, price: str, quantity: int, months: int, amount: str
) -> None:
    order = shop.order(alice, price=price, quantity=quantity, months=months)
    assert str(order.amount) == amount
    assert catalogue.yuan(order.amount) == f"¥{amount}"


def test_a_double_click_makes_one_order(alice: User, bob: User, shop: Shop) -> None:
    first = shop.order(alice, token="t")
    assert shop.order(alice, LATER, token="t") == first
    assert shop.order(bob, token="t") != first
    with pytest.raises(TokenReused):
        shop.order(alice, token="t", quantity=2)
    assert Order.objects.count() == 2


def test_a_double_click_after_the_payment_returns_the_order(alice: User, shop: Shop) -> None:
    first = orders.pay(shop.order(alice, token="t"), NOON)
    assert shop.order(alice, LATER, token="t") == first
    again = shop.order(alice, token="u", app=first.app)
    assert shop.order(alice, token="u", app=first.app) == again
    with pytest.raises(TokenReused):
        shop.order(alice, token="u")


def test_only_what_the_catalogue_offers_can_be_ordered(alice: User, bob: User, shop: Shop) -> None:
    for wrong in ({"quantity": 0}, {"quantity": 10}, {"months": 4}):
        with pytest.raises(OfferClosed):
            shop.order(alice, **wrong)
    Duration.objects.filter(months=3).update(is_active=False)
    with pytest.raises(OfferClosed):
        shop.order(alice, months=3)
    Sku.objects.filter(api=DETECT, tier="thousand").update(on_sale=False)
    with pytest.raises(OfferClosed):
        shop.order(alice)
    Sku.objects.update(on_sale=True)
    Region.objects.update(is_active=False)
    with pytest.raises(OfferClosed):
        shop.order(alice)
    assert not Order.objects.exists()


def new_app(name: str, sku: Sku) -> orders.OrderRequest:
    """Return a request for a new App of this name."""
    region = Region.objects.get(code="cn-sh6")
    return orders.OrderRequest(sku, 1, 1, region=region, name=name, description="b")


def test_an_invalid_app_name_is_rejected(alice: User) -> None:
    with pytest.raises(RuleError):
        orders.create(alice, new_app("a#", Sku.objects.get(api=DETECT, tier="thousand")), token="t", at=NOON)


def test_another_customers_app_cannot_be_ordered_for(alice: User, bob: User, shop: Shop) -> None:
    app = shop.buy(alice)
    with pytest.raises(OfferClosed):
        shop.order(bob, app=app)


def test_a_changed_price_is_rejected(alice: User, shop: Shop) -> None:
    sku = shop.sku(price="2.00")
    request = new_app("a", sku)
    with pytest.raises(PriceChanged) as changed:
        orders.create(alice, request, token="t", at=NOON, seen_amount=Decimal("1.00"))
    assert changed.value.details == {"seen": Decimal("1.00"), "amount": Decimal("2.00")}
    order = orders.create(alice, request, token="t", at=NOON, seen_amount=Decimal("2.00"))
    assert order.amount == 2


def test_an_order_keeps_price_units_and_meter(alice: User, olga: User, shop: Shop) -> None:
    order = shop.order(alice, price="1.00", units=100)
    sku = order.sku
    catalogue.change(
        sku, {"price": "9.00", "units_per_month": 7, "meter": "calls"}, by=olga, reason="new year", at=LATER
    )
    wallet.top_up(alice, Decimal(1), by=olga, reason="transfer", at=NOON)
    paid = orders.pay(order, LATER)
    assert paid.amount == 1
    assert paid.package.units_per_period == 100
    assert paid.package.periods.get().meter == "images"


def test_payment_creates_the_app_and_the_package(alice: User, shop: Shop) -> None:
    order = shop.order(alice, quantity=2, months=3, units=100)
    assert not App.objects.exists()
    paid = orders.pay(order, LATER)
    assert paid.state == "paid"
    assert paid.paid_at == paid.app.created_at == paid.package.starts_at == LATER
    assert paid.app.name == "门禁"
    assert paid.app.keys.count() == 1
    assert [period.granted for period in paid.package.periods.all()] == [200, 200, 200]


def test_an_app_can_get_another_api_and_more_units_of_the_same(alice: User, shop: Shop) -> None:
    app = shop.buy(alice)
    shop.buy(alice, LATER, app=app, api="face_compare")
    shop.buy(alice, LATER, app=app)
    assert App.objects.count() == 1
    assert sorted(app.packages.values_list("api", flat=True)) == [
        "face_compare",
        "face_detect",
        "face_detect",
    ]
    assert app.keys.count() == 1


def test_an_order_is_paid_once(alice: User, shop: Shop) -> None:
    order = shop.order(alice)
    orders.pay(order, NOON)
    with pytest.raises(OrderPaid):
        orders.pay(order, LATER)
    assert Package.objects.count() == 1


def test_a_paid_order_is_paid_even_48_hours_later(alice: User, shop: Shop) -> None:
    order = orders.pay(shop.order(alice), NOON)
    with pytest.raises(OrderPaid):
        orders.pay(order, NOON + TWO_DAYS)


def test_vouchers_are_spent_before_cash_and_the_first_to_expire_first(
    alice: User, olga: User, shop: Shop
) -> None:
    issued = {"valid_from": NOON, "by": olga, "reason": "gift", "at": NOON, "customer": alice}
    far = vouchers.issue(face_value=Decimal("5.00"), valid_until=NOON + timedelta(days=9), **issued)
    near = vouchers.issue(face_value=Decimal("3.00"), valid_until=NOON + timedelta(days=2), **issued)
    other = vouchers.issue(
        face_value=Decimal("50.00"), valid_until=NOON + timedelta(days=1), apis=["face_compare"], **issued
    )
    wallet.top_up(alice, Decimal("10.00"), by=olga, reason="transfer", at=NOON)
    paid = orders.pay(shop.order(alice, price="10.00"), LATER)
    assert (paid.voucher_paid, paid.cash_paid) == (Decimal("8.00"), Decimal("2.00"))
    for voucher, left in ((near, "0.00"), (far, "0.00"), (other, "50.00")):
        voucher.refresh_from_db()
        assert str(voucher.remaining) == left
    assert wallet.balance(alice) == Decimal("8.00")
    # The next one has only cash.
    paid = orders.pay(shop.order(alice, price="8.00"), LATER)
    assert (paid.voucher_paid, paid.cash_paid) == (Decimal("0.00"), Decimal("8.00"))


def test_insufficient_balance_leaves_the_order_payable(alice: User, olga: User, shop: Shop) -> None:
    vouchers.issue(
        face_value=Decimal(4), valid_from=NOON, valid_until=NOON + TWO_DAYS, by=olga, reason="gift", at=NOON,
        customer=alice,
    )  # fmt: skip
    wallet.top_up(alice, Decimal(5), by=olga, reason="transfer", at=NOON)
    order = shop.order(alice, price="10.00")
    with pytest.raises(InsufficientBalance) as refused:
        orders.pay(order, LATER)
    assert refused.value.details == {"needed": Decimal("6.00"), "balance": Decimal("5.00")}
    assert vouchers.balance(alice, LATER) == 4
    assert not App.objects.exists()
    wallet.top_up(alice, Decimal(1), by=olga, reason="transfer", at=LATER)
    assert orders.pay(order, LATER).state == "paid"
    assert WalletEntry.objects.filter(kind="payment").get().amount == -6


def test_payment_rejects_an_order_older_than_48_hours(alice: User, shop: Shop) -> None:
    early, late = shop.order(alice), shop.order(alice)
    assert orders.pay(early, NOON + TWO_DAYS - timedelta(microseconds=1)).state == "paid"
    with pytest.raises(OrderExpired):
        orders.pay(late, NOON + TWO_DAYS)
    late.refresh_from_db()
    assert (late.state, late.cancel_reason) == ("cancelled", "expired")


def test_orders_unpaid_for_48_hours_are_cancelled(alice: User, shop: Shop) -> None:
    order, younger = shop.order(alice), shop.order(alice, LATER)
    paid = orders.pay(shop.order(alice), NOON)
    assert orders.expire_due(NOON + TWO_DAYS) == 1
    for one, state in ((order, "cancelled"), (younger, "pending"), (paid, "paid")):
        one.refresh_from_db()
        assert one.state == state
    with pytest.raises(OrderExpired):
        orders.pay(order, NOON + TWO_DAYS)


def test_a_cancelled_order_is_final(alice: User, shop: Shop) -> None:
    order = orders.cancel(shop.order(alice), LATER)
    assert (order.state, order.cancel_reason, order.cancelled_at) == ("cancelled", "customer", LATER)
    by_operator = orders.cancel(shop.order(alice), LATER, CancelReason.OPERATOR)
    assert (by_operator.state, by_operator.cancel_reason) == ("cancelled", "operator")
    with pytest.raises(OrderCancelled):
        orders.pay(order, LATER)
    with pytest.raises(OrderNotCancellable):
        orders.cancel(order, LATER)
    with pytest.raises(OrderNotCancellable):
        orders.cancel(orders.pay(shop.order(alice), NOON), LATER)


def test_the_list_filters_by_state_and_text(alice: User, bob: User, shop: Shop) -> None:
    first, second = shop.order(alice), shop.order(alice, LATER)
    shop.order(bob)
    orders.pay(first, LATER)
    assert list(orders.of(alice)) == [second, first]
    assert list(orders.of(alice, state="paid")) == [first]
    assert list(orders.of(alice, text=first.number[-8:])) == [first]
    assert list(orders.of(alice, text=" 门禁 ")) == [second, first]
    assert not orders.of(alice, text="nothing like it").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "paid"},
        {"state": "cancelled"},
        {"amount": 1},
        {"quantity": 10},
        {"cash_paid": 1},
        {"app_name": "a#"},
    ],
)
def test_the_database_rejects_inconsistent_states(alice: User, shop: Shop, wrong: dict) -> None:
    order = shop.order(alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(**wrong)
