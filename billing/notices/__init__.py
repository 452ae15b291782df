"""通知: notices to customers, in the inbox and by e-mail; the only writer of Notice.

This module has the inbox and its settings; due.py writes the notices that are due, texts.py words them, and
mailing.py sends them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import User
from billing.errors import ChangeRefused
from billing.models import Notice, NoticeSettings
from billing.periods import months_before

FORGET_BATCH = 5000


def inbox(customer: User) -> "QuerySet[Notice]":
    """Return the customer's notices, newest first."""
    return (
        Notice.objects.filter(customer=customer).select_related("app", "order").order_by("-created_at", "-pk")
    )


def unread_count(customer: User) -> int:
    """Return the number of unread notices of the customer."""
    return Notice.objects.filter(customer=customer, read_at=None).count()


def mark_read(customer: User, at: datetime, ids: Sequence[int] | None = None) -> int:
    """Mark these notices of the customer (all if `ids` is None) as read; return how many were unread."""
    unread = Notice.objects.filter(customer=customer, read_at=None)
    return (unread if ids is None else unread.filter(pk__in=ids)).update(read_at=at)


def settings_of(customer: User) -> NoticeSettings:
    """Return the customer's notice settings, or the defaults if none were saved."""
    return NoticeSettings.objects.filter(customer=customer).first() or NoticeSettings(customer=customer)


def choose(
    customer: User,
    *,
    quota_percents: Iterable[int],
    quota_on: bool,
    ending_on: bool,
    unpaid_on: bool,
    money_on: bool = True,
) -> NoticeSettings:
    """Save the customer's settings: percentages from 1 to 100, at most five, and a switch for each kind.

    Raises ChangeRefused.
    """
    percents = sorted(set(quota_percents))
    if len(percents) > 5 or not all(1 <= percent <= 100 for percent in percents):
        raise ChangeRefused(field="quota_percents", value=percents)
    chosen, _created = NoticeSettings.objects.update_or_create(
        customer=customer,
        defaults={
            "quota_percents": percents,
            "quota_on": quota_on,
            "ending_on": ending_on,
            "unpaid_on": unpaid_on,
            "money_on": money_on,
        },
    )
    return chosen


def forget(at: datetime) -> int:
    """Delete the notices whose retention has ended, and return their number.

    `scan` does not write them again, because what they announced is long past.
    """
    if not settings.NOTICES_KEPT_MONTHS:
        return 0
    until = months_before(at, settings.NOTICES_KEPT_MONTHS)
    forgotten = 0
    while True:
        old = Notice.objects.filter(created_at__lt=until).values_list("pk", flat=True)[:FORGET_BATCH]
        count, _by_model = Notice.objects.filter(pk__in=list(old)).delete()
        forgotten += count
        if count < FORGET_BATCH:
            return forgotten
