"""资源包: write Packages and their Periods, and sum up the remaining units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum

from accounts.models import App
from billing import quota
from billing.models import Api, Order, Package, Period
from billing.models.catalogue import spec_text
from billing.periods import windows


def write(order: Order, app: App, at: datetime) -> Package:
    """Write the Package of an order paid at `at`, with all its Periods."""
    months = windows(at, order.months)
    package = Package.objects.create(
        order=order,
        app=app,
        api=order.sku.api,
        units_per_period=order.units_per_month * order.quantity,
        starts_at=months[0][0],
        ends_at=months[-1][1],
    )
    write_periods(package, months)
    return package


def write_periods(package: Package, months: Sequence[tuple[datetime, datetime]], first: int = 0) -> None:
    """Write a Period for each window, numbered from `first`; each grants the Package's monthly units."""
    Period.objects.bulk_create(
        Period(
            package=package,
            app_id=package.app_id,
            api=package.api,
            meter=package.order.meter,
            number=number,
            starts_at=start,
            ends_at=end,
            granted=package.units_per_period,
        )
        for number, (start, end) in enumerate(months, start=first)
    )


class QuotaState(StrEnum):
    """The state of an App's quota for an API, most urgent first."""

    EXPIRED = "expired"  # every Package has ended
    USED_UP = "used_up"  # no units are left in this month
    LOW = "low"  # less than LOW_PERCENT of this month's units are left
    ENDING = "ending"  # the last Package ends within ENDING_WITHIN
    RESTORED = "restored"  # a Period began within RESTORED_FOR, and the one before was used up
    GOOD = "good"


LOW_PERCENT = 20
ENDING_WITHIN = timedelta(days=7)
RESTORED_FOR = timedelta(days=3)


@dataclass
class Summary:
    """One row of the console (manual 3.2): an App's API and its quota at the moment `at`."""

    app: App
    api: str
    expires_at: datetime  # 到期时间: the last end of the App's Packages for this API
    at: datetime
    remaining: int = 0  # 剩余调用量: units left in the live Periods
    granted: int = 0  # units of the live Periods
    renews_at: datetime | None = None  # the next start of a Period, if there is one
    restored_at: datetime | None = None  # the start of a live Period whose predecessor was used up
    specs: list[tuple[str, str, int]] = field(default_factory=list)  # tier, meter, quantity

    @property
    def used(self) -> int:
        """Units used in the live Periods."""
        return self.granted - self.remaining

    @property
    def state(self) -> QuotaState:
        """Return the most urgent state that applies."""
        if self.expires_at <= self.at:
            return QuotaState.EXPIRED
        if self.remaining <= 0:
            return QuotaState.USED_UP
        if self.remaining * 100 < self.granted * LOW_PERCENT:
            return QuotaState.LOW
        if self.expires_at <= self.at + ENDING_WITHIN:
            return QuotaState.ENDING
        if self.restored_at and self.restored_at > self.at - RESTORED_FOR:
            return QuotaState.RESTORED
        return QuotaState.GOOD

    @property
    def api_label(self) -> str:
        """The API's name in the reader's language."""
        return str(Api(self.api).label)

    @property
    def spec(self) -> str:
        """规格: 千张/月 × 2 + 万张/月 × 1; empty when everything has ended."""
        return " + ".join(f"{spec_text(tier, meter)} × {quantity}" for tier, meter, quantity in self.specs)


def summary(apps: Iterable[App], at: datetime) -> list[Summary]:
    """Return a row for each App and API with a Package, in the order of `apps`. Always three queries."""
    by_pk = {app.pk: app for app in apps}
    of_apps = Q(app__in=by_pk.keys())
    packages = Package.objects.filter(of_apps, refunded_at=None)
    rows = {
        (app, api): Summary(by_pk[app], api, last_end, at)
        for app, api, last_end in packages.values_list("app", "api").annotate(last=Max("ends_at"))
    }
    for app, api, granted, used, renews_at, restored_at in _months(of_apps, at):
        if row := rows.get((app, api)):  # missing if it was paid between these queries
            row.granted, row.remaining = granted or 0, (granted or 0) - (used or 0)
            row.renews_at, row.restored_at = renews_at, restored_at
    specs = (
        packages.filter(starts_at__lte=at, ends_at__gt=at)
        .values_list("app", "api", "order__sku__tier", "order__meter")
        .annotate(quantity=Sum("order__quantity"), units=Max("order__units_per_month"))
        .order_by("units", "order__meter")
    )
    for app, api, tier, meter, quantity, _units in specs:
        if row := rows.get((app, api)):
            row.specs.append((tier, meter, quantity))
    position = {pk: index for index, pk in enumerate(by_pk)}
    apis = {api: index for index, api in enumerate(Api.values)}
    return [
        rows[key] for key in sorted(rows, key=lambda key: (position[key[0]], apis.get(key[1], len(apis))))
    ]


def _months(of_apps: Q, at: datetime) -> "QuerySet[Period, tuple[Any, ...]]":
    """Return by App and API the granted and used units of live Periods, next start and last restoration."""
    before = Period.objects.filter(
        package=OuterRef("package"), number=OuterRef("number") - 1, used__gte=F("granted"), granted__gt=0
    )
    live = quota.live(at)
    restored = live & Q(starts_at__gt=at - RESTORED_FOR, number__gt=0) & Q(Exists(before))
    periods = Period.objects.filter(of_apps, ends_at__gt=at, package__refunded_at=None)
    return periods.values_list("app", "api").annotate(
        granted_now=Sum("granted", filter=live),
        used_now=Sum("used", filter=live),
        renews_at=Min("starts_at", filter=Q(starts_at__gt=at, granted__gt=0)),
        restored_at=Max("starts_at", filter=restored),
    )
