"""Orders, money and packages of all customers, for operators: read functions of a few queries each."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Count, Exists, F, Max, OuterRef, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncDay
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


@dataclass(slots=True)
class Sales:
    """What came in from some orders within a span, and what went back, in yuan."""

    orders: int = 0
    cash: Decimal = ZERO
    voucher: Decimal = ZERO
    refunded_cash: Decimal = ZERO

    @property
    def revenue(self) -> Decimal:
        return self.cash - self.refunded_cash


def sales_by(key: Literal["customer", "sku__api"], since: datetime, until: datetime) -> dict[Any, Sales]:
    """The orders paid and the refunds made in [since, until) by customer (pk) or API, most revenue first."""
    found: dict[Any, Sales] = defaultdict(Sales)
    paid = Order.objects.filter(state=OrderState.PAID, paid_at__gte=since, paid_at__lt=until).order_by()
    for of, *sums in paid.values_list(key).annotate(Count("pk"), Sum("cash_paid"), Sum("voucher_paid")):
        found[of] = Sales(*sums)
    refunds = WalletEntry.objects.filter(kind=EntryKind.REFUND, at__gte=since, at__lt=until).order_by()
    for of, back in refunds.values_list(f"order__{key}").annotate(Sum("amount")):
        found[of].refunded_cash = back
    return dict(sorted(found.items(), key=lambda row: (-row[1].revenue, -row[1].orders, row[0])))


@dataclass(frozen=True, slots=True)
class Ending:
    """A Package that ends soon. `is_followed`: another one of its App and API ends later."""

    package: Package
    is_followed: bool


def ending(at: datetime, within: timedelta, limit: int | None = None) -> list[Ending]:
    """The Packages that end within that time, soonest first; at most `limit`."""
    soon = _ending(at, within).select_related("app__customer", "order").order_by("ends_at", "pk")
    packages = list(soon[:limit])
    followed = set(_ending(at, within).filter(_is_followed()).values_list("pk", flat=True))
    return [Ending(package, package.pk in followed) for package in packages]


@dataclass(frozen=True, slots=True)
class EndingDay:
    """How many Packages end on a local day, and how many of them another one follows."""

    packages: int = 0
    followed: int = 0


def ending_by_day(at: datetime, within: timedelta) -> dict[date, EndingDay]:
    """Each local day from that of `at` to that of its end."""
    grouped = _ending(at, within).order_by().annotate(day=TruncDate("ends_at")).values("day")
    rows = grouped.annotate(packages=Count("pk"), followed=Count("pk", filter=_is_followed()))
    found = {row["day"]: EndingDay(row["packages"], row["followed"]) for row in rows}
    first = timezone.localdate(at)
    days = [first + timedelta(days=number) for number in range(within.days + 1)]
    return {day: found.get(day, EndingDay()) for day in days}


def _ending(at: datetime, within: timedelta) -> "QuerySet[Package]":
    return Package.objects.filter(refunded_at=None, ends_at__gt=at, ends_at__lte=at + within)


def _is_followed() -> Exists:
    return Exists(
        Package.objects.filter(
            app=OuterRef("app"), api=OuterRef("api"), refunded_at=None, ends_at__gt=OuterRef("ends_at")
        )
    )


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
