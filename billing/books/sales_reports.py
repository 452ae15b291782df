"""Orders, money and packages of all customers, for operators; each function makes a few queries."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeVar

from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Sum
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import EntryKind, Order, OrderState, Package, Period, Sku, WalletEntry

ZERO = Decimal("0.00")
Key = TypeVar("Key", int, str)


@dataclass(slots=True)
class Day:
    """One local day: counts, and amounts in yuan. `cash` and `voucher` were paid for orders.

    `topped_up` is net of reversals of that day.
    """

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
        """Cash paid less cash refunded; vouchers are not revenue."""
        return self.cash - self.refunded_cash


# Each day is a range scan of an index: nothing is grouped, no timestamp is converted to a local day.
_DAYS = """
SELECT new_apps, created, paid, cash, voucher, refunded_cash, refunded_voucher, topped_up + reversed
  FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS day (start, until)
 CROSS JOIN LATERAL (
       SELECT count(*) FROM accounts_app WHERE created_at >= start AND created_at < until) a (new_apps)
 CROSS JOIN LATERAL (
       SELECT count(*) FROM billing_order WHERE created_at >= start AND created_at < until) c (created)
 CROSS JOIN LATERAL (
       SELECT count(*), coalesce(sum(cash_paid), 0.00), coalesce(sum(voucher_paid), 0.00)
         FROM billing_order
        WHERE state = 'paid' AND paid_at >= start AND paid_at < until) p (paid, cash, voucher)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0.00),
              coalesce(sum(amount) FILTER (WHERE kind = 'top_up'), 0.00)
         FROM billing_walletentry
        WHERE kind IN ('top_up', 'refund') AND at >= start AND at < until
       ) w (refunded_cash, topped_up)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount), 0.00) FROM billing_walletentry
        WHERE kind = 'reversal' AND at >= start AND at < until) r (reversed)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount), 0.00) FROM billing_voucherentry
        WHERE amount > 0 AND at >= start AND at < until) v (refunded_voucher)
 ORDER BY start
"""


def days(since: datetime, until: datetime) -> list[Day]:
    """Return each local day of [since, until), both local midnights, oldest first."""
    edges = [timezone.localtime(since)]
    while edges[-1] < until:
        edges.append(edges[-1] + timedelta(days=1))
    starts = edges[:-1]
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [starts, edges[1:]])
        return [Day(start, *row) for start, row in zip(starts, cursor.fetchall(), strict=True)]


def between(since: datetime, until: datetime) -> Day:
    """Return the sums of [since, until), which need not be whole days."""
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [[since], [until]])
        return Day(since, *cursor.fetchone())


@dataclass(slots=True)
class Sales:
    """Payments and refunds of some orders within a time range, in yuan."""

    orders: int = 0
    cash: Decimal = ZERO
    voucher: Decimal = ZERO
    refunded_cash: Decimal = ZERO

    @property
    def revenue(self) -> Decimal:
        return self.cash - self.refunded_cash

    def __add__(self, other: "Sales") -> "Sales":
        return Sales(
            self.orders + other.orders,
            self.cash + other.cash,
            self.voucher + other.voucher,
            self.refunded_cash + other.refunded_cash,
        )


def sales_by_customer(since: datetime, until: datetime) -> dict[int, Sales]:
    """Return orders paid and refunds made in [since, until) by customer (pk), highest revenue first."""
    return _ranked(_sales_by("customer", since, until))


def sales_by_api(since: datetime, until: datetime) -> dict[str, Sales]:
    """Return orders paid and refunds made in [since, until) by API, highest revenue first."""
    api_of = dict(Sku.objects.values_list("pk", "api"))
    found: dict[str, Sales] = defaultdict(Sales)
    for sku, one in _sales_by("sku", since, until).items():
        found[api_of[sku]] += one
    return _ranked(found)


def _sales_by(key: Literal["customer", "sku"], since: datetime, until: datetime) -> dict[int, Sales]:
    """Return sales by customer or Sku (pk); the query of orders reads only the index `order_paid`."""
    found: dict[int, Sales] = defaultdict(Sales)
    paid = Order.objects.filter(state=OrderState.PAID, paid_at__gte=since, paid_at__lt=until).order_by()
    sums = {"orders": Count("*"), "cash": Sum("cash_paid"), "voucher": Sum("voucher_paid")}
    for of, *figures in paid.values_list(key).annotate(**sums):
        found[of] = Sales(*figures)
    refunds = WalletEntry.objects.filter(kind=EntryKind.REFUND, at__gte=since, at__lt=until).order_by()
    for of, back in refunds.values_list(f"order__{key}").annotate(Sum("amount")):
        found[of].refunded_cash = back
    return found


def _ranked(found: dict[Key, Sales]) -> dict[Key, Sales]:
    return dict(sorted(found.items(), key=lambda row: (-row[1].revenue, -row[1].orders, row[0])))


@dataclass(frozen=True, slots=True)
class Ending:
    """A Package that ends soon. `is_followed`: another one of its App and API ends later."""

    package: Package
    is_followed: bool


def ending(at: datetime, within: timedelta, limit: int | None = None) -> list[Ending]:
    """Return the Packages that end within that time, soonest first; at most `limit`."""
    soon = Package.objects.filter(refunded_at=None, ends_at__gt=at, ends_at__lte=at + within)
    soon = soon.order_by("ends_at", "pk")
    # Thousands may end at the same midnight, so only the rows that are shown are joined.
    shown = Package.objects.filter(pk__in=soon.values("pk")[:limit]).order_by("ends_at", "pk")
    found = shown.select_related("app__customer", "order").annotate(is_followed=_is_followed())
    return [Ending(package, package.is_followed) for package in found]


def _is_followed() -> Exists:
    return Exists(
        Package.objects.filter(
            app=OuterRef("app"), api=OuterRef("api"), refunded_at=None, ends_at__gt=OuterRef("ends_at")
        )
    )


@dataclass(frozen=True, slots=True)
class EndingDay:
    """The number of Packages that end on a local day, and of those that another one follows."""

    packages: int = 0
    followed: int = 0


# A window function finds the last end of each App and API: a subquery per Package takes twice as long.
_ENDS = """
SELECT ends_at, count(*), count(*) FILTER (WHERE ends_at < last)
  FROM (SELECT ends_at, max(ends_at) OVER (PARTITION BY app_id, api) AS last
          FROM billing_package WHERE refunded_at IS NULL AND ends_at > %(at)s) live
 WHERE ends_at <= %(until)s
 GROUP BY ends_at
"""


def ending_by_day(at: datetime, within: timedelta) -> dict[date, EndingDay]:
    """Count the Packages that end on each local day, from that of `at` to that of `at + within`."""
    first = timezone.localdate(at)
    days = {first + timedelta(days=number): EndingDay() for number in range(within.days + 1)}
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, {"at": at, "until": at + within})
        for ends_at, packages, followed in cursor.fetchall():
            day = timezone.localdate(ends_at)
            so_far = days[day]
            days[day] = EndingDay(so_far.packages + packages, so_far.followed + followed)
    return days


@dataclass(frozen=True, slots=True)
class NearLimit:
    """An App's usage of an API in its live Periods, in units."""

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
    """Return the Apps that have used at least `share` of an API's live units, highest share first."""
    live = Period.objects.filter(quota.live(at), granted__gt=0).order_by()
    # An App above the share in total is above it in at least one Period, so few Apps must be summed.
    full = set(live.filter(used__gte=F("granted") * share).values_list("app_id", flat=True))
    rows = list(
        live.filter(app__in=full)
        .values("app", "api")
        .annotate(granted=Sum("granted"), used=Sum("used"), until=Max("ends_at"))
        .filter(used__gte=F("granted") * share)
    )
    apps = App.objects.select_related("customer").in_bulk([row["app"] for row in rows])
    found = [
        NearLimit(apps[row["app"]], row["api"], row["granted"], row["used"], row["until"]) for row in rows
    ]
    return sorted(found, key=lambda row: (-row.share, row.ends_at, row.app.pk))
