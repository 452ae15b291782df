"""Usage figures and charts of the pages, from faceapi.usage.operator_reports."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing.models import Meter, Sku
from console.reports.charts import Chart, Series
from faceapi.usage.operator_reports import Figures, Step, Usage, UsageFilter, counts, usage


def span_query(since: datetime, until: datetime) -> str:
    """Return the query of the call log for [since, until)."""
    first, last = (timezone.localtime(one).strftime("%Y-%m-%dT%H:%M") for one in (since, until))
    return urlencode({"range": "custom", "since": first, "until": last})


def midnight(at: datetime) -> datetime:
    """Return the local midnight that began the day of `at`."""
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def week_of(customer: User, at: datetime) -> tuple[Figures, Chart]:
    """Return today's figures of all the customer's Apps, and a chart of the calls of seven days."""
    today = midnight(at)
    week = usage(UsageFilter(today - timedelta(days=6), today + timedelta(days=1), customer=customer.pk))
    return week.by_step[today], TimeLine(week, "day", at).calls(_("近 7 天调用次数"))


def before(span: UsageFilter, at: datetime) -> Figures:
    """Return the counts of the period of the same length just before `span`.

    If `span` has not ended at `at`, the earlier period ends with the last full hour before that time of it.
    """
    length = span.until - span.since
    until = span.until
    if at < until:
        until = timezone.localtime(at).replace(minute=0, second=0, microsecond=0)
    return counts(replace(span, since=span.since - length, until=until - length))


def meters() -> dict[str, str]:
    """Return the meter of each API in the catalogue: {"face_detect": "images", …}."""
    return dict(Sku.objects.order_by("pk").values_list("api", "meter"))


def units_by_meter(figures: Figures, meter_of: dict[str, str]) -> Counter[str]:
    """Return the charged units by meter, because images and calls must not be added up."""
    units: Counter[str] = Counter()
    for api, charged in figures.units_by_api.items():
        units[meter_of[api]] += charged
    return units


def shown_meters(apis: Iterable[str], meter_of: dict[str, str]) -> list[str]:
    """Return the meters of these APIs, in the order of the catalogue's meters."""
    used = {meter_of[api] for api in apis if api in meter_of}
    return [meter for meter in Meter.values if meter in used]


def units_label(meter: str) -> str:
    """Return the heading of a column or the name of a series: 计费量（张）."""
    return _("计费量（%(unit)s）") % {"unit": Meter(meter).label}


@dataclass(frozen=True)
class TimeLine:
    """The charts of usage over time. Steps after `at` are on the axis but have no value."""

    made: Usage
    step: Step
    at: datetime
    calls_page: str = ""  # the address of the call log, to which each point leads; "" for no links

    @property
    def width(self) -> timedelta:
        """Return the duration of a step."""
        return timedelta(days=1) if self.step == "day" else timedelta(hours=1)

    @cached_property
    def begun(self) -> dict[datetime, Figures]:
        """Return the figures of the steps that have begun, oldest first."""
        return self.made.begun(self.at)

    @cached_property
    def labels(self) -> list[str]:
        """Return the labels of the time axis: days or hours."""
        form = "%m-%d" if self.step == "day" else "%m-%d %H:%M"
        return [start.strftime(form) for start in self.made.by_step]

    @cached_property
    def links(self) -> list[str]:
        """Return links to the calls of each step that has begun."""
        if not self.calls_page:
            return []
        base = f"{self.calls_page}{'&' if '?' in self.calls_page else '?'}"
        return [base + span_query(start, start + self.width) for start in self.begun]

    @property
    def figures(self) -> list[Figures]:
        """Return the figures of the steps that have begun, oldest first."""
        return list(self.begun.values())

    @property
    def as_of(self) -> datetime | None:
        """Return `at` if one of the steps is in progress; None if all have ended."""
        last = max(self.begun, default=None)
        return self.at if last is not None and self.at < last + self.width else None

    def chart(self, id: str, title: str, series: list[Series], unit: str = "", **looks: Any) -> Chart:
        """Return a chart over the steps of this usage."""
        return Chart(
            id,
            title,
            self.labels,
            series,
            unit,
            as_of=self.as_of,
            links=self.links,
            **looks,
        )

    def calls(self, title: str, **looks: Any) -> Chart:
        """Return the chart of successful and failed calls."""
        series = [
            Series(_("成功"), [figures.ok for figures in self.figures], 1),
            Series(_("失败"), [figures.failed for figures in self.figures], 2),
        ]
        return self.chart("chart-calls", title, series, _("次"), **looks)

    def units(self, shown: list[str], meter_of: dict[str, str]) -> Chart:
        """Return the chart of charged units, with a series for each of the meters `shown`."""
        by_meter = [units_by_meter(figures, meter_of) for figures in self.figures]
        series = [
            Series(units_label(meter), [units[meter] for units in by_meter], 3 + at)
            for at, meter in enumerate(shown)
        ]
        unit = str(Meter(shown[0]).label) if len(shown) == 1 else ""
        return self.chart("chart-units", _("计费量"), series, unit)

    def latency(self) -> Chart:
        """Return the chart of the latency percentiles p50 and p95 of successful calls."""

        def of(share: Callable[[Figures], float | None]) -> list[int | None]:
            times = [share(figures) for figures in self.figures]
            return [None if time is None else round(time) for time in times]

        series = [
            Series("p50", of(lambda figures: figures.p50_ms), 4),
            Series("p95", of(lambda figures: figures.p95_ms), 5, dashed=True),
        ]
        return self.chart("chart-latency", _("处理耗时"), series, "ms")
