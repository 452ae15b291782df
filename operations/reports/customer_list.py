"""/ops/customers/: all customers with balance, last call, number of calls, trend and revenue."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from accounts.models import User
from billing.books import sales_reports
from billing.books.sales_reports import Sales
from billing.models import Wallet
from common.postgresql.clock import now
from faceapi.usage import operator_reports
from faceapi.usage.operator_reports import Figures, UsageFilter
from faceapi.usage.rollups import local_day
from operations.access import OperatorRequest, operator
from operations.reports import comparisons
from operations.reports.personal_files import personal_file
from operations.reports.tables import Column, Link, Table, at_desk

KEY = "customers"
ROWS = 50
CSV_ROWS = 50_000
CALLS_DAYS, INCOME_DAYS = 7, 30
SORTS = {
    "calls": gettext_lazy("近 7 天调用最多"),
    "income": gettext_lazy("近 30 天净收入最多"),
    "balance": gettext_lazy("账户余额最多"),
    "last": gettext_lazy("最近调用"),
    "joined": gettext_lazy("最近注册"),
}
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    """The figures of all customers: calls of CALLS_DAYS and of the days before, revenue of INCOME_DAYS."""

    calls: dict[int, Figures]
    earlier: dict[int, Figures]
    income: dict[int, Sales]

    def number(self, customer: int) -> int:
        return self.calls[customer].calls if customer in self.calls else 0

    def revenue(self, customer: int) -> Decimal:
        return self.income[customer].revenue if customer in self.income else Decimal(0)


def known(at: datetime) -> Known:
    """Return the figures of all customers up to `at`."""
    until = timezone.localtime(at).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    since = local_day(at) - timedelta(days=CALLS_DAYS - 1)
    back = timedelta(days=CALLS_DAYS)
    calls, earlier = (
        operator_reports.by_customer(operator_reports.by_app(UsageFilter(first, last)))
        for first, last in ((since, until), (since - back, until - back))
    )
    first = local_day(at) - timedelta(days=INCOME_DAYS - 1)
    return Known(calls, earlier, sales_reports.sales_by_customer(first, at))


def customers(text: str) -> "QuerySet[User]":
    """Return the customers, without operators, whose name, address, company or phone contains the text."""
    found = User.objects.filter(is_staff=False)
    if text := text.strip():
        fits = Q(username__icontains=text) | Q(email__icontains=text)
        found = found.filter(fits | Q(company__icontains=text) | Q(phone__icontains=text))
    return found


def ordered(found: "QuerySet[User]", sort: str, of: Known) -> list[int]:
    """Return the primary keys of these customers in the given order; ties go to the newest account."""
    pks = list(found.order_by("-pk").values_list("pk", flat=True))
    value: dict[int, Any] = {}
    match sort:
        case "income":
            value = {pk: of.revenue(pk) for pk in pks}
        case "balance":
            value = dict(Wallet.objects.filter(customer__in=found).values_list("customer", "balance"))
        case "last":
            value = {
                pk: last
                for pk, last in found.values_list("pk").annotate(Max("apps__keys__last_used_at"))
                if last
            }
            return sorted(pks, key=lambda pk: value.get(pk, NEVER), reverse=True)
        case "joined":
            return pks
        case _:
            value = {pk: of.number(pk) for pk in pks}
    return sorted(pks, key=lambda pk: value.get(pk, 0), reverse=True)


def table(pks: list[int], of: Known) -> Table:
    """Return the table of these customers, in this order."""
    columns = [
        Column(_("客户"), "name"),
        Column(_("公司"), "name"),
        Column(_("应用数"), "count"),
        Column(_("账户余额（元）"), "yuan"),
        Column(_("最近调用"), "when"),
        Column(_("近 7 天调用"), "count"),
        Column(_("较前 7 天"), "change"),
        Column(_("近 30 天净收入（元）"), "yuan"),
        Column(_("状态"), "term"),
    ]
    people = User.objects.in_bulk(pks)
    balances = dict(Wallet.objects.filter(customer__in=pks).values_list("customer", "balance"))
    usage = reverse("ops_usage")
    apps: dict[int, int] = defaultdict(int)
    last: dict[int, datetime | None] = {}
    counted = User.objects.filter(pk__in=pks).order_by().values_list("pk")
    for pk, number, moment in counted.annotate(Count("apps", distinct=True), Max("apps__keys__last_used_at")):
        apps[pk], last[pk] = number, moment
    rows = [
        [
            at_desk(people[pk].username),
            people[pk].company,
            apps[pk],
            balances.get(pk, Decimal(0)),
            last.get(pk),
            Link(of.number(pk), f"{usage}?{urlencode({'who': people[pk].username})}"),
            comparisons.change(of.number(pk), of.earlier[pk].calls if pk in of.earlier else 0),
            of.revenue(pk),
            _("启用") if people[pk].is_active else _("停用"),
        ]
        for pk in pks
    ]
    return Table(KEY, _("客户"), columns, rows, empty=_("没有符合条件的客户。"))


@require_GET
@operator("ops_desk")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the customers, page by page."""
    of, sort = known(now()), _sort(request)
    text = request.GET.get("q", "")[:150]
    pages = Paginator(ordered(customers(text), sort, of), ROWS)
    shown: Page[int] = pages.get_page(request.GET.get("page"))
    context = {
        "q": text,
        "sort": sort,
        "sorts": SORTS.items(),
        "page": shown,
        "total": pages.count,
        "table": table(list(shown), of),
        "nav": "customers",
    }
    return render(request, "operations/reports/customers.html", context)


@require_GET
@operator("ops_desk")
def export(request: OperatorRequest) -> HttpResponse:
    """Send the customers as CSV, at most CSV_ROWS."""
    of = known(now())
    pks = ordered(customers(request.GET.get("q", "")[:150]), _sort(request), of)
    return personal_file(request, request.user, KEY, table(pks[:CSV_ROWS], of).plain)


def _sort(request: OperatorRequest) -> str:
    asked = request.GET.get("sort", "")
    return asked if asked in SORTS else "calls"
