"""/ops/: matters that need attention, and today's figures compared with yesterday and a week ago."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts import approvals, digests
from accounts.models import DigestKind, DigestPeriod
from billing.books import sales_reports
from billing.books.sales_reports import Sales
from billing.models import Order, OrderState
from common.postgresql.clock import now
from console.error_messages import explained
from console.reports import usage
from console.templatetags.show import count, money, percent, unit
from faceapi import errors
from faceapi.usage import operator_reports
from faceapi.usage.operator_reports import Usage, UsageFilter
from operations import saved_views
from operations.access import OperatorRequest, operator
from operations.monitoring import health
from operations.monitoring.findings import Level, findings
from operations.reports import comparisons
from operations.reports.comparisons import Comparison

ENDING_WITHIN = timedelta(days=7)
# A code is rising if it occurred at least RISING_CALLS times today and RISING_FACTOR times as often as
# yesterday.
RISING_CALLS, RISING_FACTOR = 20, 2
# Not reported as rising: Apps without units are reported as such.
QUOTA_CODES = frozenset({errors.NOT_ORDERED, errors.EXPIRED, errors.USED_UP})


@dataclass(frozen=True, slots=True)
class Attention:
    """A matter that needs attention, with the page on which to handle it."""

    level: Level
    text: str
    link: str
    href: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of today as text, with its comparisons."""

    label: str
    value: str
    unit: str
    href: str
    comparisons: list[Comparison]


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the home page of the operators."""
    at = now()
    hour = timezone.localtime(at).replace(minute=0, second=0, microsecond=0)
    days = [_usage_until(hour - timedelta(days=back)) for back in (0, 1, 7)]
    context = {
        "attention": [*attention(at), *_rising(*days[:2])],
        "figures": _figures(days, at),
        "until": hour,
        "views": saved_views.of(request.user),
        "periods": DigestPeriod.choices,
        "chosen": digests.chosen(request.user, DigestKind.SERVICE),
        "nav": "home",
    }
    return render(request, "operations/home.html", context)


@require_POST
@operator("ops_reports")
def choose_digests(request: OperatorRequest) -> HttpResponse:
    """Save which reports the operator gets by mail."""
    digests.choose(request.user, DigestKind.SERVICE, request.POST.getlist("period"), now())
    messages.success(request, _("邮件报告的设置已保存。"))
    return redirect("ops")


def _midnight(at: datetime) -> datetime:
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def _usage_until(hour: datetime) -> Usage:
    """Return the usage from local midnight to a full hour, the resolution of the roll-ups."""
    return operator_reports.usage(UsageFilter(since=_midnight(hour), until=hour, step="hour"))


# --- what needs attention --------------------------------------------------------------------------


def attention(at: datetime) -> Iterator[Attention]:
    """Yield the findings of the live view, then Apps without units, packages that end, orders, approvals."""
    for finding in findings(health.measure(at)):
        yield Attention(finding.level, finding.what, _("实时状态"), reverse("ops_live"), finding.remedy)
    business = reverse("ops_business")
    if used_up := len({full.app.pk for full in sales_reports.near_limit(at, share=1)}):
        text = ngettext("%(n)s 个应用的额度已用完。", "%(n)s 个应用的额度已用完。", used_up)
        yield Attention("warn", text % {"n": count(used_up)}, _("查看应用"), f"{business}#apps-near-limit")
    ending = sales_reports.ending_by_day(at, ENDING_WITHIN).values()
    if unrenewed := sum(day.packages - day.followed for day in ending):
        text = ngettext(
            "%(n)s 个资源包 7 天内到期且没有续订。", "%(n)s 个资源包 7 天内到期且没有续订。", unrenewed
        )
        yield Attention(
            "warn", text % {"n": count(unrenewed)}, _("查看资源包"), f"{business}#packages-ending"
        )
    unpaid = Order.objects.filter(state=OrderState.PENDING, expires_at__gt=at).count()
    if unpaid:
        text = ngettext("%(n)s 个订单待支付。", "%(n)s 个订单待支付。", unpaid)
        orders = reverse("admin:billing_order_changelist")
        yield Attention("warn", text % {"n": count(unpaid)}, _("查看订单"), f"{orders}?state__exact=pending")
    if waiting := approvals.pending(at).count():
        text = ngettext("%(n)s 项操作待批准。", "%(n)s 项操作待批准。", waiting)
        yield Attention("warn", text % {"n": count(waiting)}, _("待批准"), reverse("ops_approvals"))


def _rising(today: Usage, yesterday: Usage) -> Iterator[Attention]:
    """Yield the error codes that occurred much more often than by the same time yesterday."""
    for code, figures in today.by_code.items():
        before = yesterday.by_code[code].calls if code in yesterday.by_code else 0
        if code == errors.OK or code in QUOTA_CODES:
            continue
        if figures.calls >= RISING_CALLS and figures.calls >= before * RISING_FACTOR:
            text = _("返回码 %(code)s（%(meaning)s）今天 %(n)s 次，昨天同时段 %(before)s 次。") % {
                "code": code,
                "meaning": explained(code)["message"],
                "n": count(figures.calls),
                "before": count(before),
            }
            href = f"{reverse('ops_usage')}?range=today&code={code}"
            yield Attention("warn", text, _("用量报表"), href)


# --- the figures of today --------------------------------------------------------------------------


def _figures(days: list[Usage], at: datetime) -> list[Figure]:
    """Return the figures of today, each compared with yesterday and a week ago."""
    totals = [day.total for day in days]
    report, business = f"{reverse('ops_usage')}?range=today", f"{reverse('ops_business')}?range=today"
    meter_of = usage.meters()
    units = [usage.units_by_meter(total, meter_of) for total in totals]
    figures = [
        Figure(_("调用次数"), count(totals[0].calls), _("次"), report, _changes([t.calls for t in totals])),
        Figure(
            _("成功率"), percent(totals[0].success_rate, 2), "", report,
            _points([total.success_rate for total in totals]),
        ),
    ]  # fmt: skip
    for meter in usage.shown_meters(meter_of, meter_of):
        charged = [of_day[meter] for of_day in units]
        figures.append(Figure(_("计费量"), count(charged[0]), unit(meter), report, _changes(charged)))
    p95 = [total.p95_ms for total in totals]
    figures.append(
        Figure(
            _("处理耗时 p95"), "–" if p95[0] is None else count(round(p95[0])), "ms", report,
            _changes(p95, more_is_better=False),
        )
    )  # fmt: skip
    revenue = [_revenue(at - timedelta(days=back)) for back in (0, 1, 7)]
    figures.append(Figure(_("净收入"), money(revenue[0]), "", business, _changes(revenue)))
    return figures


def _revenue(at: datetime) -> Decimal:
    """Return payments less refunds from local midnight to `at`, in yuan."""
    return sum(sales_reports.sales_by_api(_midnight(at), at).values(), Sales()).revenue


def _changes(
    values: Sequence[int] | Sequence[Decimal] | Sequence[float | None], *, more_is_better: bool = True
) -> list[Comparison]:
    """Compare the first value with each of the others, in per cent."""
    now, *earlier = values
    return [
        comparisons.change(now, before, more_is_better=more_is_better, label=label)
        for label, before in zip(_labels(), earlier, strict=True)
    ]


def _points(shares: list[float | None]) -> list[Comparison]:
    """Compare the first share with each of the others, in percentage points."""
    now, *earlier = shares
    return [
        comparisons.points(now, before, label=label) for label, before in zip(_labels(), earlier, strict=True)
    ]


def _labels() -> tuple[str, str]:
    return _("较昨天"), _("较上周")
