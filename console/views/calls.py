"""调用记录: the calls of one App or of the account, page by page, and one call with its remedies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App
from billing.models import Api
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.error_messages import explained
from console.ownership import own_app, own_apps
from console.reports.date_ranges import CUSTOM, NO_EARLIER, NO_LATER, local_midnight
from console.reports.downloads import csv_file
from faceapi import errors
from faceapi.models import Call
from faceapi.usage import call_log
from faceapi.usage.call_log import Cursor, Filter

PAGE_ROWS = 50
CSV_ROWS = 50_000
MAX_DAYS = 92
HOUR = "1h"
# Key: its label, and the number of days up to today; 0 is the last hour.
RANGES = {
    HOUR: (gettext_lazy("近 1 小时"), 0),
    "today": (gettext_lazy("今天"), 1),
    "7d": (gettext_lazy("近 7 天"), 7),
    "30d": (gettext_lazy("近 30 天"), 30),
}
DEFAULT = "7d"
MINUTE_FORMAT = "%Y-%m-%dT%H:%M"


class MinuteField(forms.DateTimeField):
    """A local time to the minute, in the format of the browser's control."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTE_FORMAT)
        limits = [
            MinValueValidator(local_midnight(NO_EARLIER)),
            MaxValueValidator(local_midnight(NO_LATER)),
        ]
        super().__init__(widget=widget, input_formats=[MINUTE_FORMAT], validators=limits, **kwargs)


def code_choices() -> list[tuple[str, object]]:
    """Return the choices: all, succeeded, failed, then each code, in the reader's language."""
    english = get_language() == "en"
    each = [
        (str(row.number), f"{row.number} {row.en if english else row.zh}")
        for row in errors.TABLE.values()
        if not row.reserved
    ]
    return [
        ("", _("全部返回码")),
        (str(errors.OK), f"0 {_('成功')}"),
        (call_log.FAILED, _("全部失败")),
        *each,
    ]


def slow_choices() -> list[tuple[str, object]]:
    return [
        ("", _("全部耗时")),
        *((str(ms), _("不少于 %(s)s 秒") % {"s": ms // 1000}) for ms in call_log.SLOWEST_MS),
    ]


class CallsForm(forms.Form):
    """The filter of the list. Invalid fields fall back to the default; an invalid range is reported."""

    range = forms.ChoiceField(
        choices=[*((key, label) for key, (label, _days) in RANGES.items()), (CUSTOM, gettext_lazy("自定义"))],
        required=False,
    )
    since = MinuteField(label=gettext_lazy("开始时间"), required=False)
    until = MinuteField(label=gettext_lazy("结束时间"), required=False)
    api = forms.ChoiceField(choices=Api.choices, required=False)
    code = forms.ChoiceField(choices=code_choices, required=False)
    slow = forms.ChoiceField(choices=slow_choices, required=False)
    request_id = forms.CharField(required=False, max_length=64)
    after = forms.CharField(required=False, max_length=100)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("range") != CUSTOM:
            return cleaned
        since, until = cleaned.get("since"), cleaned.get("until")
        if self.has_error("since") or self.has_error("until"):
            raise forms.ValidationError(
                _("时间无效：请填写 %(first)s 年至 %(last)s 年之间的日期和时间。")
                % {"first": NO_EARLIER.year, "last": NO_LATER.year}
            )
        if not (since and until):
            raise forms.ValidationError(_("请填写开始时间和结束时间。"))
        if since >= until:
            raise forms.ValidationError(_("开始时间须早于结束时间。"))
        if until - since > timedelta(days=MAX_DAYS):
            raise forms.ValidationError(_("最长可查询 %(days)s 天，请缩短范围。") % {"days": MAX_DAYS})
        return cleaned


@dataclass(frozen=True)
class Selection:
    """The calls that a page shows."""

    range: str
    wanted: Filter
    request_id: str
    after: Cursor | None
    errors: list[str]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.wanted.api or self.wanted.code or self.wanted.slow_ms)


def selection_of(request: CustomerRequest, at: datetime) -> Selection:
    form = CallsForm(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    wrong = [str(error) for error in form.non_field_errors()]
    key = DEFAULT if wrong else chosen.get("range") or DEFAULT
    if key == CUSTOM:
        since, until = chosen["since"], chosen["until"]
    else:
        since, until = recent(key, at)
    wanted = Filter(since, until, chosen.get("api", ""), chosen.get("code", ""), int(chosen.get("slow") or 0))
    return Selection(key, wanted, chosen.get("request_id", ""), Cursor.parse(chosen.get("after", "")), wrong)


def recent(key: str, at: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of one of RANGES, each a full minute."""
    end = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    days = RANGES[key][1]
    if not days:
        return end - timedelta(hours=1), end
    return local_midnight(timezone.localdate(at) - timedelta(days=days - 1)), end


@require_GET
@customer
def of_account(request: CustomerRequest) -> HttpResponse:
    """Show the calls of all Apps, or of the one named by `app`."""
    apps = list(own_apps(request))
    chosen = request.GET.get("app", "")
    if chosen:
        own_app(request, chosen)
    shown = [app for app in apps if app.app_id == chosen] if chosen else apps
    context = {"apps": apps, "chosen": chosen, "nav": "calls"}
    return page(request, shown, "console/calls/calls.html", context)


@require_GET
@customer
def of_app(request: CustomerRequest, app_id: str) -> HttpResponse:
    app = own_app(request, app_id)
    return page(request, [app], "console/calls/app_calls.html", {"app": app, "nav": "apps", "tab": "calls"})


def page(request: CustomerRequest, apps: list[App], template: str, more: dict[str, Any]) -> HttpResponse:
    asked = selection_of(request, now())
    if asked.request_id and (call := call_log.one(apps, asked.request_id)):
        return redirect("call", call.pk)
    calls = call_log.find(apps, asked.wanted, PAGE_ROWS + 1, asked.after)
    last = calls[PAGE_ROWS - 1] if len(calls) > PAGE_ROWS else None
    context = {
        "asked": asked,
        "ranges": [(key, label) for key, (label, _days) in RANGES.items()],
        "since": local_minute(asked.wanted.since),
        "until": local_minute(asked.wanted.until),
        "apis": Api.choices,
        "codes": code_choices(),
        "slow": slow_choices(),
        "calls": [(call, explained(call.code)) for call in calls[:PAGE_ROWS]],
        "older": str(Cursor.of(last)) if last else "",
        "csv_rows": CSV_ROWS,
        **more,
    }
    return render(request, template, context)


def local_minute(moment: datetime) -> str:
    """Format a time for the browser's control."""
    return timezone.localtime(moment).strftime(MINUTE_FORMAT)


@require_GET
@customer
def export(request: CustomerRequest) -> HttpResponse:
    """Return the filtered calls as CSV, at most CSV_ROWS."""
    chosen = request.GET.get("app", "")
    apps = [own_app(request, chosen)] if chosen else list(own_apps(request))
    wanted = selection_of(request, now()).wanted
    first, last = (timezone.localtime(one) for one in (wanted.since, wanted.until))
    name = f"{chosen or 'calls'}-{first:%Y%m%d%H%M}-{last:%Y%m%d%H%M}"
    return csv_file(name, rows(apps, wanted))


def rows(apps: list[App], wanted: Filter) -> Iterator[list[object]]:
    yield [
        *(_("时间（UTC+8）"), _("请求 ID"), _("应用 ID"), _("API 类型"), _("返回码"), _("含义")),
        *(_("HTTP 状态码"), _("图片数"), _("计费量"), _("耗时 (ms)"), _("排队 (ms)"), _("推理 (ms)")),
        *(_("请求体字节数"), _("来源地址")),
    ]
    meanings: dict[int, str] = {}
    for call in call_log.each(apps, wanted, CSV_ROWS):
        meaning = meanings.setdefault(call.code, explained(call.code)["message"])
        at = timezone.localtime(call.at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        yield [
            *(at, str(call.pk), call.app.app_id, call.api, call.code, meaning, call.http_status),
            *(call.images, call.units, call.latency_ms, call.queue_ms, call.infer_ms, call.body_bytes),
            call.address or "",
        ]


@require_GET
@customer
def detail(request: CustomerRequest, call_id: UUID) -> HttpResponse:
    """Show one call: its figures, the meaning of its code, and links to remedies."""
    call = call_log.one(list(own_apps(request)), str(call_id))
    if call is None:
        raise Http404
    context = {"call": call, "text": explained(call.code), "acts": remedies(call), "nav": "calls"}
    return render(request, "console/calls/call.html", context)


def remedies(call: Call) -> list[tuple[str, str]]:
    """Return the pages on which the customer can fix the error: address and label of each."""
    app, api = call.app.app_id, call.api
    order = (f"{reverse('order_new')}?{urlencode({'app': app, 'api': api})}", _("再次购买"))
    report = (f"{reverse('app_report', args=[app])}?{urlencode({'api': api})}", _("查看剩余调用量"))
    key_page = (reverse("app_keys", args=[app]), _("查看密钥"))
    signing = (reverse("docs_page", args=["signing"]), _("接口鉴权"))
    detail_page = (reverse("app", args=[app]), _("修改来源地址和查看上限"))
    match call.code:
        case errors.NOT_ORDERED | errors.USED_UP | errors.EXPIRED:
            found = [order, report]
        case errors.RATE | errors.ADDRESS:
            found = [detail_page]
        case errors.NO_AUTHORIZATION | errors.UNKNOWN_KEY | errors.BAD_SIGNATURE:
            found = [key_page, signing]
        case errors.BAD_DATE | errors.REPLAY:
            found = [signing]
        case code if 4000 <= code < 4100:
            found = [
                (reverse("docs_page", args=[api]), _("接口说明")),
                (f"{reverse('debug')}?{urlencode({'app': app, 'api': api})}", _("在线调试")),
            ]
        case _:
            found = []
    if call.code != errors.OK:
        found.append((f"{reverse('docs_page', args=['errors'])}#code-{call.code}", _("错误代码")))
    return found
