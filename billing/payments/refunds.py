"""Refund of an unused Package by an operator: it no longer grants units, and its money is returned."""

from datetime import datetime

from django.db import transaction

from accounts import own_account
from accounts.models import User
from billing.errors import NotRefundable
from billing.models import Package, Period
from billing.payments import vouchers, wallet
from billing.reasons import reason_of


@transaction.atomic
def refund(package: Package, *, by: User, reason: str, at: datetime) -> Package:
    """Refund a Package that is unused and has not ended: cash to the wallet, vouchers to the same vouchers.

    If a concurrent call reserves units first, the refund is refused; otherwise that call finds no units.
    Lock order: Package, Periods by (ends_at, package), Vouchers, Wallet. Raises ReasonMissing, NotRefundable,
    RuleError `own_account`.
    """
    reason = reason_of(reason)
    locked = Package.objects.select_for_update(of=("self",), no_key=True)
    package = locked.select_related("order__customer").get(pk=package.pk)
    own_account.refuse(package.order.customer, by)
    if package.refunded_at is not None:
        raise NotRefundable(why="refunded")
    if package.ends_at <= at:
        raise NotRefundable(why="ended")
    periods = Period.objects.filter(package=package).order_by("ends_at", "package")
    if any(period.used for period in periods.select_for_update(no_key=True)):
        raise NotRefundable(why="used")
    Period.objects.filter(package=package).update(granted=0)
    package.refunded_at, package.refunded_by, package.refund_reason = at, by, reason
    package.save(update_fields=["refunded_at", "refunded_by", "refund_reason"])
    order = package.order
    vouchers.refund(order, at)
    if order.cash_paid:
        wallet.refund(order, order.cash_paid, by=by, reason=reason, at=at)
    return package
