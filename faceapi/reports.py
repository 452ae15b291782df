"""What a customer's report shows of some Apps: read from the roll-ups, never by counting calls.

One query groups the range by hour or local day, API and code; every figure of the page is a sum over its rows.
Closed days come from UsageDay, the rest from UsageHour (rollups.py), so a year is as cheap as a week.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import App
from billing.models import Api
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from faceapi import histogram, rollups
from faceapi.errors import OK
from faceapi.models import Call

HOUR, DAY = "hour", "day"


@dataclass
class Sums:
    """Calls, units and latency of anything that was added up. Times in milliseconds."""

    calls: int = 0
    failed: int = 0
    images: int = 0
    units: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * histogram.SLOTS)

    @property
    def succeeded(self) -> int:
        return self.calls - self.failed

    @property
    def success_rate(self) -> float | None:
        """0-1; None without calls."""
        return self.succeeded / self.calls if self.calls else None

    def percentile(self, share: float) -> float | None:
        """The latency in ms that `share` (0-1) of the calls stay below."""
        return histogram.percentile(self.latency, share)

    @property
    def p50_ms(self) -> float | None:
        return self.percentile(0.5)

    @property
    def p95_ms(self) -> float | None:
        return self.percentile(0.95)

    def add(self, code: int, calls: int, images: int, units: int, latency: Sequence[int]) -> None:
        self.calls += calls
        self.failed += calls if code != OK else 0
        self.images += images
        self.units += units
        self.latency = [mine + more for mine, more in zip(self.latency, latency, strict=True)]


@dataclass
class Report:
    """A range [since, until) of some Apps: in sum, by bucket of time, by API and by code."""

    step: str
    starts: list[datetime]
    total: Sums
    by_time: dict[datetime, Sums]
    by_api: dict[str, Sums]
    by_code: dict[int, Sums]

    @property
    def series(self) -> list[tuple[datetime, Sums]]:
        """Every bucket of the range in order, those without a call too."""
        return [(start, self.by_time.get(start) or Sums()) for start in self.starts]


def report(apps: Iterable[App], *, since: datetime, until: datetime, step: str, api: str = "") -> Report:
    """The figures of `apps` (for one API, or all) from `since` up to, not including, `until`."""
    made = Report(step, buckets(since, until, step), Sums(), {}, {}, {})
    for start, of_api, code, *sums in _rows([app.pk for app in apps], since, until, step, api):
        places = (
            made.total,
            made.by_time.setdefault(timezone.localtime(start), Sums()),
            made.by_api.setdefault(of_api, Sums()),
            made.by_code.setdefault(code, Sums()),
        )
        for place in places:
            place.add(code, *sums)
    order = Api.values
    made.by_api = dict(sorted(made.by_api.items(), key=lambda item: order.index(item[0])))
    made.by_code = dict(sorted(made.by_code.items()))
    return made


def buckets(since: datetime, until: datetime, step: str) -> list[datetime]:
    """The starts of the local hours or days that [since, until) touches."""
    start = timezone.localtime(since).replace(minute=0, second=0, microsecond=0)
    if step == DAY:
        start = start.replace(hour=0)
    starts = []
    while start < until:
        starts.append(start)
        start = start + (timedelta(days=1) if step == DAY else timedelta(hours=1))
    return starts


def _rows(
    apps: list[int], since: datetime, until: datetime, step: str, api: str
) -> list[tuple[datetime, str, int, int, int, int, list[int]]]:
    """(bucket, api, code, calls, images, units, latency histogram), summed by the database."""
    closed = rollups.days_closed_until() if step == DAY else None
    closed = min(max(closed or since, since), until)
    zone = timezone.get_default_timezone_name()
    sums = f"sum(calls)::bigint, sum(images)::bigint, sum(units)::bigint, {rollups.summed('latency_histogram')}"
    one_api = "AND api = %(api)s" if api else ""
    query = f"""
        SELECT date_trunc(%(step)s, hour, %(zone)s), api, code, {sums}
          FROM faceapi_usagehour
         WHERE app_id = ANY(%(apps)s) AND hour >= %(closed)s AND hour < %(until)s {one_api} GROUP BY 1, 2, 3"""  # noqa: S608 - our own names
    if closed > since:
        query += f"""
        UNION ALL
        SELECT day, api, code, {sums}
          FROM faceapi_usageday
         WHERE app_id = ANY(%(apps)s) AND day >= %(since)s AND day < %(closed)s {one_api} GROUP BY 1, 2, 3"""  # noqa: S608
    values = {"step": step, "zone": zone, "apps": apps, "api": api, "since": since, "closed": closed, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def latest_calls(app: App, limit: int, *, api: str = "", request_id: str = "") -> "QuerySet[Call]":
    """The newest calls of the App, or the one with that request id; an id that is none finds nothing."""
    calls = Call.objects.filter(app=app).select_related("app_key").order_by("-at")
    if request_id:
        try:
            return calls.filter(pk=UUID(request_id.strip()))
        except ValueError:
            return calls.none()
    return (calls.filter(api=api) if api else calls)[:limit]
