"""/ops/usage/: the usage of all customers as charts, tables and CSV."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, Region, User
from billing.models import Api
from common.postgresql.clock import now
from console.error_messages import explained
from console.reports import usage
from console.reports.charts import Chart, Series
from console.reports.usage import TimeLine
from console.templatetags.show import count, percent, unit
from faceapi.errors import OK
from faceapi.usage import operator_reports
from faceapi.usage.call_log import FAILED
from faceapi.usage.operator_reports import Figures, Usage, UsageFilter
from operations.access import OperatorRequest, operator
from operations.monitoring import health, incident_marks
from operations.monitoring.findings import findings
from operations.reports import comparisons, narrowing, report_filter
from operations.reports.comparisons import Comparison, Stat
from operations.reports.narrowing import Narrowing
from operations.reports.tables import Cell, Column, Link, Table, desk, download, ranks

Key = TypeVar("Key")
TOP = 10  # rows on the page; the CSV has all of them


def rounded(values: Iterable[float | None]) -> list[int | float | None]:
    """Round milliseconds for a chart."""
    return [None if value is None else round(value, 1) if value < 10 else round(value) for value in values]


def charts(of: "Report") -> list[Chart]:
    """Return the charts: calls, units, latency, and the parts of the latency. Each day links to its hours."""
    line = TimeLine(of.made, of.span.step, of.at)
    figures = line.figures
    meter_of = usage.meters()
    found = [
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
    marks = incident_marks.marks(of.span.starts(), line.width, of.at)
    links = [of.links.day(start) for start in of.made.begun(of.at)] if of.span.step == "day" else []
    return [replace(chart, links=links, marks=marks) for chart in found]


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
        """Return the units charged and their unit, for each meter."""
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


@dataclass(frozen=True)
class Report:
    """The shared data of the tables of a page: usage, usage of the previous period, and links."""

    span: UsageFilter
    made: Usage
    earlier: Usage
    links: Narrowing
    counts: "Counts"
    at: datetime

    def change(self, one: Figures, before: Figures | None) -> Comparison:
        """Compare the calls of one row with those of the previous period."""
        return comparisons.change(one.calls, before.calls if before else 0, more_is_better=None)


def _changed() -> Column:
    return Column(_("较上期"), "change")


def by_step(of: Report) -> Table:
    is_daily = of.span.step == "day"
    head = Column(_("日期") if is_daily else _("小时"), "day" if is_daily else "when")
    rows = [
        [
            Link(start, of.links.day(start)) if is_daily else _calls_of_hour(of, start),
            *of.counts.cells(one),
            *_times(one),
        ]
        for start, one in of.made.begun(of.at).items()
    ]
    return Table("usage-by-time", _("按时间"), [head, *of.counts.columns(), *_time_columns()], rows)


def _calls_of_hour(of: Report, start: datetime) -> Link:
    return Link(start, of.links.calls_of(start, timedelta(hours=1)), "ops_records")


def _ranked(key: str, calls: Iterable[tuple[str, Figures]], links: Sequence[str]) -> Chart:
    return ranks(key, _("调用次数"), [(name, one.calls) for name, one in calls], _("次"), links=links)


def by_api(of: Report) -> Table:
    key = "usage-by-api"
    found = _most_called(of.made.by_api)
    columns = [Column(_("API 类型"), "term"), *of.counts.columns(), _changed(), *_time_columns()]
    rows = [
        [
            Link(Api(api).label, of.links.address(api=api)), *of.counts.cells(one),
            of.change(one, of.earlier.by_api.get(api)), *_times(one),
        ]
        for api, one in found
    ]  # fmt: skip
    bars = [(str(Api(api).label), one) for api, one in found]
    return Table(
        key,
        _("按 API"),
        columns,
        rows,
        chart=_ranked(key, bars, [of.links.address(api=api) for api, _one in found]),
    )


def by_region(of: Report) -> Table:
    key = "usage-by-region"
    names = {region.pk: str(region) for region in Region.objects.all()}
    found = _most_called(of.made.by_region)
    columns = [
        Column(_("地域")), *of.counts.columns(), _changed(),
        Column(_("排队 ms"), "ms"), Column(_("推理 ms"), "ms"),
    ]  # fmt: skip
    rows = [
        [
            Link(names[region], of.links.address(region=region)), *of.counts.cells(one),
            of.change(one, of.earlier.by_region.get(region)), one.queue_ms, one.infer_ms,
        ]
        for region, one in found
    ]  # fmt: skip
    links = [of.links.address(region=region) for region, _one in found]
    chart = _ranked(key, [(names[region], one) for region, one in found], links)
    return Table(key, _("按地域"), columns, rows, chart=chart)


def by_code(of: Report) -> Table:
    """Return the table of calls by code. The chart omits code 0, which would dwarf the others."""
    key = "usage-by-code"
    found = _most_called(of.made.by_code)
    columns = [
        Column(_("返回码")),
        Column(_("含义")),
        Column(_("调用次数"), "count"),
        Column(_("占比"), "share"),
        _changed(),
        Column(_("明细"), "term"),
    ]
    rows = [
        [
            Link(code, of.links.address(code=code)), explained(code)["message"], one.calls,
            one.calls / of.made.total.calls, of.change(one, of.earlier.by_code.get(code)),
            Link(_("查看调用"), of.links.calls(code=code), "ops_records"),
        ]
        for code, one in found
    ]  # fmt: skip
    failed = [(code, one) for code, one in found if code != OK]
    bars, links = (
        [(str(code), one.calls) for code, one in failed],
        [of.links.address(code=code) for code, _one in failed],
    )
    chart = ranks(key, _("失败"), bars, _("次"), colour=2, links=links) if failed else None
    return Table(key, _("按返回码"), columns, rows, chart=chart)


def top_customers(
    of: Report, of_app: dict[int, Figures], earlier: dict[int, Figures], top: int | None
) -> Table:
    key = "top-customers"
    before = operator_reports.by_customer(earlier)
    figures = list(operator_reports.by_customer(of_app).items())[:top]
    people = User.objects.in_bulk([pk for pk, _one in figures])
    found = [(people[pk], one) for pk, one in figures]
    columns = [Column(_("客户"), "name"), Column(_("公司"), "name"), *of.counts.columns(), _changed()]
    rows = [
        [
            Link(user.username, of.links.address(who=user.username)),
            Link(user.company, desk(user.username), "ops_desk") if user.company else "",
            *of.counts.cells(one),
            of.change(one, before.get(user.pk)),
        ]
        for user, one in found
    ]
    links = [of.links.address(who=user.username) for user, _one in found]
    chart = _ranked(key, [(user.username, one) for user, one in found], links)
    return Table(key, _("调用最多的客户"), columns, rows, chart=chart)


def top_apps(of: Report, of_app: dict[int, Figures], earlier: dict[int, Figures], top: int | None) -> Table:
    key = "top-apps"
    figures = list(of_app.items())[:top]
    apps = App.objects.select_related("customer", "region").in_bulk([pk for pk, _one in figures])
    found = [(apps[pk], one) for pk, one in figures]
    columns = [
        Column(_("应用 ID")),
        Column(_("应用名称"), "name"),
        Column(_("客户"), "name"),
        Column(_("地域")),
        *of.counts.columns(),
        _changed(),
    ]
    rows = [
        [
            Link(app.app_id, of.links.address(who=app.app_id)),
            Link(app.name, desk(app.app_id), "ops_desk"),
            Link(app.customer.username, of.links.address(who=app.customer.username)),
            Link(str(app.region), of.links.address(region=app.region_id)),
            *of.counts.cells(one),
            of.change(one, earlier.get(app.pk)),
        ]
        for app, one in found
    ]
    links = [of.links.address(who=app.app_id) for app, _one in found]
    chart = _ranked(key, [(app.app_id, one) for app, one in found], links)
    return Table(key, _("调用最多的应用"), columns, rows, chart=chart)


def _most_called(groups: dict[Key, Figures]) -> list[tuple[Key, Figures]]:
    return sorted(groups.items(), key=lambda group: -group[1].calls)


def tables(of: Report, top: int | None) -> list[Table]:
    """Return the tables of the page, the one by time first."""
    of_app, earlier = operator_reports.by_app(of.span), operator_reports.by_app(_earlier(of.span, of.at))
    return [
        by_step(of),
        by_api(of),
        by_region(of),
        by_code(of),
        top_customers(of, of_app, earlier, top),
        top_apps(of, of_app, earlier, top),
    ]


def _earlier(span: UsageFilter, at: datetime) -> UsageFilter:
    """Return the filter of the previous period."""
    period = comparisons.before(span, at)
    return replace(span, since=period.since, until=period.until)


def report(request: OperatorRequest, span: UsageFilter, at: datetime) -> Report:
    """Read the data of the page."""
    return Report(
        span,
        operator_reports.usage(span),
        operator_reports.totals(_earlier(span, at)),
        narrowing.of(request, span, reverse("ops_usage")),
        Counts(),
        at,
    )


def stats(of: Report) -> list[Stat]:
    """Return the figures above the charts, each compared with the previous period."""
    now, before = of.made.total, of.earlier.total
    units = zip(of.counts.charged(now), of.counts.charged(before), strict=True)
    latency = "–" if now.p50_ms is None else f"{now.p50_ms:,.0f} / {now.p95_ms:,.0f} / {now.p99_ms:,.0f}"
    mean = "–" if now.queue_ms is None else f"{now.queue_ms:,.1f} / {now.infer_ms:,.1f}"
    return [
        Stat(
            _("调用次数"), [(count(now.calls), _("次"))], comparisons.change(now.calls, before.calls),
            of.links.calls(),
        ),
        Stat(
            _("成功率"), [(percent(now.success_rate, 2), "")],
            comparisons.points(now.success_rate, before.success_rate), of.links.calls(code=FAILED),
        ),
        Stat(_("图片数"), [(count(now.images), _("张"))], comparisons.change(now.images, before.images)),
        *(
            Stat(_("计费量"), [(count(number), unit)], comparisons.change(number, earlier))
            for (number, unit), (earlier, _unit) in units
        ),
        Stat(
            _("处理耗时 p50 / p95 / p99"), [(latency, "ms")],
            comparisons.change(now.p95_ms, before.p95_ms, more_is_better=False, label="p95"),
        ),
        Stat(
            _("平均排队 / 推理"), [(mean, "ms")],
            comparisons.change(now.infer_ms, before.infer_ms, more_is_better=False, label=_("推理")),
        ),
    ]  # fmt: skip


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = now()
    form, span = report_filter.from_request(request, at)
    context = {"form": form, "span": span, "nav": "usage"}
    if span is None:
        return render(request, "operations/reports/usage.html", context, status=400)
    of = report(request, span, at)
    by_time, *others = tables(of, TOP)
    return render(
        request,
        "operations/reports/usage.html",
        {
            **context,
            "findings": findings(health.measure(at)),
            "usage": of.made,
            "stats": stats(of),
            "before": comparisons.before(span, at),
            "calls_href": of.links.calls(),
            "charts": (drawn := charts(of)),
            "marks": drawn[0].marks,
            "by_time": by_time,
            "tables": others,
        },
    )


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """Return one complete table of the page as CSV."""
    at = now()
    _form, span = report_filter.from_request(request, at)
    if span is None:
        raise Http404
    return download(tables(report(request, span, at), None), key)
