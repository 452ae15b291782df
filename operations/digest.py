"""The operators' report by mail: the figures of both reports, findings, and incidents."""

from datetime import date, datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import roles
from accounts.models import DigestKind, User
from billing.books import sales_reports
from common.postgresql.clock import now
from console.mail import digests
from console.mail.account_digest import calls_bars, period_of
from console.mail.digests import Digest, Fact, File
from console.reports.date_ranges import local_midnight
from console.reports.downloads import csv_file
from console.reports.pictures import Bars
from faceapi.usage import operator_reports
from faceapi.usage.operator_reports import UsageFilter
from operations import home
from operations.monitoring import incident_marks
from operations.reports import business, usage
from operations.reports.comparisons import Stat
from operations.reports.narrowing import Narrowing
from operations.reports.tables import Table

PERMISSION = "ops_reports"
FILES = ("usage-by-time", "usage-by-api", "usage-by-code", "top-customers")
INCIDENTS = 10


def send_due(at: datetime) -> int:
    """Send the operators' reports that are due, to operators who still have the permission."""
    return digests.send_due(DigestKind.SERVICE, make, at, lambda user: roles.may(user, PERMISSION))


def make(user: User, first: date, end: date) -> Digest:
    """Return the report of [first, end) in the active language."""
    at, since, until = now(), local_midnight(first), local_midnight(end)
    length = until - since
    span = UsageFilter(since, until, "hour" if length <= timedelta(days=1) else "day")
    query = {"range": "custom", "since": str(first), "until": str(end - timedelta(days=1))}
    links = Narrowing(reverse("ops_usage"), query, span)
    earlier = operator_reports.totals(UsageFilter(since - length, since))
    of = usage.Report(span, operator_reports.usage(span), earlier, links, usage.Counts(), at)
    days = sales_reports.days(since, until)
    tables = [table for table in usage.tables(of, None) if table.key in FILES]
    return Digest(
        title=digests.title_of(period_of(first, end), _("全部客户"), first, end),
        facts=[
            fact(stat)
            for stat in (
                *usage.stats(of),
                *business.stats(days, sales_reports.between(since - length, since)),
            )
        ],
        bars=[calls_bars(of.made, span), *([revenue_bars(days)] if len(days) > 1 else [])],
        files=[csv(table) for table in (*tables, business.by_day(days))],
        lines=[*(item.text for item in home.attention(at)), *incident_lines(span, at)],
        page=links.address(),
        settings_page=f"{reverse('ops')}#digests",
    )


def fact(stat: Stat) -> Fact:
    value = " · ".join(f"{value} {unit}".strip() for value, unit in stat.parts)
    return Fact(
        stat.label, value, f"{stat.change.label} {stat.change.text}".strip() if stat.change.text else ""
    )


def revenue_bars(days: list[sales_reports.Day]) -> Bars:
    labels = [day.start.strftime("%m-%d") for day in days]
    return Bars(_("净收入"), labels, [[float(day.revenue) for day in days]], _("元"))


def csv(table: Table) -> File:
    return File(f"{table.key}.csv", csv_file(table.key, table.plain).content)


def incident_lines(span: UsageFilter, at: datetime) -> list[str]:
    """Return the incidents of the period, the first INCIDENTS of them."""
    width = timedelta(hours=1) if span.step == "hour" else timedelta(days=1)
    found = incident_marks.marks(span.starts(), width, at)
    lines = [mark.text for mark in found[:INCIDENTS]]
    if more := len(found) - len(lines):
        lines.append(_("另有 %(n)s 次故障。") % {"n": more})
    return lines
