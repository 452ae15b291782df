"""/ops/usage/: the usage of all customers as charts, tables and CSV."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, Region, User
from billing.models import Api
from common.postgresql.clock import now
from console.context import region_label
from console.error_messages import explained
from console.reports import usage
from console.reports.charts import Chart, Series
from console.reports.usage import TimeLine
from console.templatetags.show import unit
from faceapi.errors import OK
from faceapi.usage import operator_reports
from faceapi.usage.operator_reports import Figures, Step, Usage, UsageFilter
from operations.access import OperatorRequest, operator
from operations.monitoring import health
from operations.monitoring.findings import findings
from operations.reports import report_filter
from operations.reports.tables import Cell, Column, Table, at_desk, download, ranks

Key = TypeVar("Key")
TOP = 10  # on the page; the CSV has them all


def rounded(values: Iterable[float | None]) -> list[int | float | None]:
    """Milliseconds as a chart shows them."""
    return [None if value is None else round(value, 1) if value < 10 else round(value) for value in values]


def charts(made: Usage, step: Step, at: datetime) -> list[Chart]:
    """Return the charts: calls, units, latency, and the parts of the latency."""
    line = TimeLine(made, step, at)
    figures = line.figures
    meter_of = usage.meters()
    return [
        line.calls(_("调用次数"), kind="bar", stacked=True),
        line.units(usage.shown_meters(meter_of, meter_of), meter_of),
        line.chart(
            "chart-latency",
            _("处理耗时"),
            [
                Series("p50", rounded(one.p50_ms for one in figures), 1),
                Series("p95", rounded(one.p95_ms for one in figures), 4),
                Series("p99", rounded(one.p99_ms for one in figures), 2),
            ],
            "ms",
        ),
        line.chart(
            "chart-parts",
            _("平均排队与推理耗时"),
            [
                Series(_("排队"), rounded(one.queue_ms for one in figures), 5),
                Series(_("推理"), rounded(one.infer_ms for one in figures), 3),
            ],
            "ms",
        ),
    ]


class Counts:
    """The columns of counts and their cells, with one column of units for each meter of the catalogue."""

    def __init__(self) -> None:
        self._meter_of = usage.meters()
        self._meters = usage.shown_meters(self._meter_of, self._meter_of)

    def columns(self) -> list[Column]:
        return [
            Column(_("调用次数"), "count"),
            Column(_("失败"), "count"),
            Column(_("成功率"), "share"),
            Column(_("图片数"), "count"),
            *(Column(usage.units_label(meter), "count") for meter in self._meters),
        ]

    def cells(self, one: Figures) -> list[Cell]:
        units = usage.units_by_meter(one, self._meter_of)
        charged = [units[meter] for meter in self._meters]
        return [one.calls, one.failed, one.success_rate, one.images, *charged]

    def charged(self, one: Figures) -> list[tuple[int, str]]:
        """Units charged and their unit, for each meter."""
        units = usage.units_by_meter(one, self._meter_of)
        return [(units[meter], unit(meter)) for meter in self._meters]


def _time_columns() -> list[Column]:
    return [
        Column("p50 ms", "ms"),
        Column("p95 ms", "ms"),
        Column("p99 ms", "ms"),
        Column(_("排队 ms"), "ms"),
        Column(_("推理 ms"), "ms"),
    ]


def _times(one: Figures) -> list[Cell]:
    return [one.p50_ms, one.p95_ms, one.p99_ms, one.queue_ms, one.infer_ms]


def by_step(made: Usage, span: UsageFilter, counts: Counts, at: datetime) -> Table:
    head = Column(_("日期") if span.step == "day" else _("小时"), "day" if span.step == "day" else "when")
    rows = [[start, *counts.cells(one), *_times(one)] for start, one in made.begun(at).items()]
    return Table("usage-by-time", _("按时间"), [head, *counts.columns(), *_time_columns()], rows)


def _ranked(key: str, calls: Iterable[tuple[str, Figures]]) -> Chart:
    return ranks(key, _("调用次数"), [(name, one.calls) for name, one in calls], _("次"))


def by_api(made: Usage, counts: Counts) -> Table:
    key = "usage-by-api"
    found = [(str(Api(api).label), one) for api, one in _most_called(made.by_api)]
    columns = [Column(_("API 类型"), "term"), *counts.columns(), *_time_columns()]
    rows = [[label, *counts.cells(one), *_times(one)] for label, one in found]
    return Table(key, _("按 API"), columns, rows, chart=_ranked(key, found))


def by_region(made: Usage, counts: Counts) -> Table:
    key = "usage-by-region"
    names = {region.pk: region_label(region) for region in Region.objects.all()}
    found = [(names[region], one) for region, one in _most_called(made.by_region)]
    columns = [Column(_("地域")), *counts.columns(), Column(_("排队 ms"), "ms"), Column(_("推理 ms"), "ms")]
    rows = [[name, *counts.cells(one), one.queue_ms, one.infer_ms] for name, one in found]
    return Table(key, _("按地域"), columns, rows, chart=_ranked(key, found))


def by_code(made: Usage) -> Table:
    """Return codes with their calls. The chart leaves out code 0, which would dwarf the others."""
    key = "usage-by-code"
    found = list(_most_called(made.by_code))
    columns = [
        Column(_("返回码")),
        Column(_("含义")),
        Column(_("调用次数"), "count"),
        Column(_("占比"), "share"),
    ]
    rows = [
        [code, explained(code)["message"], one.calls, one.calls / made.total.calls] for code, one in found
    ]
    failed = [(str(code), one.calls) for code, one in found if code != OK]
    chart = ranks(key, _("失败"), failed, _("次"), colour=2) if failed else None
    return Table(key, _("按返回码"), columns, rows, chart=chart)


def top_customers(of_app: dict[int, Figures], top: int | None, counts: Counts) -> Table:
    key = "top-customers"
    figures = list(operator_reports.by_customer(of_app).items())[:top]
    people = User.objects.in_bulk([pk for pk, _one in figures])
    found = [(people[pk], one) for pk, one in figures]
    columns = [Column(_("客户")), Column(_("公司"), "name"), *counts.columns()]
    rows = [[at_desk(user.username), user.company, *counts.cells(one)] for user, one in found]
    chart = _ranked(key, [(user.username, one) for user, one in found])
    return Table(key, _("调用最多的客户"), columns, rows, chart=chart)


def top_apps(of_app: dict[int, Figures], top: int | None, counts: Counts) -> Table:
    key = "top-apps"
    figures = list(of_app.items())[:top]
    apps = App.objects.select_related("customer", "region").in_bulk([pk for pk, _one in figures])
    found = [(apps[pk], one) for pk, one in figures]
    columns = [
        Column(_("应用 ID")),
        Column(_("应用名称"), "name"),
        Column(_("客户")),
        Column(_("地域")),
        *counts.columns(),
    ]
    rows = [
        [at_desk(app.app_id), app.name, app.customer.username, region_label(app.region), *counts.cells(one)]
        for app, one in found
    ]
    chart = _ranked(key, [(app.app_id, one) for app, one in found])
    return Table(key, _("调用最多的应用"), columns, rows, chart=chart)


def _most_called(groups: dict[Key, Figures]) -> list[tuple[Key, Figures]]:
    return sorted(groups.items(), key=lambda group: -group[1].calls)


def tables(span: UsageFilter, made: Usage, top: int | None, at: datetime) -> list[Table]:
    """Every table of the page, the one by time first."""
    of_app = operator_reports.by_app(span)
    counts = Counts()
    return [
        by_step(made, span, counts, at),
        by_api(made, counts),
        by_region(made, counts),
        by_code(made),
        top_customers(of_app, top, counts),
        top_apps(of_app, top, counts),
    ]


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = now()
    form, span = report_filter.from_request(request, at)
    context = {"form": form, "span": span, "nav": "usage"}
    if span is None:
        return render(request, "operations/usage.html", context, status=400)
    made = operator_reports.usage(span)
    by_time, *others = tables(span, made, TOP, at)
    return render(
        request,
        "operations/usage.html",
        {
            **context,
            "findings": findings(health.measure(at)),
            "usage": made,
            "units": Counts().charged(made.total),
            "charts": charts(made, span.step, at),
            "by_time": by_time,
            "tables": others,
        },
    )


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """One table of the page, whole, as CSV."""
    at = now()
    _form, span = report_filter.from_request(request, at)
    if span is None:
        raise Http404
    return download(tables(span, operator_reports.usage(span), None, at), key)
