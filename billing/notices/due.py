"""The notices that are due, which `scan` writes.

A unique key per customer prevents duplicates. The kinds:

- Quota: the usage of an App's API reached a percentage of the month's units (80 % and 100 % by default). If
  it reached several at once, only the highest is reported. If the number of units changes, for example by
  another package, percentages may be reported again.
- Ending: 7 days and 1 day before the last Package ends.
- Unpaid: an order is 24 hours old and can still be paid.
- Money: an operator topped up, reversed a top-up, granted a voucher or refunded a package, within
  MONEY_WITHIN.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_

from django.db.models import F, Max, Min, Q, Sum

from billing.models import (
    EntryKind,
    Notice,
    NoticeKind,
    NoticeSettings,
    Order,
    OrderState,
    Package,
    Period,
    Voucher,
    WalletEntry,
)
from billing.models.notices import MONEY_KINDS
from billing.quota import live

DAYS_BEFORE_END = (1, 7)
UNPAID_AFTER = timedelta(hours=24)
MONEY_WITHIN = timedelta(days=1)
BATCH = 200  # notices that one query looks up


def scan(at: datetime) -> int:
    """Write every notice that is due and not yet written, and return the number written."""
    chosen = {row.customer_id: row for row in NoticeSettings.objects.all()}
    due = [*_quota_due(at, chosen), *_ending_due(at), *_unpaid_due(at), *_money_due(at)]
    return _write([notice for notice in due if _wanted(notice, chosen.get(notice.customer_id))], at)


def add(due: Iterable[Notice], at: datetime) -> int:
    """Write the notices of another room that do not exist yet, and return the number written.

    Customers cannot turn these off, because NoticeKind.FACES announces the deletion of their data.
    """
    return _write(list(due), at)


def _write(wanted: Sequence[Notice], at: datetime) -> int:
    known = _known(wanted)
    new = [notice for notice in wanted if (notice.customer_id, notice.key) not in known]
    for notice in new:
        if notice.kind == NoticeKind.QUOTA:
            notice.ends_at = _next_start(notice, at)
    Notice.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    return len(new)


def _known(wanted: Sequence[Notice]) -> set[tuple[int, str]]:
    """Return the customer and key of the notices that exist already.

    Each customer's keys are looked up in the index of the unique constraint, which begins with the customer.
    """
    known: set[tuple[int, str]] = set()
    pairs = sorted({(notice.customer_id, notice.key) for notice in wanted})
    for first in range(0, len(pairs), BATCH):
        batch = groupby(pairs[first : first + BATCH], key=itemgetter(0))
        conditions = [Q(customer=customer, key__in=[key for _, key in keys]) for customer, keys in batch]
        found = Notice.objects.filter(reduce(or_, conditions)).order_by()
        known |= set(found.values_list("customer_id", "key"))
    return known


def _next_start(notice: Notice, at: datetime) -> datetime | None:
    """Return the start of the next Period of the App's API, or None if there is none."""
    later = Period.objects.filter(app=notice.app_id, api=notice.api, starts_at__gt=at, granted__gt=0)
    return later.aggregate(at=Min("starts_at"))["at"]


def _wanted(notice: Notice, chosen: NoticeSettings | None) -> bool:
    if chosen is None:
        return True
    if notice.kind in MONEY_KINDS:
        return chosen.money_on
    return {
        NoticeKind.QUOTA: chosen.quota_on,
        NoticeKind.ENDING: chosen.ending_on,
        NoticeKind.UNPAID: chosen.unpaid_on,
    }[NoticeKind(notice.kind)]


def _quota_due(at: datetime, chosen: dict[int, NoticeSettings]) -> Iterable[Notice]:
    """Yield a notice for the highest percentage that the usage of all live Periods has reached.

    If a Period starts or ends, the percentages may be reported again.
    """
    months = (
        Period.objects.filter(live(at), granted__gt=0)
        .values_list("app__customer", "app", "api")
        .annotate(granted=Sum("granted"), used=Sum("used"), month=Max("starts_at"))
        .filter(used__gt=0)
    )
    defaults = NoticeSettings()
    for customer, app, api, granted, used, month in months:
        percents = chosen.get(customer, defaults).quota_percents
        if passed := [percent for percent in percents if used * 100 >= percent * granted]:
            percent = max(passed)
            yield Notice(
                customer_id=customer,
                kind=NoticeKind.QUOTA,
                key=f"quota {app} {api} {month.timestamp():.0f} {granted} {percent}",
                app_id=app,
                api=api,
                percent=percent,
                created_at=at,
            )


def _ending_due(at: datetime) -> Iterable[Notice]:
    last_ends = (
        Package.objects.filter(refunded_at=None, app__archived_at=None)
        .values_list("app__customer", "app", "api")
        .annotate(end=Max("ends_at"))
        .filter(end__gt=at, end__lte=at + timedelta(days=max(DAYS_BEFORE_END)))
    )
    for customer, app, api, end in last_ends:
        days = next(days for days in sorted(DAYS_BEFORE_END) if end <= at + timedelta(days=days))
        yield Notice(
            customer_id=customer,
            kind=NoticeKind.ENDING,
            key=f"ending {app} {api} {end.timestamp():.0f} {days}",
            app_id=app,
            api=api,
            days=days,
            ends_at=end,
            created_at=at,
        )


def _unpaid_due(at: datetime) -> Iterable[Notice]:
    unpaid = Order.objects.filter(
        state=OrderState.PENDING, expires_at__gt=at, created_at__lte=at - UNPAID_AFTER
    )
    for order in unpaid:
        yield Notice(
            customer_id=order.customer_id,
            kind=NoticeKind.UNPAID,
            key=f"unpaid {order.pk}",
            order=order,
            ends_at=order.expires_at,
            created_at=at,
        )


def _money_due(at: datetime) -> Iterable[Notice]:
    """Yield notices of what operators did; customers see the effect of their own actions at once."""
    since = at - MONEY_WITHIN
    for entry in WalletEntry.objects.filter(kind=EntryKind.TOP_UP, at__gt=since, at__lte=at):
        yield Notice(
            customer_id=entry.wallet_id,
            kind=NoticeKind.TOP_UP,
            key=f"top-up {entry.pk}",
            amount=entry.amount,
            created_at=at,
        )
    for entry in WalletEntry.objects.filter(kind=EntryKind.REVERSAL, at__gt=since, at__lte=at):
        yield Notice(
            customer_id=entry.wallet_id,
            kind=NoticeKind.REVERSAL,
            key=f"reversal {entry.pk}",
            amount=-entry.amount,
            created_at=at,
        )
    granted = Voucher.objects.filter(redeemed_at=F("created_at"), created_at__gt=since, created_at__lte=at)
    for voucher in granted.filter(customer__isnull=False).select_related("customer"):
        yield Notice(
            customer=voucher.customer,
            kind=NoticeKind.VOUCHER,
            key=f"voucher {voucher.pk}",
            amount=voucher.face_value,
            ends_at=voucher.valid_until,
            created_at=at,
        )
    refunded = Package.objects.filter(refunded_at__gt=since, refunded_at__lte=at)
    for package in refunded.select_related("order"):
        yield Notice(
            customer_id=package.order.customer_id,
            kind=NoticeKind.REFUND,
            key=f"refund {package.pk}",
            order=package.order,
            amount=package.order.amount,
            created_at=at,
        )
