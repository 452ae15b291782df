"""/ops/calls/: the calls of all customers or of one, page by page, and as CSV."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, Region, User
from billing.models import Api
from common.postgresql.clock import now
from console.error_messages import explained
from console.views.calls import CSV_ROWS, DEFAULT, PAGE_ROWS, RANGES, CallsForm, local_minute, recent
from faceapi.models import Call
from faceapi.usage import call_log, service_calls
from faceapi.usage.call_log import Cursor, Filter
from operations import customers
from operations.access import OperatorRequest, operator
from operations.reports.personal_files import personal_file
from operations.reports.report_filter import code_choices
from operations.reports.tables import Column, Link, Table, at_desk, desk

KEY = "calls"


class ServiceCallsForm(CallsForm):
    """The filter of the list, with a customer or an App, and a region."""

    who = forms.CharField(required=False, max_length=150)
    region = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.regions = list(Region.objects.all())
        choices = [(str(one.pk), str(one)) for one in self.regions]
        cast(forms.ChoiceField, self.fields["region"]).choices = choices

    def clean_who(self) -> App | User | None:
        text = self.cleaned_data["who"].strip()
        try:
            found = customers.app_or_customer(text) if text else None
        except customers.Ambiguous as several:
            names = _("、").join(user.username for user in several.found)
            raise forms.ValidationError(_("有多位客户符合：%(names)s。") % {"names": names}) from several
        if text and found is None:
            raise forms.ValidationError(_("没有找到该客户或应用。"))
        return found


@dataclass(frozen=True)
class Selection:
    """The calls that a page shows. `who` is None for all customers."""

    range: str
    wanted: Filter
    who: App | User | None
    region: int | None
    after: Cursor | None
    errors: list[str]

    @property
    def apps(self) -> list[App] | None:
        """Return the Apps of the customer; None for all."""
        if self.who is None:
            return None
        found = App.objects.select_related("customer")
        found = found.filter(pk=self.who.pk) if isinstance(self.who, App) else found.filter(customer=self.who)
        return list(found.filter(region=self.region) if self.region is not None else found)

    def page(self, limit: int) -> list[Call]:
        apps = self.apps
        if apps is not None:
            return call_log.find(apps, self.wanted, limit, self.after)
        after = self.after.id if self.after else None
        return service_calls.find(self.wanted, limit, after, region=self.region)

    def each(self) -> Iterable[Call]:
        """Yield the calls for the file, at most CSV_ROWS."""
        apps = self.apps
        if apps is not None:
            return call_log.each(apps, self.wanted, CSV_ROWS)
        return service_calls.each(self.wanted, CSV_ROWS, region=self.region)


def selection_of(request: OperatorRequest, at: datetime) -> tuple[ServiceCallsForm, Selection]:
    """Return the form and the selection; an invalid field falls back to its default and is reported."""
    form = ServiceCallsForm(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    wrong = [str(error) for error in [*form.non_field_errors(), *form.errors.get("who", [])]]
    key = DEFAULT if form.non_field_errors() else chosen.get("range") or DEFAULT
    since, until = recent(key, at) if key in RANGES else (chosen["since"], chosen["until"])
    wanted = Filter(since, until, chosen.get("api", ""), chosen.get("code", ""))
    region = int(chosen["region"]) if chosen.get("region") else None
    after = Cursor.parse(chosen.get("after", ""))
    return form, Selection(key, wanted, chosen.get("who"), region, after, wrong)


def table(calls: Iterable[Call]) -> Table:
    """Return the calls as a table, with links to the desk for each call, App and customer."""
    columns = [
        Column(_("时间"), "moment"),
        Column(_("请求 ID"), "id"),
        Column(_("客户"), "name"),
        Column(_("应用名称"), "name"),
        Column(_("API 类型"), "term"),
        Column(_("返回码")),
        Column(_("含义")),
        Column(_("图片数"), "count"),
        Column(_("计费量"), "count"),
        Column(_("耗时 (ms)"), "count"),
    ]
    meanings: dict[int, str] = {}
    rows = [
        [
            call.at,
            Link(str(call.pk), desk(str(call.pk)), "ops_desk"),
            at_desk(call.app.customer.username),
            Link(call.app.name, desk(call.app.app_id), "ops_desk"),
            call.get_api_display(),
            call.code,
            meanings.setdefault(call.code, explained(call.code)["message"]),
            call.images,
            call.units,
            call.latency_ms,
        ]
        for call in calls
    ]
    return Table(KEY, _("调用记录"), columns, rows, empty=_("这段时间没有符合条件的调用。"))


@require_GET
@operator("ops_records")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the selected calls, newest first."""
    form, asked = selection_of(request, now())
    text = request.GET.get("request_id", "").strip()
    if text and _is_uuid(text):
        return redirect(desk(text))
    found = [] if form.errors.get("who") else asked.page(PAGE_ROWS + 1)
    last = found[PAGE_ROWS - 1] if len(found) > PAGE_ROWS else None
    context = {
        "asked": asked,
        "who": request.GET.get("who", ""),
        "ranges": [(key, label) for key, (label, _days) in RANGES.items()],
        "since": local_minute(asked.wanted.since),
        "until": local_minute(asked.wanted.until),
        "apis": Api.choices,
        "regions": [(one.pk, str(one)) for one in form.regions],
        "codes": [*code_choices()[:2], (call_log.FAILED, _("全部失败")), *code_choices()[2:]],
        "table": table(found[:PAGE_ROWS]),
        "older": str(Cursor.of(last)) if last else "",
        "csv_rows": CSV_ROWS,
        "csv": f"{reverse('ops_calls_csv')}?{urlencode(request.GET.dict())}",
        "nav": "calls",
    }
    return render(request, "operations/reports/calls.html", context, status=400 if asked.errors else 200)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@require_GET
@operator("ops_records")
def export(request: OperatorRequest) -> HttpResponse:
    """Send the selected calls as CSV, at most CSV_ROWS."""
    form, asked = selection_of(request, now())
    return personal_file(
        request, request.user, KEY, table([] if form.errors.get("who") else asked.each()).plain
    )
