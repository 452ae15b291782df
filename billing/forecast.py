"""Forecast of when the units run out, from the usage of the last 7 days (剩余调用量 in the console).

`sample` records at each local midnight what every live Period has used. The rate is what was used since the
first sample of the last 7 days, or since the App's first Period if that is later. `run_out` is pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min

from accounts.models import App
from billing.models import Period, PeriodSample
from billing.quota import live

WINDOW = timedelta(days=7)
SHORTEST = timedelta(days=1)  # an App younger than this counts as one day old


@dataclass(frozen=True)
class Left:
    """The window of a Period and the units left in it."""

    starts_at: datetime
    ends_at: datetime
    units: int


@dataclass(frozen=True)
class Forecast:
    """Units used per day, and when none are left; None if the Packages end before they are used up."""

    per_day: float
    runs_out_at: datetime | None


def run_out(periods: Sequence[Left], per_day: float, at: datetime) -> datetime | None:
    """Return when the live Periods will have no units left at `per_day` units a day; None if never."""
    left = {number: float(period.units) for number, period in enumerate(periods)}
    bounds = sorted({b for p in periods for b in (p.starts_at, p.ends_at) if b > at})
    now = at
    for bound in bounds:
        alive = sorted(
            (n for n, p in enumerate(periods) if p.starts_at <= now < p.ends_at),
            key=lambda n: (periods[n].ends_at, n),
        )
        stock = sum(left[n] for n in alive)
        need = per_day * ((bound - now) / timedelta(days=1))
        if alive and (stock < need or stock == 0):
            return now + timedelta(days=stock / per_day) if stock else now
        for n in alive:
            part = min(left[n], need)
            left[n] -= part
            need -= part
        now = bound
    return None


def of(apps: Iterable[App], at: datetime) -> dict[tuple[int, str], Forecast]:
    """Return the forecast of each (App's pk, API) that was used in the last 7 days, in three queries."""
    first = PeriodSample.objects.filter(at__gte=at - WINDOW, at__lte=at).aggregate(at=Min("at"))["at"]
    periods = Period.objects.filter(app__in=apps, ends_at__gt=first or at - WINDOW, granted__gt=0)
    before = dict(PeriodSample.objects.filter(at=first, period__in=periods).values_list("period_id", "used"))
    of_api = defaultdict(list)
    fields = ("app_id", "api", "pk", "starts_at", "ends_at", "granted", "used")
    for app, api, *period in periods.order_by("ends_at", "package").values_list(*fields):
        of_api[app, api].append(period)
    forecasts = {}
    for key, group in of_api.items():
        used = sum(used - before.get(pk, 0) for pk, _start, _end, _granted, used in group)
        if used > 0:
            started = min(start for _pk, start, *_rest in group)
            days = max(at - max(first or started, started), SHORTEST) / timedelta(days=1)
            left = [
                Left(start, end, granted - spent) for _pk, start, end, granted, spent in group if end > at
            ]
            forecasts[key] = Forecast(used / days, run_out(left, used / days, at))
    return forecasts


def sample(at: datetime) -> int:
    """Record the usage of each live Period at local midnight `at`, and return the number of samples.

    Periods without usage get no sample. Samples older than 8 days are deleted.
    """
    PeriodSample.objects.filter(at__lt=at - WINDOW - timedelta(days=1)).delete()
    samples = [
        PeriodSample(period_id=period, at=at, used=used)
        for period, used in Period.objects.filter(live(at), used__gt=0).values_list("pk", "used")
    ]
    return len(PeriodSample.objects.bulk_create(samples, ignore_conflicts=True, batch_size=5000))
