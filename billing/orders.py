"""订单 (manual 3.1): 待支付 → 已完成 or 已取消; the only writer of Order.

Every transition out of 待支付 is one conditional UPDATE, so only one of several concurrent attempts wins. A
payment is one transaction: order, vouchers (nearest expiry first), wallet, App, Package and all Periods.
Lock order: Order, User (if a limit of the customer is checked), Vouchers by (valid_until, id), Wallet.
"""

import secrets
from dataclasses import dataclass, replace
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
    TooManyOrders,
    TooManyUnpaid,
)
from billing.models import CancelReason, Duration, Order, OrderState, Package, Sku
from billing.payments import vouchers, wallet
from billing.periods import SHANGHAI

PAYABLE_FOR = timedelta(hours=48)
QUANTITIES = range(1, 10)
UNPAID_AT_ONCE = 20  # unpaid orders that one customer may have
# Orders that one customer may create within ORDERS_WITHIN, cancelled ones included, because they stay in the
# books.
ORDERS_AT_MOST, ORDERS_WITHIN = 200, timedelta(hours=24)
NUMBER_LENGTH = 20


def new_number(at: datetime) -> str:
    """Return a new 订单编号: local time and six random digits."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}{secrets.randbelow(1_000_000):06}"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order for an existing `app`, or for a new one (`region`, `name`, `description`)."""

    sku: Sku
    quantity: int
    months: int
    app: App | None = None
    region: Region | None = None
    name: str = ""
    description: str = ""

    def checked(self, customer: User) -> "OrderRequest":
        """Return the request with validated texts; for an existing App, with that App's texts and region.

        Raises OfferClosed if the App is not the customer's, RuleError for a name or description.
        """
        wanted = self
        if self.app is not None:
            if self.app.customer_id != customer.pk:
                raise OfferClosed(what="app")
            app = self.app
            wanted = replace(self, region=app.region, name=app.name, description=app.description)
        name, description = check_app_name(wanted.name), check_app_description(wanted.description)
        return replace(wanted, name=name, description=description)

    def is_for(self, order: Order) -> bool:
        """Return whether `order` was created from a request like this one."""
        return (
            order.is_new_app == (self.app is None)
            and (self.app is None or order.app_id == self.app.pk)
            and self.region is not None
            and order.region_id == self.region.pk
            and (order.app_name, order.app_description) == (self.name, self.description)
            and (order.sku_id, order.quantity, order.months) == (self.sku.pk, self.quantity, self.months)
        )


def create(
    customer: User, request: OrderRequest, *, token: str, at: datetime, seen_amount: Decimal | None = None
) -> Order:
    """Create an order.

    Idempotent: the same `token` of the same customer with the same request returns the first order. With
    `seen_amount`, the amount that the customer confirmed, raises PriceChanged if the price has changed.
    Raises RuleError for a name or description, OfferClosed, TokenReused, TooManyUnpaid, TooManyOrders,
    TooManyFree.
    """
    request = request.checked(customer)
    if first := Order.objects.filter(customer=customer, token=token).first():
        return _same(first, request)
    catalogue.apply_due(at)
    region, offer = _offered(request)
    amount = catalogue.amount(offer.price, request.quantity, request.months)
    if seen_amount is not None and seen_amount != amount:
        raise PriceChanged(seen=seen_amount, amount=amount)
    order = Order(
        customer=customer,
        token=token,
        app=request.app,
        is_new_app=request.app is None,
        app_name=request.name,
        app_description=request.description,
        region=region,
        sku=offer,
        quantity=request.quantity,
        months=request.months,
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
                return _same(first, request)
            if not Order.objects.filter(number=order.number).exists():
                raise
        else:
            return order


def _check_limits(order: Order, at: datetime) -> None:
    """Lock the customer and check the limits, so that concurrent orders are counted correctly.

    Raises TooManyUnpaid, TooManyOrders and TooManyFree; `pay` checks the last again.
    """
    customer = User.objects.select_for_update(no_key=True).get(pk=order.customer_id)
    unpaid = Order.objects.filter(customer=customer, state=OrderState.PENDING, expires_at__gt=at)
    if unpaid.count() >= UNPAID_AT_ONCE:
        raise TooManyUnpaid(limit=UNPAID_AT_ONCE)
    recent = Order.objects.filter(customer=customer, created_at__gt=at - ORDERS_WITHIN)
    if recent.count() >= ORDERS_AT_MOST:
        raise TooManyOrders(limit=ORDERS_AT_MOST)
    _check_free(order, at)


def _check_free(order: Order, at: datetime) -> None:
    """Raise TooManyFree if the order is free and the customer has the maximum of free packages."""
    if order.amount == 0:
        limit = settings.FREE_PACKAGES_PER_CUSTOMER
        running = Package.objects.filter(
            order__customer=order.customer_id, order__amount=0, refunded_at=None, ends_at__gt=at
        )
        if running.count() >= limit:
            raise TooManyFree(limit=limit)


def _offered(request: OrderRequest) -> tuple[Region, Sku]:
    """Return the region and the Sku that are on sale now. Raises OfferClosed."""
    region = request.region
    if region is None or not (request.app or Region.objects.filter(pk=region.pk, is_active=True).exists()):
        raise OfferClosed(what="region")
    if request.quantity not in QUANTITIES:
        raise OfferClosed(what="quantity")
    if not Duration.objects.filter(months=request.months, is_active=True).exists():
        raise OfferClosed(what="duration")
    offer = catalogue.skus_on_sale().filter(pk=request.sku.pk).first()
    if offer is None:
        raise OfferClosed(what="sku")
    return region, offer


def _same(first: Order, request: OrderRequest) -> Order:
    """Return the first order of a token. Raises TokenReused if it is for something else."""
    if not request.is_for(first):
        raise TokenReused(number=first.number)
    return first


def pay(order: Order, at: datetime) -> Order:
    """Pay an order in full and deliver it: App, Package, Periods. Return the order as it is afterwards.

    Raises OrderPaid, OrderCancelled, OrderExpired (an order past its 48 hours is cancelled by this call), and
    InsufficientBalance or TooManyFree, after which the order can still be paid.
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
    """Cancel every pending order whose time for payment has ended, and return their number."""
    return Order.objects.filter(state=OrderState.PENDING, expires_at__lte=at).update(
        state=OrderState.CANCELLED, cancel_reason=CancelReason.EXPIRED, cancelled_at=at
    )


def of(customer: User, *, state: str = "", text: str = "") -> "QuerySet[Order]":
    """Return the customer's orders, newest first, filtered by `state` and by `text` in number or App name."""
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
