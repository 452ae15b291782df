"""/ops/: the usage of all customers as charts, tables and CSV."""

from collections.abc import Iterable
from typing import TypeVar

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, Region, User
from billing.models import Api
from console.charts import Chart, Series
from console.ops import health, spans
from console.ops.access import OperatorRequest, operator
from console.ops.findings import findings
from console.ops.tables import Cell, Column, Table, at_desk, download, ranks
from console.shell import region_label
from console.usage import labels
from console.words import explained
from faceapi import operator_reports
from faceapi.errors import OK
from faceapi.operator_reports import Figures, Span, Usage

Key = TypeVar("Key")
TOP = 10  # on the page; the CSV has them all


def rounded(values: Iterable[float | None]) -> list[int | float | None]:
    """Milliseconds as a chart shows them."""
    return [None if value is None else round(value, 1) if value < 10 else round(value) for value in values]


def charts(made: Usage, step: str) -> list[Chart]:
    """Calls, units, latency, and where the time goes."""
    times = labels(made, step)
    figures = list(made.by_step.values())
    return [
        Chart(
            "chart-calls",
            _("调用次数"),
            times,
            [
                Series(_("成功"), [one.ok for one in figures], 1),
                Series(_("失败"), [one.failed for one in figures], 2),
            ],
            _("次"),
            kind="bar",
            stacked=True,
        ),
        Chart(
            "chart-units",
            _("计费量与图片数"),
            times,
            [
                Series(_("计费量"), [one.units for one in figures], 3),
                Series(_("图片数"), [one.images for one in figures], 4, dashed=True),
            ],
        ),
        Chart(
            "chart-latency",
            _("处理耗时"),
            times,
            [
                Series("p50", rounded(one.p50_ms for one in figures), 1),
                Series("p95", rounded(one.p95_ms for one in figures), 4),
                Series("p99", rounded(one.p99_ms for one in figures), 2),
            ],
            "ms",
        ),
        Chart(
            "chart-parts",
            _("平均排队与推理耗时"),
            times,
            [
                Series(_("排队"), rounded(one.queue_ms for one in figures), 5),
                Series(_("推理"), rounded(one.infer_ms for one in figures), 3),
            ],
            "ms",
        ),
    ]


def _count_columns() -> list[Column]:
    return [
        Column(_("调用次数"), "count"),
        Column(_("失败"), "count"),
        Column(_("成功率"), "share"),
        Column(_("图片数"), "count"),
        Column(_("计费量"), "count"),
    ]


def _counts(one: Figures) -> list[Cell]:
    return [one.calls, one.failed, one.success_rate, one.images, one.units]


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


def by_step(made: Usage, span: Span) -> Table:
    head = Column(_("日期") if span.step == "day" else _("小时"), "day" if span.step == "day" else "when")
    rows = [[start, *_counts(one), *_times(one)] for start, one in made.by_step.items()]
    return Table("usage-by-time", _("按时间"), [head, *_count_columns(), *_time_columns()], rows)


def _ranked(key: str, calls: Iterable[tuple[str, Figures]]) -> Chart:
    return ranks(key, _("调用次数"), [(name, one.calls) for name, one in calls], _("次"))


def by_api(made: Usage) -> Table:
    key = "usage-by-api"
    found = [(str(Api(api).label), one) for api, one in _most_called(made.by_api)]
    columns = [Column(_("API 类型"), "term"), *_count_columns(), *_time_columns()]
    rows = [[label, *_counts(one), *_times(one)] for label, one in found]
    return Table(key, _("按 API"), columns, rows, chart=_ranked(key, found))


def by_region(made: Usage) -> Table:
    key = "usage-by-region"
    names = {region.pk: region_label(region) for region in Region.objects.all()}
    found = [(names[region], one) for region, one in _most_called(made.by_region)]
    columns = [Column(_("地域")), *_count_columns(), Column(_("排队 ms"), "ms"), Column(_("推理 ms"), "ms")]
    rows = [[name, *_counts(one), one.queue_ms, one.infer_ms] for name, one in found]
    return Table(key, _("按地域"), columns, rows, chart=_ranked(key, found))


def by_code(made: Usage) -> Table:
    """The chart leaves out what went well, beside which nothing else would be seen."""
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


def top_customers(of_app: dict[int, Figures], top: int | None) -> Table:
    key = "top-customers"
    figures = list(operator_reports.by_customer(of_app).items())[:top]
    people = User.objects.in_bulk([pk for pk, _one in figures])
    found = [(people[pk], one) for pk, one in figures]
    columns = [Column(_("客户")), Column(_("公司"), "name"), *_count_columns()]
    rows = [[at_desk(user.username), user.company, *_counts(one)] for user, one in found]
    chart = _ranked(key, [(user.username, one) for user, one in found])
    return Table(key, _("调用最多的客户"), columns, rows, chart=chart)


def top_apps(of_app: dict[int, Figures], top: int | None) -> Table:
    key = "top-apps"
    figures = list(of_app.items())[:top]
    apps = App.objects.select_related("customer", "region").in_bulk([pk for pk, _one in figures])
    found = [(apps[pk], one) for pk, one in figures]
    columns = [
        Column(_("应用 ID")),
        Column(_("应用名称"), "name"),
        Column(_("客户")),
        Column(_("地域")),
        *_count_columns(),
    ]
    rows = [
        [at_desk(app.app_id), app.name, app.customer.username, region_label(app.region), *_counts(one)]
        for app, one in found
    ]
    chart = _ranked(key, [(app.app_id, one) for app, one in found])
    return Table(key, _("调用最多的应用"), columns, rows, chart=chart)


def _most_called(groups: dict[Key, Figures]) -> list[tuple[Key, Figures]]:
    return sorted(groups.items(), key=lambda group: -group[1].calls)


def tables(span: Span, made: Usage, top: int | None) -> list[Table]:
    """Every table of the page, the one by time first."""
    of_app = operator_reports.by_app(span)
    return [
        by_step(made, span),
        by_api(made),
        by_region(made),
        by_code(made),
        top_customers(of_app, top),
        top_apps(of_app, top),
    ]


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = timezone.now()
    form, span = spans.asked(request, at)
    context = {"form": form, "span": span, "nav": "usage"}
    if span is None:
        return render(request, "ops/usage.html", context, status=400)
    made = operator_reports.usage(span)
    by_time, *others = tables(span, made, TOP)
    return render(
        request,
        "ops/usage.html",
        {
            **context,
            "findings": findings(health.measure(at)),
            "usage": made,
            "charts": charts(made, span.step),
            "by_time": by_time,
            "tables": others,
        },
    )


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """One table of the page, whole, as CSV."""
    _form, span = spans.asked(request, timezone.now())
    if span is None:
        raise Http404
    return download(tables(span, operator_reports.usage(span), None), key)
