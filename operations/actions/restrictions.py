"""The accounts that an operator may act on, and the amounts that need a second operator's approval.

Operators cannot act on their own accounts, and only superusers can act on a superuser's account.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts import own_account
from accounts.errors import RuleError
from accounts.models import AuditEntry, User
from billing.models import Package, Voucher

WINDOW = timedelta(hours=24)  # the amounts for one customer in this time are added up


def check(customer: User | None, by: User) -> None:
    """Raise RuleError `own_account` or `superuser` if the operator may not act on this account."""
    if customer is None:
        return
    own_account.refuse(customer, by)
    if customer.is_superuser and not by.is_superuser:
        raise RuleError("superuser")


def is_in_reach(customer: User | None, by: User) -> bool:
    try:
        check(customer, by)
    except RuleError:
        return False
    return True


def worth(act: str, subject: models.Model | None, form: Mapping[str, Any]) -> Decimal | None:
    """Return the amount in yuan that the action gives or takes back; None if it moves no money."""
    match act, subject:
        case "top-up" | "reverse", _:
            return Decimal(form["amount"])
        case "voucher" | "voucher-code", _:
            return Decimal(form["face_value"])
        case "refund", Package():
            return subject.order.cash_paid + subject.order.voucher_paid
        case "extend", Package():
            order = subject.order
            price = max(order.unit_price, order.sku.price)  # a package of a former free offer has a worth too
            return price * order.quantity * int(form["months"])
    return None


def needs_a_second_operator(value: Decimal, customer: User | None, by: User, at: datetime) -> bool:
    """Return whether `value`, added to what `by` gave this customer in WINDOW, exceeds one operator's limit.

    `customer` is None for voucher codes. Call this in the transaction of the action: it locks the operator's
    row, so that concurrent actions of one operator are serialised.
    """
    User.objects.select_for_update(no_key=True).only("pk").get(pk=by.pk)
    alone = Q(by=by) & ~Q(details__has_key="request")
    recent = AuditEntry.objects.filter(
        alone | Q(details__requested_by=by.username),  # or with another operator's approval
        customer=customer, at__gt=at - WINDOW, details__has_key="worth",
    )  # fmt: skip
    if customer is None:
        recent = recent.filter(subject=Voucher._meta.model_name)
    given = sum(Decimal(details["worth"]) for details in recent.values_list("details", flat=True))
    return value + given > settings.APPROVAL_ABOVE_YUAN
