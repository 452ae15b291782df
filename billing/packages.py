"""资源包: Packages and their Periods, written at payment or extended later; what is left of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Max, Q, Sum

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
    """Write a Period for each window, numbered from `first`, each granting the Package's units a month."""
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


@dataclass
class Summary:
    """One row of the console (manual 3.2): an App's API with what is left of it."""

    app: App
    api: str
    expires_at: datetime  # 到期时间: the last end of the App's Packages for this API
    remaining: int = 0  # 剩余调用量: units left in the live Periods
    granted: int = 0  # units of the live Periods
    specs: list[tuple[str, str, int]] = field(default_factory=list)  # tier, meter, quantity

    @property
    def used(self) -> int:
        """Units used in the live Periods."""
        return self.granted - self.remaining

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
        (app, api): Summary(by_pk[app], api, last_end)
        for app, api, last_end in packages.values_list("app", "api").annotate(last=Max("ends_at"))
    }
    live = Period.objects.filter(of_apps, quota.live(at), package__refunded_at=None)
    for app, api, granted, used in live.values_list("app", "api").annotate(g=Sum("granted"), u=Sum("used")):
        if row := rows.get((app, api)):  # or it was paid for between these queries
            row.granted, row.remaining = granted, granted - used
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
    return [rows[key] for key in sorted(rows, key=lambda key: (position[key[0]], apis[key[1]]))]
