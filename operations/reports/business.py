"""/ops/business/: new Apps, orders and revenue; packages that end soon; Apps near or at their limit."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.models import User
from billing.books import sales_reports
from billing.books.sales_reports import Day, Sales
from billing.models import Api, EntryKind, OrderState
from common.postgresql.clock import now
from console.reports.charts import Chart, Series
from console.reports.date_ranges import CUSTOM
from console.templatetags.show import count, money
from faceapi.usage.operator_reports import UsageFilter
from operations.access import OperatorRequest, operator
from operations.monitoring import incident_marks
from operations.reports import comparisons, report_filter
from operations.reports.comparisons import Before, Comparison, Stat
from operations.reports.tables import Cell, Column, Link, Table, at_desk, desk, download, ranks

ENDING_WITHIN = timedelta(days=30)
NEAR = 0.8
TOP = 20  # rows on the page; the CSV has all of them


def by_day(days: list[Day]) -> Table:
    columns = [
        Column(_("日期"), "day"),
        Column(_("新建应用"), "count"),
        Column(_("新订单"), "count"),
        Column(_("已支付订单"), "count"),
        Column(_("现金收入（元）"), "yuan"),
        Column(_("代金券支付（元）"), "yuan"),
        Column(_("现金退款（元）"), "yuan"),
        Column(_("代金券退回（元）"), "yuan"),
        Column(_("净收入（元）"), "yuan"),
        Column(_("充值（元）"), "yuan"),
    ]
    rows = [
        [
            Link(day.start, one_day(day.start)), day.new_apps, day.created, day.paid, day.cash, day.voucher,
            day.refunded_cash, day.refunded_voucher, day.revenue, day.topped_up,
        ]
        for day in days
    ]  # fmt: skip
    return Table("business-by-day", _("应用、订单与收入"), columns, rows, note=_revenue_note())


def one_day(start: datetime) -> str:
    """Return the address of this report over one day."""
    day = timezone.localtime(start).strftime("%Y-%m-%d")
    return f"{reverse('ops_business')}?{urlencode({'range': CUSTOM, 'since': day, 'until': day})}"


def _revenue_note() -> str:
    return _("净收入 = 现金收入 − 现金退款；代金券不计入收入。")


def charts(days: list[Day], at: datetime) -> list[Chart]:
    as_of = at if days and at < days[-1].start + timedelta(days=1) else None
    labels = [day.start.strftime("%m-%d") for day in days]
    links = [one_day(day.start) for day in days]
    marks = incident_marks.marks([day.start for day in days], timedelta(days=1), at)
    return [
        Chart(
            "chart-revenue",
            _("收入"),
            labels,
            [
                Series(_("现金"), [float(day.cash) for day in days], 1),
                Series(_("代金券"), [float(day.voucher) for day in days], 3),
                Series(_("现金退款"), [-float(day.refunded_cash) for day in days], 2),
            ],
            _("元"),
            kind="bar",
            stacked=True,
            as_of=as_of,
            links=links,
            marks=marks,
        ),
        Chart(
            "chart-orders",
            _("应用与订单"),
            labels,
            [
                Series(_("新建应用"), [day.new_apps for day in days], 5),
                Series(_("新订单"), [day.created for day in days], 4),
                Series(_("已支付订单"), [day.paid for day in days], 1),
            ],
            kind="bar",
            as_of=as_of,
            links=links,
            marks=marks,
        ),
    ]


def _sales_columns() -> list[Column]:
    return [
        Column(_("已支付订单"), "count"),
        Column(_("现金收入（元）"), "yuan"),
        Column(_("代金券支付（元）"), "yuan"),
        Column(_("现金退款（元）"), "yuan"),
        Column(_("净收入（元）"), "yuan"),
        Column(_("较上期"), "change"),
    ]


def _sales(one: Sales, before: Sales | None) -> list[Cell]:
    changed = comparisons.change(one.revenue, before.revenue if before else 0)
    return [one.orders, one.cash, one.voucher, one.refunded_cash, one.revenue, changed]


def _sales_chart(key: str, sales: list[tuple[str, Sales]], links: list[str]) -> Chart:
    return ranks(key, _("净收入"), [(name, float(one.revenue)) for name, one in sales], _("元"), links=links)


def by_api(span: UsageFilter, earlier: Before) -> Table:
    key = "revenue-by-api"
    before = sales_reports.sales_by_api(earlier.since, earlier.until)
    found = sales_reports.sales_by_api(span.since, span.until)
    columns = [Column(_("API 类型"), "term"), *_sales_columns()]
    rows = [
        [Link(Api(api).label, orders_of(api), "ops_records"), *_sales(one, before.get(api))]
        for api, one in found.items()
    ]
    bars = [(str(Api(api).label), one) for api, one in found.items()]
    chart = _sales_chart(key, bars, [orders_of(api) for api in found])
    return Table(key, _("按 API 的收入"), columns, rows, note=_revenue_note(), chart=chart)


def orders_of(api: str) -> str:
    """Return the address of the paid orders of an API."""
    orders = reverse("admin:billing_order_changelist")
    return f"{orders}?{urlencode({'sku__api__exact': api, 'state__exact': OrderState.PAID})}"


def by_customer(span: UsageFilter, earlier: Before, limit: int | None) -> Table:
    key = "revenue-by-customer"
    before = sales_reports.sales_by_customer(earlier.since, earlier.until)
    sales = list(sales_reports.sales_by_customer(span.since, span.until).items())[:limit]
    people = User.objects.in_bulk([pk for pk, _one in sales])
    found = [(people[pk], one) for pk, one in sales]
    columns = [
        Column(_("客户"), "name"),
        Column(_("公司"), "name"),
        *_sales_columns(),
        Column(_("用量"), "term"),
    ]
    rows = [
        [
            at_desk(user.username),
            user.company,
            *_sales(one, before.get(user.pk)),
            Link(_("查看用量"), f"{reverse('ops_usage')}?{urlencode({'who': user.username})}"),
        ]
        for user, one in found
    ]
    links = [desk(user.username) for user, _one in found]
    chart = _sales_chart(key, [(user.username, one) for user, one in found], links)
    return Table(key, _("收入最多的客户"), columns, rows, chart=chart)


def ending(at: datetime, limit: int | None) -> Table:
    key = "packages-ending"
    columns = [
        Column(_("到期时间"), "last_day"),
        Column(_("客户"), "name"),
        Column(_("公司"), "name"),
        Column(_("应用 ID")),
        Column(_("应用名称"), "name"),
        Column(_("API 类型"), "term"),
        Column(_("每月额度"), "count"),
        Column(_("订单编号")),
        Column(_("已续购")),
    ]
    rows = [
        [
            one.package.ends_at,
            at_desk(one.package.app.customer.username),
            one.package.app.customer.company,
            at_desk(one.package.app.app_id),
            one.package.app.name,
            Api(one.package.api).label,
            one.package.units_per_period,
            at_desk(one.package.order.number),
            _("是") if one.is_followed else _("否"),
        ]
        for one in sales_reports.ending(at, ENDING_WITHIN, limit)
    ]
    days = sales_reports.ending_by_day(at, ENDING_WITHIN)
    chart = Chart(
        f"chart-{key}",
        _("每天到期的资源包"),
        [day.strftime("%m-%d") for day in days],
        [
            Series(_("未续购"), [one.packages - one.followed for one in days.values()], 4),
            Series(_("已续购"), [one.followed for one in days.values()], 3),
        ],
        kind="bar",
        stacked=True,
    )
    empty = _("未来 30 天没有到期的资源包。")
    return Table(key, _("30 天内到期的资源包"), columns, rows, empty=empty, chart=chart)


def near_limit(at: datetime, limit: int | None) -> Table:
    key = "apps-near-limit"
    found = sales_reports.near_limit(at, NEAR)[:limit]
    columns = [
        Column(_("已用比例"), "share"),
        Column(_("客户"), "name"),
        Column(_("公司"), "name"),
        Column(_("应用 ID")),
        Column(_("应用名称"), "name"),
        Column(_("API 类型"), "term"),
        Column(_("已用"), "count"),
        Column(_("额度"), "count"),
        Column(_("剩余"), "count"),
        Column(_("本周期止"), "last_day"),
    ]
    rows = [
        [
            row.share,
            at_desk(row.app.customer.username),
            row.app.customer.company,
            at_desk(row.app.app_id),
            row.app.name,
            Api(row.api).label,
            row.used,
            row.granted,
            row.remaining,
            row.ends_at,
        ]
        for row in found
    ]
    shares = [(f"{row.app.name} · {Api(row.api).label}", round(row.share * 100, 1)) for row in found]
    chart = ranks(key, _("已用比例"), shares, "%", colour=2)
    empty = _("没有应用用到 80%。")
    return Table(key, _("接近或达到额度的应用（≥ 80%）"), columns, rows, empty=empty, chart=chart)


def tables(span: UsageFilter, days: list[Day], at: datetime, limit: int | None) -> list[Table]:
    """Return the tables of the page, the one by day first."""
    earlier = comparisons.before(span, at)
    return [
        by_day(days),
        by_customer(span, earlier, limit),
        by_api(span, earlier),
        ending(at, limit),
        near_limit(at, limit),
    ]


def days_of(span: UsageFilter, at: datetime) -> list[Day]:
    """Return the days of the range that have begun."""
    return [day for day in sales_reports.days(span.since, span.until) if day.start <= at]


def stats(days: list[Day], earlier: Day) -> list[Stat]:
    """Return the figures above the charts, each compared with the previous period."""

    def total(name: str) -> Any:
        return sum(getattr(day, name) for day in days)

    def compared(name: str) -> Comparison:
        return comparisons.change(total(name), getattr(earlier, name))

    def records(table: str, moment: str, **chosen: str) -> str:
        """Return the address of the records of these days, by the field `moment`."""
        if not days:
            return ""
        first, end = days[0].start, days[-1].start + timedelta(days=1)
        query = {f"{moment}__gte": first.isoformat(), f"{moment}__lt": end.isoformat(), **chosen}
        return f"{reverse(f'admin:{table}_changelist')}?{urlencode(query)}"

    paid = records("billing_order", "paid_at", state__exact=OrderState.PAID)
    top_ups = records("billing_walletentry", "at", kind__exact=EntryKind.TOP_UP)
    return [
        Stat(
            _("新建应用"), [(count(total("new_apps")), "")], compared("new_apps"),
            records("accounts_app", "created_at"),
        ),
        Stat(
            _("新订单"), [(count(total("created")), "")], compared("created"),
            records("billing_order", "created_at"),
        ),
        Stat(_("已支付订单"), [(count(total("paid")), "")], compared("paid"), paid),
        Stat(_("净收入"), [(money(total("revenue")), "")], compared("revenue"), paid),
        Stat(_("充值"), [(money(total("topped_up")), "")], compared("topped_up"), top_ups),
    ]  # fmt: skip


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    at = now()
    form, span = report_filter.from_request(request, at)
    context = {"form": form, "nav": "business"}
    if span is None:
        return render(request, "operations/reports/business.html", context, status=400)
    days = days_of(span, at)
    by_time, *others = tables(span, days, at, TOP)
    earlier = comparisons.before(span, at)
    return render(
        request,
        "operations/reports/business.html",
        {
            **context,
            "stats": stats(days, sales_reports.between(earlier.since, earlier.until)),
            "before": earlier,
            "charts": (drawn := charts(days, at)),
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
    return download(tables(span, days_of(span, at), at, None), key)
