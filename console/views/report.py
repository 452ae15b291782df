"""报表 of one App (manual 3.2): keys, remaining units, charts, tables by API and code, latest calls, CSV."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from billing import forecast, packages
from billing.models import Api
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.error_messages import explained
from console.ownership import newest_key, own_app, own_apps
from console.reports import usage
from console.reports.date_ranges import DEFAULT, RANGES, RangeForm
from console.reports.downloads import csv_file
from console.templatetags.show import unit
from faceapi.usage.operator_reports import Figures, Usage, UsageFilter, by_app
from faceapi.usage.operator_reports import usage as usage_of
from faceapi.usage.reports import latest_calls

SHOWN_RANGES = [(key, RANGES[key]) for key in ("today", "7d", "30d")]
LATEST = 10


class ReportForm(RangeForm):
    """The filter of the report; invalid fields are reported or ignored."""

    api = forms.ChoiceField(choices=Api.choices, required=False)


class Selection:
    """The range, step and API of a report."""

    def __init__(self, request: CustomerRequest, at: datetime) -> None:
        form = ReportForm(request.GET)
        form.is_valid()
        chosen = form.cleaned_data
        self.errors = form.non_field_errors()
        self.range = DEFAULT if self.errors else chosen.get("range") or DEFAULT
        self.api = chosen.get("api", "")
        self.days = form.days(timezone.localdate(at))

    def span(self, *, app: int | None = None, customer: int | None = None) -> UsageFilter:
        """Return the filter for the calls of the App or customer of the page."""
        days = self.days
        return UsageFilter(days.since, days.until, days.step, api=self.api, app=app, customer=customer)

    def shown(self, made: Usage, before: Figures, at: datetime, calls_page: str) -> dict[str, Any]:
        """Return what the reports of an App and of an account share; `calls_page` is their call log."""
        meter_of = usage.meters()
        meters = usage.shown_meters([self.api] if self.api else made.by_api or meter_of, meter_of)
        narrowed = f"{calls_page}?{urlencode({'api': self.api})}" if self.api else calls_page
        time_line = usage.TimeLine(made, self.days.step, at, narrowed)
        return {
            "asked": self,
            "ranges": SHOWN_RANGES,
            "apis": Api.choices,
            "usage": made,
            "before": before,
            "is_running": at < self.days.until,
            "units": charged(made.total, meters, meter_of),
            "units_before": charged(before, meters, meter_of),
            "by_api": [
                (api, made.by_api[api], charged(made.by_api[api], [meter_of[api]], meter_of)[0])
                for api in Api.values
                if api in made.by_api
            ],
            "calls_chart": time_line.calls(_("调用次数")),
            "units_chart": time_line.units(meters, meter_of),
            "codes": [(code, explained(code), sums) for code, sums in made.by_code.items()],
            "calls_page": calls_page,
            "span": usage.span_query(self.days.since, self.days.until),
            "time_line": time_line,
        }


@gzip_page
@require_GET
@customer
def report(request: CustomerRequest, app_id: str) -> HttpResponse:
    app, at = own_app(request, app_id), now()
    asked = Selection(request, at)
    span = asked.span(app=app.pk)
    lines = packages.summary([app], at)
    forecasts = forecast.of([app], at)
    shown = asked.shown(usage_of(span), usage.before(span, at), at, reverse("app_calls", args=[app.app_id]))
    context = shown | {
        "app": app,
        "csv": reverse("app_report_csv", args=[app.app_id]),
        "latency_chart": shown["time_line"].latency(),
        "calls": [(call, explained(call.code)) for call in latest_calls(app, LATEST, api=asked.api)],
        "lines": [
            (line, forecasts.get((app.pk, line.api)))
            for line in lines
            if not asked.api or line.api == asked.api
        ],
        "key": newest_key(app, at),
        "nav": "apps",
        "tab": "report",
    }
    return render(request, "console/report/report.html", context)


@gzip_page
@require_GET
@customer
def of_account(request: CustomerRequest) -> HttpResponse:
    """Show the usage of all Apps together, and of each."""
    at = now()
    asked = Selection(request, at)
    span = asked.span(customer=request.user.pk)
    meter_of = usage.meters()
    apps = {app.pk: app for app in own_apps(request)}
    context = asked.shown(
        usage_of(span, with_latencies=False), usage.before(span, at), at, reverse("calls")
    ) | {
        "csv": reverse("usage_csv"),
        "by_app": [
            (apps[pk], sums, charged(sums, usage.shown_meters(sums.units_by_api, meter_of), meter_of))
            for pk, sums in by_app(span).items()
        ],
        "nav": "usage",
    }
    return render(request, "console/report/usage.html", context)


@require_GET
@customer
def export_account(request: CustomerRequest) -> HttpResponse:
    """Send the series of the account's page as CSV."""
    at = now()
    asked = Selection(request, at)
    return series_file("usage", asked, usage_of(asked.span(customer=request.user.pk)), at)


@require_GET
@customer
def export(request: CustomerRequest, app_id: str) -> HttpResponse:
    """Send the series of the page as CSV."""
    app, at = own_app(request, app_id), now()
    asked = Selection(request, at)
    return series_file(app.app_id, asked, usage_of(asked.span(app=app.pk)), at)


def series_file(name: str, asked: Selection, made: Usage, at: datetime) -> HttpResponse:
    """Return the steps that have begun as CSV."""
    days = asked.days
    time_format = "%Y-%m-%d" if days.step == "day" else "%Y-%m-%d %H:%M"
    rows = series_rows(made.begun(at), time_format)
    return csv_file(f"{name}-{days.first:%Y%m%d}-{days.last:%Y%m%d}", rows)


def series_rows(figures: dict[datetime, Figures], time_format: str) -> Iterator[list[object]]:
    """Yield the heading and a row for each step, with one column of units for each meter of the catalogue."""
    meter_of = usage.meters()
    meters = usage.shown_meters(meter_of, meter_of)
    names = [_("时间（UTC+8）"), _("调用次数"), _("成功"), _("失败"), _("图片数")]
    yield [*names, *map(usage.units_label, meters), "p50 (ms)", "p95 (ms)"]
    for start, sums in figures.items():
        times = ["" if one is None else round(one) for one in (sums.p50_ms, sums.p95_ms)]
        units = usage.units_by_meter(sums, meter_of)
        counts = [sums.calls, sums.ok, sums.failed, sums.images]
        yield [start.strftime(time_format), *counts, *(units[meter] for meter in meters), *times]


def charged(figures: Figures, meters: list[str], meter_of: dict[str, str]) -> list[tuple[int, str]]:
    """Return the units charged and their unit, for each of the meters."""
    units = usage.units_by_meter(figures, meter_of)
    return [(units[meter], unit(meter)) for meter in meters]
