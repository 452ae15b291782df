"""代金券: granted or redeemed by code, spent nearest expiry first; the only writer of the voucher tables."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from accounts import own_account
from accounts.models import User
from billing.errors import VoucherRefused
from billing.models import Order, Voucher, VoucherEntry
from billing.payments.wallet import validate_amount
from billing.reasons import reason_of

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without look-alikes (0, O, 1, I); 5 bits each


def new_code() -> str:
    """Return a new code: sixteen characters in four groups, 80 random bits."""
    return in_groups("".join(secrets.choice(_ALPHABET) for _i in range(16)))


def in_groups(code: str) -> str:
    """Normalize a typed code to the stored form: upper case, groups of four, hyphens."""
    plain = "".join(filter(str.isalnum, code.upper()))
    return "-".join(plain[start : start + 4] for start in range(0, len(plain), 4))


def issue(
    *,
    face_value: Decimal,
    valid_from: datetime,
    valid_until: datetime,
    by: User,
    reason: str,
    at: datetime,
    customer: User | None = None,
    apis: Sequence[str] = (),
) -> Voucher:
    """Issue a voucher to a customer or, without one, as a code for the first customer who redeems it.

    It applies to `apis`, or to every API if that is empty. Raises AmountRefused, ReasonMissing,
    VoucherRefused (expired), RuleError `own_account`.
    """
    own_account.refuse(customer, by)
    reason = reason_of(reason)
    if not at < valid_until or not valid_from < valid_until:
        raise VoucherRefused(why="expired")
    value = validate_amount(face_value)
    return Voucher.objects.create(
        code=new_code(),
        customer=customer,
        face_value=value,
        remaining=value,
        valid_from=valid_from,
        valid_until=valid_until,
        apis=list(apis),
        created_by=by,
        created_at=at,
        redeemed_at=at if customer else None,
        reason=reason,
    )


def redeem(customer: User, code: str, at: datetime) -> Voucher:
    """Assign the voucher with this code to the customer, and return it.

    Idempotent for its owner, because a response may be lost. Operators cannot redeem a voucher, because they
    may have seen its code. Raises VoucherRefused (operator, unknown, taken, expired).
    """
    if customer.is_staff:
        raise VoucherRefused(why="operator")
    code = in_groups(code)
    if (
        Voucher.objects.filter(code=code, customer=None, valid_until__gt=at)
        .exclude(created_by=customer)
        .update(customer=customer, redeemed_at=at)
    ):
        return Voucher.objects.get(code=code)
    voucher = Voucher.objects.filter(code=code).first()
    if voucher is None:
        raise VoucherRefused(why="unknown")
    if voucher.customer_id == customer.pk:
        return voucher
    if voucher.created_by_id == customer.pk:
        raise VoucherRefused(why="operator")
    raise VoucherRefused(why="taken" if voucher.customer_id else "expired")


def of(customer: User) -> "QuerySet[Voucher]":
    """Return all vouchers of the customer, nearest expiry first."""
    return Voucher.objects.filter(customer=customer).order_by("valid_until", "pk")


def usable(customer: User, at: datetime, api: str | None = None) -> "QuerySet[Voucher]":
    """Return the vouchers that can be spent at `at` (on `api`, if given), in the order of spending."""
    vouchers = of(customer).filter(remaining__gt=0, valid_from__lte=at, valid_until__gt=at)
    return vouchers.filter(Q(apis=[]) | Q(apis__contains=[api])) if api else vouchers


def balance(customer: User, at: datetime, api: str | None = None) -> Decimal:
    """Return 代金券余额 in yuan: the sum left in the usable vouchers."""
    return usable(customer, at, api).aggregate(left=Sum("remaining"))["left"] or Decimal("0.00")


def spend(order: Order, amount: Decimal, at: datetime) -> Decimal:
    """Spend up to `amount`, nearest expiry first; return the amount spent. Call with the order locked."""
    spent = Decimal("0.00")
    for voucher in usable(order.customer, at, order.sku.api).select_for_update(no_key=True):
        part = min(voucher.remaining, amount - spent)
        if part <= 0:
            break
        Voucher.objects.filter(pk=voucher.pk).update(remaining=F("remaining") - part)
        VoucherEntry.objects.create(voucher=voucher, order=order, amount=-part, at=at)
        spent += part
    return spent


@transaction.atomic
def refund(order: Order, at: datetime) -> Decimal:
    """Refund what an order spent from vouchers to the same vouchers, even expired ones; return the amount."""
    back = Decimal("0.00")
    for entry in VoucherEntry.objects.filter(order=order, amount__lt=0).order_by(
        "voucher__valid_until", "voucher"
    ):
        Voucher.objects.filter(pk=entry.voucher_id).update(remaining=F("remaining") - entry.amount)
        VoucherEntry.objects.create(voucher_id=entry.voucher_id, order=order, amount=-entry.amount, at=at)
        back -= entry.amount
    return back
