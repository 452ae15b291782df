"""Orders, money and packages of all customers, for operators: read functions of a few queries each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import EntryKind, Order, OrderState, Package, Period, VoucherEntry, WalletEntry

ZERO = Decimal("0.00")


@dataclass(slots=True)
class Day:
    """One local day: counts, and yuan. `cash` and `voucher` were paid, the rest went back or came in."""

    start: datetime
    new_apps: int = 0
    created: int = 0
    paid: int = 0
    cash: Decimal = ZERO
    voucher: Decimal = ZERO
    refunded_cash: Decimal = ZERO
    refunded_voucher: Decimal = ZERO
    topped_up: Decimal = ZERO

    @property
    def revenue(self) -> Decimal:
        """Paid less refunded, cash only: vouchers are not money that came in."""
        return self.cash - self.refunded_cash


def days(since: datetime, until: datetime) -> list[Day]:
    """Each local day of [since, until), both local midnights, oldest first."""
    found: dict[datetime, Day] = {}
    start = timezone.localtime(since)
    while start < until:
        found[start] = Day(start)
        start += timedelta(days=1)
    span = {"gte": since, "lt": until}
    for column, rows, sums in (
        ("created_at", App.objects.all(), {"new_apps": Count("pk")}),
        ("created_at", Order.objects.all(), {"created": Count("pk")}),
        (
            "paid_at",
            Order.objects.filter(state=OrderState.PAID),
            {"paid": Count("pk"), "cash": Sum("cash_paid"), "voucher": Sum("voucher_paid")},
        ),
        (
            "at",
            WalletEntry.objects.filter(kind=EntryKind.REFUND),
            {"refunded_cash": Sum("amount")},
        ),
        ("at", VoucherEntry.objects.filter(amount__gt=0), {"refunded_voucher": Sum("amount")}),
        ("at", WalletEntry.objects.filter(kind=EntryKind.TOP_UP), {"topped_up": Sum("amount")}),
    ):
        for row in _by_day(rows, column, span, sums):
            day = found[row.pop("day")]
            for field, value in row.items():
                setattr(day, field, value or getattr(day, field))
    return list(found.values())


def _by_day(
    rows: "QuerySet[Any]", column: str, span: dict[str, datetime], sums: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    within = rows.filter(**{f"{column}__{edge}": moment for edge, moment in span.items()})
    grouped = within.order_by().annotate(day=TruncDay(column)).values("day").annotate(**sums)
    for row in grouped:
        yield {**row, "day": timezone.localtime(row["day"])}


@dataclass(frozen=True, slots=True)
class Ending:
    """A Package that ends soon. `is_followed`: another one of its App and API ends later."""

    package: Package
    is_followed: bool


def ending(at: datetime, within: timedelta, limit: int | None = None) -> list[Ending]:
    """The Packages that end within that time, soonest first; at most `limit`."""
    later = Package.objects.filter(
        app=OuterRef("app"), api=OuterRef("api"), refunded_at=None, ends_at__gt=OuterRef("ends_at")
    )
    found = (
        Package.objects.filter(refunded_at=None, ends_at__gt=at, ends_at__lte=at + within)
        .annotate(is_followed=Exists(later))
        .select_related("app__customer", "order")
        .order_by("ends_at", "pk")
    )
    return [Ending(package, bool(getattr(package, "is_followed"))) for package in found[:limit]]  # noqa: B009


@dataclass(frozen=True, slots=True)
class NearLimit:
    """What an App has used of an API in its live Periods, in units."""

    app: App
    api: str
    granted: int
    used: int
    ends_at: datetime

    @property
    def share(self) -> float:
        return self.used / self.granted

    @property
    def remaining(self) -> int:
        return self.granted - self.used


def near_limit(at: datetime, share: float = 0.8) -> list[NearLimit]:
    """Apps that have used at least `share` of an API's live units, the fullest first."""
    live = Period.objects.filter(quota.live(at), granted__gt=0).order_by()
    rows = list(
        live.values("app", "api")
        .annotate(granted=Sum("granted"), used=Sum("used"), until=Max("ends_at"))
        .filter(used__gte=F("granted") * share)
    )
    apps = App.objects.select_related("customer").in_bulk([row["app"] for row in rows])
    found = [
        NearLimit(apps[row["app"]], row["api"], row["granted"], row["used"], row["until"]) for row in rows
    ]
    return sorted(found, key=lambda row: (-row.share, row.ends_at, row.app.pk))
