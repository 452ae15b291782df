"""/ops/: the usage of all customers as charts, tables and CSV."""

from collections.abc import Iterable
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import App, Region, User
from billing.models import Api
from console.charts import LineChart, Series
from console.ops import spans
from console.ops.access import OperatorRequest, operator
from console.ops.tables import Cell, Column, Link, Table
from console.shell import region_label
from console.views.report import explained
from faceapi import operator_reports
from faceapi.operator_reports import Figures, Span, Usage

TOP = 10  # on the page; the CSV has them all


def rounded(values: Iterable[float | None]) -> list[int | float | None]:
    """Milliseconds as a chart shows them."""
    return [None if value is None else round(value, 1) if value < 10 else round(value) for value in values]


def charts(made: Usage, step: str) -> list[LineChart]:
    """Calls, units, latency, and where the time goes."""
    labels = [start.strftime("%m-%d" if step == "day" else "%m-%d %H:%M") for start in made.by_step]
    figures = list(made.by_step.values())
    return [
        LineChart(
            "chart-calls",
            _("调用次数"),
            labels,
            [
                Series(_("成功"), [one.ok for one in figures], 1),
                Series(_("失败"), [one.failed for one in figures], 2),
            ],
            _("次"),
            kind="bar",
            stacked=True,
        ),
        LineChart(
            "chart-units",
            _("计费量与图片数"),
            labels,
            [
                Series(_("计费量"), [one.units for one in figures], 3),
                Series(_("图片数"), [one.images for one in figures], 4, dashed=True),
            ],
        ),
        LineChart(
            "chart-latency",
            _("处理耗时"),
            labels,
            [
                Series("p50", rounded(one.p50_ms for one in figures), 1),
                Series("p95", rounded(one.p95_ms for one in figures), 4),
                Series("p99", rounded(one.p99_ms for one in figures), 2),
            ],
            "ms",
        ),
        LineChart(
            "chart-parts",
            _("平均排队与推理耗时"),
            labels,
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


def by_api(made: Usage) -> Table:
    rows = [
        [Api(api).label, *_counts(one), *_times(one)]
        for api, one in sorted(made.by_api.items(), key=lambda row: -row[1].calls)
    ]
    columns = [Column(_("API 类型")), *_count_columns(), *_time_columns()]
    return Table("usage-by-api", _("按 API"), columns, rows)


def by_region(made: Usage) -> Table:
    names = {region.pk: region_label(region) for region in Region.objects.all()}
    columns = [Column(_("地域")), *_count_columns(), Column(_("排队 ms"), "ms"), Column(_("推理 ms"), "ms")]
    rows = [
        [names[region], *_counts(one), one.queue_ms, one.infer_ms]
        for region, one in sorted(made.by_region.items(), key=lambda row: -row[1].calls)
    ]
    return Table("usage-by-region", _("按地域"), columns, rows)


def by_code(made: Usage) -> Table:
    columns = [
        Column(_("返回码")),
        Column(_("含义")),
        Column(_("调用次数"), "count"),
        Column(_("占比"), "share"),
    ]
    rows = [
        [code, explained(code)["message"], one.calls, one.calls / made.total.calls]
        for code, one in sorted(made.by_code.items(), key=lambda row: -row[1].calls)
    ]
    return Table("usage-by-code", _("按返回码"), columns, rows)


def top_customers(of_app: dict[int, Figures], top: int | None) -> Table:
    found = list(operator_reports.by_customer(of_app).items())[:top]
    people = User.objects.in_bulk([pk for pk, _figures in found])
    rows = [
        [Link(people[pk].username, desk(people[pk].username)), people[pk].company, *_counts(one)]
        for pk, one in found
    ]
    columns = [Column(_("客户")), Column(_("公司")), *_count_columns()]
    return Table("top-customers", _("调用最多的客户"), columns, rows)


def top_apps(of_app: dict[int, Figures], top: int | None) -> Table:
    found = list(of_app.items())[:top]
    apps = App.objects.select_related("customer", "region").in_bulk([pk for pk, _figures in found])
    rows: list[list[Cell]] = []
    for pk, one in found:
        app = apps[pk]
        about = [
            Link(app.app_id, desk(app.app_id)),
            app.name,
            app.customer.username,
            region_label(app.region),
        ]
        rows.append([*about, *_counts(one)])
    columns = [
        Column(_("应用 ID")),
        Column(_("应用名称")),
        Column(_("客户")),
        Column(_("地域")),
        *_count_columns(),
    ]
    return Table("top-apps", _("调用最多的应用"), columns, rows)


def desk(text: str) -> str:
    """The customer desk's page about an id."""
    return f"{reverse('ops_desk')}?{urlencode({'q': text})}"


def tables(span: Span, made: Usage, top: int | None) -> dict[str, Table]:
    """Every table of the page by its key."""
    of_app = operator_reports.by_app(span)
    made_tables = [
        by_step(made, span),
        by_api(made),
        by_region(made),
        by_code(made),
        top_customers(of_app, top),
        top_apps(of_app, top),
    ]
    return {table.key: table for table in made_tables}


def bars(table: Table, title: str) -> LineChart:
    """The calls of a list as bars: the name is its first column, the calls stand under their own head."""
    calls = [str(column.label) for column in table.columns].index(_("调用次数"))
    names = [row[0].text if isinstance(row[0], Link) else row[0] for row in table.rows]
    values = [int(str(row[calls])) for row in table.rows]
    return LineChart(
        f"chart-{table.key}", title, [str(name) for name in names], [Series(title, values, 1)], kind="bar"
    )


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = timezone.now()
    form, span = spans.asked(request, at)
    context = {"form": form, "span": span, "nav": "usage"}
    if span is None:
        return render(request, "ops/usage.html", context, status=400)
    made = operator_reports.usage(span)
    shown = tables(span, made, TOP)
    return render(
        request,
        "ops/usage.html",
        {
            **context,
            "usage": made,
            "charts": charts(made, span.step),
            "tables": shown,
            "pairs": [
                (shown["usage-by-api"], bars(shown["usage-by-api"], _("调用次数"))),
                (shown["usage-by-region"], bars(shown["usage-by-region"], _("调用次数"))),
                (shown["usage-by-code"], bars(shown["usage-by-code"], _("调用次数"))),
                (shown["top-customers"], bars(shown["top-customers"], _("调用次数"))),
                (shown["top-apps"], bars(shown["top-apps"], _("调用次数"))),
            ],
        },
    )


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """One table of the page, whole, as CSV."""
    _form, span = spans.asked(request, timezone.now())
    if span is None:
        raise Http404
    table = tables(span, operator_reports.usage(span), None).get(key)
    if table is None:
        raise Http404
    return table.csv()
