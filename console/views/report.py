"""报表 of one App (manual 3.2): keys, what is left, charts, tables by API and code, the latest calls, CSV."""

from collections.abc import Iterator
from datetime import datetime

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App
from billing import forecast, packages
from billing.models import Api
from console import usage
from console.downloads import csv_file
from console.ranges import DEFAULT, RANGES, RangeForm
from console.shell import CustomerRequest, customer, newest_key, own_app
from console.templatetags.show import unit
from console.words import explained
from faceapi.operator_reports import Span, Usage
from faceapi.operator_reports import usage as usage_of
from faceapi.reports import latest_calls

SHOWN_RANGES = [(key, RANGES[key]) for key in ("today", "7d", "30d")]
LATEST = 10


class ReportForm(RangeForm):
    """What of the usage is asked for; what is wrong or missing is told of, or left out."""

    api = forms.ChoiceField(choices=Api.choices, required=False)
    request_id = forms.CharField(required=False, max_length=64)


class Asked:
    """The range, step and API that a page of the report is about."""

    def __init__(self, request: CustomerRequest, at: datetime) -> None:
        form = ReportForm(request.GET)
        form.is_valid()
        chosen = form.cleaned_data
        self.errors = form.non_field_errors()
        self.range = DEFAULT if self.errors else chosen.get("range") or DEFAULT
        self.api = chosen.get("api", "")
        self.request_id = chosen.get("request_id", "")
        self.days = form.days(timezone.localdate(at))

    def usage(self, app: App) -> Usage:
        days = self.days
        return usage_of(Span(days.since, days.until, days.step, api=self.api, app=app.pk))


@require_GET
@customer
def report(request: CustomerRequest, app_id: str) -> HttpResponse:
    app, at = own_app(request, app_id), timezone.now()
    asked = Asked(request, at)
    made = asked.usage(app)
    lines = packages.summary([app], at)
    forecasts = forecast.of([app], at)
    meters = {line.specs[0][1] for line in lines if line.specs and (not asked.api or line.api == asked.api)}
    context = {
        "app": app,
        "asked": asked,
        "ranges": SHOWN_RANGES,
        "apis": Api.choices,
        "usage": made,
        "by_api": sorted(made.by_api.items(), key=lambda item: Api.values.index(item[0])),
        "calls_chart": usage.calls_of(made, asked.days.step, _("调用次数")),
        "units_chart": usage.units_of(made, asked.days.step, unit(meters.pop()) if len(meters) == 1 else ""),
        "latency_chart": usage.latency_of(made, asked.days.step),
        "codes": [(code, explained(code), sums) for code, sums in made.by_code.items()],
        "calls": [
            (call, explained(call.code))
            for call in latest_calls(app, LATEST, api=asked.api, request_id=asked.request_id)
        ],
        "lines": [
            (line, forecasts.get((app.pk, line.api)))
            for line in lines
            if not asked.api or line.api == asked.api
        ],
        "key": newest_key(app, at),
        "nav": "apps",
        "tab": "report",
    }
    return render(request, "console/report.html", context)


@require_GET
@customer
def export(request: CustomerRequest, app_id: str) -> HttpResponse:
    """The series of the page as CSV."""
    app = own_app(request, app_id)
    asked = Asked(request, timezone.now())
    days, made = asked.days, asked.usage(app)
    name = f"{app.app_id}-{days.first:%Y%m%d}-{days.last:%Y%m%d}"
    return csv_file(name, series_rows(made, "%Y-%m-%d" if days.step == "day" else "%Y-%m-%d %H:%M"))


def series_rows(made: Usage, time_format: str) -> Iterator[list[object]]:
    names = (_("时间（UTC+8）"), _("调用次数"), _("成功"), _("失败"), _("图片数"), _("计费量"))
    yield [*names, "p50 (ms)", "p95 (ms)"]
    for start, sums in made.by_step.items():
        times = ["" if one is None else round(one) for one in (sums.p50_ms, sums.p95_ms)]
        time = start.strftime(time_format)
        yield [time, sums.calls, sums.ok, sums.failed, sums.images, sums.units, *times]
