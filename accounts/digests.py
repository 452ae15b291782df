"""Subscriptions to reports by mail, and those that are due; the only writer of DigestSubscription.

A day's report is about the day before, a week's about the last week from Monday to Sunday, a month's about
the last month, in local days. Each is claimed before it is sent, so that it is sent only once. A report that
could not be sent within LATE_DAYS is skipped.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import DigestKind, DigestPeriod, DigestSubscription, User

FROM_HOUR = 7  # local: reports are read in the morning
LATE_DAYS = {DigestPeriod.DAILY: 1, DigestPeriod.WEEKLY: 3, DigestPeriod.MONTHLY: 7}


def last_period(period: str, today: date) -> tuple[date, date]:
    """Return the first day of the latest period that is over, and the day after its last."""
    if period == DigestPeriod.WEEKLY:
        end = today - timedelta(days=today.weekday())
        return end - timedelta(days=7), end
    if period == DigestPeriod.MONTHLY:
        end = today.replace(day=1)
        return (end - timedelta(days=1)).replace(day=1), end
    return today - timedelta(days=1), today


def chosen(user: User, kind: DigestKind) -> list[str]:
    """Return the periods whose reports the user gets, in the order of DigestPeriod."""
    held = set(DigestSubscription.objects.filter(user=user, kind=kind).values_list("period", flat=True))
    return [period for period in DigestPeriod.values if period in held]


@transaction.atomic
def choose(user: User, kind: DigestKind, periods: Iterable[str], at: datetime) -> None:
    """Subscribe the user to exactly these periods; the first report is about the next that ends."""
    wanted = set(periods) & set(DigestPeriod.values)
    DigestSubscription.objects.filter(user=user, kind=kind).exclude(period__in=wanted).delete()
    today = timezone.localdate(at)
    DigestSubscription.objects.bulk_create(
        (
            DigestSubscription(
                user=user, kind=kind, period=period, sent_until=last_period(period, today)[1], created_at=at
            )
            for period in sorted(wanted)
        ),
        ignore_conflicts=True,
    )


def cancel(user: User) -> None:
    """Delete all subscriptions of the user."""
    DigestSubscription.objects.filter(user=user).delete()


def due(kind: DigestKind, period: str, at: datetime, limit: int) -> Sequence[DigestSubscription]:
    """Return the subscriptions whose report of the last period is due at `at`, at most `limit`."""
    local = timezone.localtime(at)
    _first, end = last_period(period, local.date())
    if local.hour < FROM_HOUR or local.date() - end >= timedelta(days=LATE_DAYS[DigestPeriod(period)]):
        return []
    found: QuerySet[DigestSubscription] = DigestSubscription.objects.filter(
        kind=kind,
        period=period,
        sent_until__lt=end,
        user__is_active=True,
        user__email_verified_at__isnull=False,
    )
    return list(found.select_related("user").order_by("pk")[:limit])


def claim(one: DigestSubscription, end: date) -> bool:
    """Mark the report of the period that ends at `end` as sent; False if it was claimed before."""
    mine = DigestSubscription.objects.filter(pk=one.pk, sent_until__lt=end)
    return bool(mine.update(sent_until=end))


def release(one: DigestSubscription, end: date) -> None:
    """Undo a claim, so that the report is tried again; `one` is as it was before the claim."""
    DigestSubscription.objects.filter(pk=one.pk, sent_until=end).update(sent_until=one.sent_until)
