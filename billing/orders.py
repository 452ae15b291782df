"""订单 (manual 3.1): 待支付 → 已完成 or 已取消; the only writer of Order.

Every step out of 待支付 is one conditional UPDATE, so of two clicks, tabs or processes one wins. A payment is
one transaction: the order, vouchers (nearest expiry first), the wallet, the App, its Package and all Periods.
Lock order: Order, User (where a limit of the customer is checked), Vouchers by (valid_until, id), Wallet.
"""

import secrets
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.applications import create_app
from accounts.models import App, Region, User
from accounts.names import check_app_description, check_app_name
from billing import catalogue, packages
from billing.errors import (
    OfferClosed,
    OrderCancelled,
    OrderExpired,
    OrderNotCancellable,
    OrderNotPayable,
    OrderPaid,
    PriceChanged,
    TokenReused,
    TooManyFree,
    TooManyUnpaid,
)
from billing.models import CancelReason, Duration, Order, OrderState, Package, Sku
from billing.payments import vouchers, wallet
from billing.periods import SHANGHAI

PAYABLE_FOR = timedelta(hours=48)
QUANTITIES = range(1, 10)
UNPAID_AT_ONCE = 20  # orders of one customer that may wait for payment
NUMBER_LENGTH = 20


def new_number(at: datetime) -> str:
    """订单编号: local time and six random digits."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}{secrets.randbelow(1_000_000):06}"


def create(
    *,
    customer: User,
    sku: Sku,
    quantity: int,
    months: int,
    token: str,
    at: datetime,
    app: App | None = None,
    region: Region | None = None,
    name: str = "",
    description: str = "",
    seen_amount: Decimal | None = None,
) -> Order:
    """Create an order for a new App (`region`, `name`, `description`) or for an existing `app`.

    Idempotent: the same `token` of the same customer with the same wishes returns the first order. With
    `seen_amount`, what the customer confirmed, raises PriceChanged if it no longer holds. Raises RuleError
    for a name or description, OfferClosed, TokenReused, TooManyUnpaid, TooManyFree.
    """
    if app is not None:
        if app.customer_id != customer.pk:
            raise OfferClosed(what="app")
        region, name, description = app.region, app.name, app.description
    name, description = check_app_name(name), check_app_description(description)
    if first := Order.objects.filter(customer=customer, token=token).first():
        return _same(first, app, region, name, description, sku, quantity, months)
    if region is None or not (app or Region.objects.filter(pk=region.pk, is_active=True).exists()):
        raise OfferClosed(what="region")
    if quantity not in QUANTITIES:
        raise OfferClosed(what="quantity")
    if not Duration.objects.filter(months=months, is_active=True).exists():
        raise OfferClosed(what="duration")
    offer = catalogue.skus_on_sale().filter(pk=sku.pk).first()
    if offer is None:
        raise OfferClosed(what="sku")
    amount = catalogue.amount(offer.price, quantity, months)
    if seen_amount is not None and seen_amount != amount:
        raise PriceChanged(seen=seen_amount, amount=amount)
    order = Order(
        customer=customer,
        token=token,
        app=app,
        is_new_app=app is None,
        app_name=name,
        app_description=description,
        region=region,
        sku=offer,
        quantity=quantity,
        months=months,
        units_per_month=offer.units_per_month,
        meter=offer.meter,
        unit_price=offer.price,
        amount=amount,
        created_at=at,
        expires_at=at + PAYABLE_FOR,
    )
    while True:
        order.number = new_number(at)
        try:
            with transaction.atomic():
                _check_limits(order, at)
                order.save(force_insert=True)
        except IntegrityError:
            if first := Order.objects.filter(customer=customer, token=token).first():
                return _same(first, app, region, name, description, sku, quantity, months)
            if not Order.objects.filter(number=order.number).exists():
                raise
        else:
            return order


def _check_limits(order: Order, at: datetime) -> None:
    """Lock the customer, so that orders at once are counted one after the other.

    Raises TooManyUnpaid, and TooManyFree early: `pay` decides.
    """
    customer = User.objects.select_for_update(no_key=True).get(pk=order.customer_id)
    unpaid = Order.objects.filter(customer=customer, state=OrderState.PENDING, expires_at__gt=at)
    if unpaid.count() >= UNPAID_AT_ONCE:
        raise TooManyUnpaid(limit=UNPAID_AT_ONCE)
    _check_free(order, at)


def _check_free(order: Order, at: datetime) -> None:
    """Raise TooManyFree if the order is free and the customer has the most free packages allowed."""
    if order.amount == 0:
        limit = settings.FREE_PACKAGES_PER_CUSTOMER
        running = Package.objects.filter(
            order__customer=order.customer_id, order__amount=0, refunded_at=None, ends_at__gt=at
        )
        if running.count() >= limit:
            raise TooManyFree(limit=limit)


def _same(
    first: Order,
    app: App | None,
    region: Region | None,
    name: str,
    description: str,
    sku: Sku,
    quantity: int,
    months: int,
) -> Order:
    """Return the first order of a token. Raises TokenReused if it is for something else."""
    if (app is None) == first.is_new_app and (
        (app is None or first.app_id == app.pk)
        and region is not None
        and (first.region_id, first.app_name, first.app_description) == (region.pk, name, description)
        and (first.sku_id, first.quantity, first.months) == (sku.pk, quantity, months)
    ):
        return first
    raise TokenReused(number=first.number)


def pay(order: Order, at: datetime) -> Order:
    """Pays an order wholly and delivers it: App, Package, Periods. Returns it as it is then.

    Raises OrderPaid, OrderCancelled, OrderExpired (an order past its 48 hours is cancelled by this), and
    InsufficientBalance or TooManyFree, which leave the order payable.
    """
    if Order.objects.get(pk=order.pk).expires_at <= at:
        _cancel(order, CancelReason.EXPIRED, at)
    with transaction.atomic():
        paying = Order.objects.select_for_update(of=("self",), no_key=True).select_related(
            "customer", "sku", "region", "app"
        ).get(pk=order.pk)  # fmt: skip
        if paying.state != OrderState.PENDING:
            raise _not_payable(paying)
        if paying.amount == 0:
            User.objects.select_for_update(no_key=True).get(pk=paying.customer_id)
            _check_free(paying, at)
        paying.voucher_paid = vouchers.spend(paying, paying.amount, at)
        paying.cash_paid = paying.amount - paying.voucher_paid
        if paying.cash_paid:
            wallet.charge(paying, paying.cash_paid, at)
        app = paying.app or create_app(
            customer=paying.customer,
            region=paying.region,
            name=paying.app_name,
            description=paying.app_description,
            at=at,
        )
        paying.app, paying.state, paying.paid_at = app, OrderState.PAID, at
        paying.save(update_fields=["app", "state", "paid_at", "voucher_paid", "cash_paid"])
        packages.write(paying, app, at)
    return paying


def _not_payable(order: Order) -> OrderNotPayable:
    if order.state == OrderState.PAID:
        return OrderPaid(number=order.number, state=order.state)
    refusal = OrderExpired if order.cancel_reason == CancelReason.EXPIRED else OrderCancelled
    return refusal(number=order.number, state=order.state)


def cancel(order: Order, at: datetime, reason: CancelReason = CancelReason.CUSTOMER) -> Order:
    """Cancel a pending order for the customer or an operator. Raises OrderNotCancellable."""
    if not _cancel(order, reason, at):
        state = Order.objects.values_list("state", flat=True).get(pk=order.pk)
        raise OrderNotCancellable(number=order.number, state=state)
    order.refresh_from_db()
    return order


def _cancel(order: Order, reason: CancelReason, at: datetime) -> int:
    return Order.objects.filter(pk=order.pk, state=OrderState.PENDING).update(
        state=OrderState.CANCELLED, cancel_reason=reason, cancelled_at=at
    )


def expire_due(at: datetime) -> int:
    """Cancel every order unpaid for 48 hours, and return their number."""
    return Order.objects.filter(state=OrderState.PENDING, expires_at__lte=at).update(
        state=OrderState.CANCELLED, cancel_reason=CancelReason.EXPIRED, cancelled_at=at
    )


def of(customer: User, *, state: str = "", text: str = "") -> "QuerySet[Order]":
    """Return the customer's orders, newest first, filtered by state and by part of number or App name."""
    orders = Order.objects.filter(customer=customer).select_related("sku", "region", "app")
    if state:
        orders = orders.filter(state=state)
    text = text.strip()
    if len(text) == NUMBER_LENGTH and text.isdigit():
        orders = orders.filter(number=text)
    elif text.isdigit():
        orders = orders.filter(Q(number__contains=text) | Q(app_name__contains=text))
    elif text:
        orders = orders.filter(app_name__icontains=text)
    return orders.order_by("-created_at", "-pk")
