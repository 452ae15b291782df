"""/ops/business/: new Apps, orders and revenue; packages that end soon; Apps near or at their limit."""

from datetime import datetime, timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from billing import operator_reports
from billing.models import Api
from console.charts import LineChart, Series
from console.ops import spans
from console.ops.access import OperatorRequest, operator
from console.ops.tables import Column, Link, Table
from console.ops.usage import desk

ENDING_WITHIN = timedelta(days=30)
NEAR = 0.8
ON_PAGE = 20


def by_day(days: list[operator_reports.Day]) -> Table:
    columns = [
        Column(_("日期"), "day"),
        Column(_("新建应用"), "count"),
        Column(_("新订单"), "count"),
        Column(_("支付订单"), "count"),
        Column(_("现金收入 (元)"), "yuan"),
        Column(_("代金券支付 (元)"), "yuan"),
        Column(_("现金退款 (元)"), "yuan"),
        Column(_("代金券退回 (元)"), "yuan"),
        Column(_("净收入 (元)"), "yuan"),
        Column(_("充值 (元)"), "yuan"),
    ]
    rows = [
        [
            day.start, day.new_apps, day.created, day.paid, day.cash, day.voucher,
            day.refunded_cash, day.refunded_voucher, day.revenue, day.topped_up,
        ]
        for day in days
    ]  # fmt: skip
    return Table(
        "business-by-day",
        _("应用、订单与收入"),
        columns,
        rows,
        note=_("净收入 = 现金收入 − 现金退款；代金券不计入收入。"),
    )


def ending(at: datetime, limit: int | None) -> Table:
    columns = [
        Column(_("到期时间"), "when"),
        Column(_("客户")),
        Column(_("应用 ID")),
        Column(_("应用名称")),
        Column(_("API 类型")),
        Column(_("每月额度"), "count"),
        Column(_("订单编号")),
        Column(_("已续购")),
    ]
    rows = [
        [
            one.package.ends_at,
            Link(one.package.app.customer.username, desk(one.package.app.customer.username)),
            Link(one.package.app.app_id, desk(one.package.app.app_id)),
            one.package.app.name,
            Api(one.package.api).label,
            one.package.units_per_period,
            Link(one.package.order.number, desk(one.package.order.number)),
            _("是") if one.is_followed else _("否"),
        ]
        for one in operator_reports.ending(at, ENDING_WITHIN, limit)
    ]
    empty = _("未来 30 天没有到期的资源包。")
    return Table("packages-ending", _("30 天内到期的资源包"), columns, rows, empty=empty)


def near_limit(at: datetime, limit: int | None) -> Table:
    columns = [
        Column(_("已用比例"), "share"),
        Column(_("客户")),
        Column(_("应用 ID")),
        Column(_("应用名称")),
        Column(_("API 类型")),
        Column(_("已用"), "count"),
        Column(_("额度"), "count"),
        Column(_("剩余"), "count"),
        Column(_("本周期止"), "when"),
    ]
    rows = [
        [
            row.share,
            Link(row.app.customer.username, desk(row.app.customer.username)),
            Link(row.app.app_id, desk(row.app.app_id)),
            row.app.name,
            Api(row.api).label,
            row.used,
            row.granted,
            row.remaining,
            row.ends_at,
        ]
        for row in operator_reports.near_limit(at, NEAR)[:limit]
    ]
    empty = _("没有应用用到 80%。")
    return Table("apps-near-limit", _("接近或达到额度的应用（≥ 80%）"), columns, rows, empty=empty)


def charts(days: list[operator_reports.Day]) -> list[LineChart]:
    labels = [day.start.strftime("%m-%d") for day in days]
    return [
        LineChart(
            "chart-revenue",
            _("收入"),
            labels,
            [
                Series(_("现金"), [float(day.cash) for day in days], 1),
                Series(_("代金券"), [float(day.voucher) for day in days], 3),
                Series(_("退款"), [float(day.refunded_cash) for day in days], 2, dashed=True),
            ],
            _("元"),
        ),
        LineChart(
            "chart-orders",
            _("应用与订单"),
            labels,
            [
                Series(_("新建应用"), [day.new_apps for day in days], 5),
                Series(_("新订单"), [day.created for day in days], 4),
                Series(_("支付订单"), [day.paid for day in days], 1),
            ],
        ),
    ]


def ending_chart(at: datetime) -> LineChart:
    """How many packages end on each of the next days."""
    ends = [timezone.localdate(one.package.ends_at) for one in operator_reports.ending(at, ENDING_WITHIN)]
    days = [timezone.localdate(at) + timedelta(days=number) for number in range(ENDING_WITHIN.days + 1)]
    values = [ends.count(day) for day in days]
    labels = [day.strftime("%m-%d") for day in days]
    return LineChart(
        "chart-ending", _("每天到期的资源包"), labels, [Series(_("资源包"), values, 4)], _("个"), kind="bar"
    )


def near_chart(table: Table) -> LineChart:
    """Used share of the fullest Apps, in percent."""
    labels = [f"{row[3]} · {row[4]}" for row in table.rows]
    values = [round(float(str(row[0])) * 100, 1) for row in table.rows]
    return LineChart("chart-near", _("已用比例"), labels, [Series(_("已用比例"), values, 2)], "%", kind="bar")


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = timezone.now()
    form, span = spans.asked(request, at)
    context = {"form": form, "nav": "business"}
    if span is None:
        return render(request, "ops/business.html", context, status=400)
    days = operator_reports.days(span.since, span.until)
    full = near_limit(at, ON_PAGE)
    return render(
        request,
        "ops/business.html",
        {
            **context,
            "total": {
                "new_apps": sum(day.new_apps for day in days),
                "created": sum(day.created for day in days),
                "paid": sum(day.paid for day in days),
                "revenue": sum(day.revenue for day in days),
                "topped_up": sum(day.topped_up for day in days),
            },
            "charts": charts(days),
            "by_day": by_day(days),
            "pairs": [(ending(at, ON_PAGE), ending_chart(at)), (full, near_chart(full))],
        },
    )


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """One table of the page, whole, as CSV."""
    at = timezone.now()
    _form, span = spans.asked(request, at)
    if span is not None and key == "business-by-day":
        return by_day(operator_reports.days(span.since, span.until)).csv()
    if key == "packages-ending":
        return ending(at, None).csv()
    if key == "apps-near-limit":
        return near_limit(at, None).csv()
    raise Http404
