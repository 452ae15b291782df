"""报表 of one App (manual 3.2): keys, what is left, charts, tables by API and code, the latest calls, CSV."""

import csv
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts import keys as key_rules
from accounts.models import App
from billing import forecast, packages
from billing.models import Api
from console import usage
from console.shell import CustomerRequest, customer, own_app
from faceapi import errors
from faceapi.operator_reports import Span, Step, Usage
from faceapi.operator_reports import usage as usage_of
from faceapi.reports import latest_calls

RANGES = {
    "today": (gettext_lazy("今天"), 1),
    "7d": (gettext_lazy("近 7 天"), 7),
    "30d": (gettext_lazy("近 30 天"), 30),
}
CUSTOM = "custom"
LATEST = 10
MAX_DAYS = 366
MAX_DAYS_BY_HOUR = 7


class RangeForm(forms.Form):
    """What of the usage is asked for; what is wrong or missing becomes the last seven days."""

    range = forms.ChoiceField(choices=[(key, key) for key in [*RANGES, CUSTOM]], required=False)
    since = forms.DateField(required=False)
    until = forms.DateField(required=False)
    step = forms.ChoiceField(choices=[("hour", ""), ("day", "")], required=False)
    api = forms.ChoiceField(choices=Api.choices, required=False)
    request_id = forms.CharField(required=False, max_length=64)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if cleaned.get("range") != CUSTOM:
            return cleaned
        if not (since and until):
            raise forms.ValidationError(_("请填写开始日期和结束日期。"))
        if since > until:
            raise forms.ValidationError(_("开始日期不能晚于结束日期。"))
        if (until - since).days >= MAX_DAYS:
            raise forms.ValidationError(_("最长可查询 %(days)s 天，请缩短范围。") % {"days": MAX_DAYS})
        return cleaned


class Asked:
    """The range, step and API that a page of the report is about."""

    def __init__(self, request: CustomerRequest, at: datetime) -> None:
        form = RangeForm(request.GET)
        form.is_valid()
        chosen = form.cleaned_data
        self.errors = form.non_field_errors()
        self.range = "7d" if self.errors else chosen.get("range") or "7d"
        self.api = chosen.get("api", "")
        self.request_id = chosen.get("request_id", "")
        today = timezone.localdate(at)
        if self.range == CUSTOM:
            self.first, self.last = chosen["since"], chosen["until"]
        else:
            self.first, self.last = today - timedelta(days=RANGES[self.range][1] - 1), today
        self.since = local_midnight(self.first)
        self.until = local_midnight(self.last + timedelta(days=1))
        self.days = (self.last - self.first).days + 1
        by_hour = self.days <= MAX_DAYS_BY_HOUR
        wanted = chosen.get("step") or ("hour" if self.days == 1 else "day")
        self.step: Step = "hour" if wanted == "hour" and by_hour else "day"
        self.by_hour_allowed = by_hour

    def usage(self, app: App) -> Usage:
        return usage_of(Span(self.since, self.until, self.step, api=self.api, app=app.pk))


def local_midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_default_timezone())


@require_GET
@customer
def report(request: CustomerRequest, app_id: str) -> HttpResponse:
    app, at = own_app(request, app_id), timezone.now()
    asked = Asked(request, at)
    made = asked.usage(app)
    lines = packages.summary([app], at)
    forecasts = forecast.of([app], at)
    meters = {line.specs[0][1] for line in lines if line.specs and (not asked.api or line.api == asked.api)}
    unit = dict(zip(("images", "calls", "pairs"), (_("张"), _("次"), _("对")), strict=True))
    context = {
        "app": app,
        "asked": asked,
        "ranges": RANGES.items(),
        "apis": Api.choices,
        "usage": made,
        "by_api": sorted(made.by_api.items(), key=lambda item: Api.values.index(item[0])),
        "calls_chart": usage.calls_of(made, asked.step, _("调用次数")),
        "units_chart": usage.units_of(made, asked.step, unit[meters.pop()] if len(meters) == 1 else ""),
        "latency_chart": usage.latency_of(made, asked.step),
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
        "key": key_rules.live(at).filter(app=app).order_by("-created_at", "-pk").first(),
        "nav": "apps",
        "tab": "report",
    }
    return render(request, "console/report.html", context)


def explained(code: int) -> dict[str, str]:
    """What a code means and what to do, in the reader's language."""
    english = get_language() == "en"
    if code == errors.OK:
        return {"message": errors.SUCCESS[1 if english else 0], "cause": "", "remedy": ""}
    row = errors.TABLE.get(code)
    if row is None:
        return {"message": str(code), "cause": "", "remedy": ""}
    if english:
        return {"message": row.en, "cause": row.cause_en, "remedy": row.remedy_en}
    return {"message": row.zh, "cause": row.cause_zh, "remedy": row.remedy_zh}


@require_GET
@customer
def export(request: CustomerRequest, app_id: str) -> HttpResponse:
    """The series of the page as CSV, with the mark that makes Excel read it as UTF-8."""
    app = own_app(request, app_id)
    asked = Asked(request, timezone.now())
    response = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
    name = f"{app.app_id}-{asked.first:%Y%m%d}-{asked.last:%Y%m%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    rows = csv.writer(response)
    rows.writerow(
        [_("时间"), _("调用次数"), _("成功"), _("失败"), _("图片数"), _("计费量"), "p50 (ms)", "p95 (ms)"]
    )
    form = "%Y-%m-%d" if asked.step == "day" else "%Y-%m-%d %H:%M"
    for start, sums in asked.usage(app).by_step.items():
        times = ["" if one is None else round(one) for one in (sums.p50_ms, sums.p95_ms)]
        rows.writerow(
            [start.strftime(form), sums.calls, sums.ok, sums.failed, sums.images, sums.units, *times]
        )
    return response
