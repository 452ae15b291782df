"""Whom an operator's act may concern, and from what amount on a second operator has to approve it.

Nobody acts on an account of his own, and a superuser's account is out of reach for everybody else.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models

from accounts import own_account
from accounts.errors import RuleError
from accounts.models import AuditEntry, User
from billing.models import Package, Voucher

WINDOW = timedelta(hours=24)  # several small acts for one customer count together


def check(customer: User | None, by: User) -> None:
    """Raise RuleError `own_account` or `superuser` if the act is out of the operator's reach."""
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
    """Return what the act gives away or takes back, in yuan; None for an act that moves no money."""
    match act, subject:
        case "top-up" | "reverse", _:
            return Decimal(form["amount"])
        case "voucher" | "voucher-code", _:
            return Decimal(form["face_value"])
        case "refund", Package():
            return subject.order.cash_paid + subject.order.voucher_paid
        case "extend", Package():
            order = subject.order
            return order.amount / order.months * int(form["months"])
    return None


def needs_a_second_operator(value: Decimal, customer: User | None, by: User, at: datetime) -> bool:
    """Return whether the operator has given this customer (or, by code, anybody) too much to act alone.

    Call inside the transaction of the act: it serialises the acts of one operator.
    """
    User.objects.select_for_update(no_key=True).only("pk").get(pk=by.pk)
    recent = AuditEntry.objects.filter(by=by, customer=customer, at__gt=at - WINDOW, details__has_key="worth")
    recent = recent.exclude(details__has_key="request")  # what others gave with this operator's approval
    if customer is None:
        recent = recent.filter(subject=Voucher._meta.model_name)
    given = sum(Decimal(details["worth"]) for details in recent.values_list("details", flat=True))
    return value + given > settings.APPROVAL_ABOVE_YUAN
