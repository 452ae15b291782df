"""The report by mail of one customer: calls, charged units and remaining units of the account."""

from datetime import date, datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import App, DigestKind, User
from billing import packages
from billing.payments import wallet
from common.postgresql.clock import now
from console.mail import digests
from console.mail.digests import Digest, Fact, File
from console.reports import changes, usage
from console.reports.date_ranges import local_midnight
from console.reports.downloads import csv_file
from console.reports.pictures import Bars
from console.templatetags.show import count, money, percent, unit
from faceapi.usage import operator_reports
from faceapi.usage.operator_reports import Figures, Usage, UsageFilter

QUOTAS = 10  # lines about remaining units


def send_due(at: datetime) -> int:
    """Send the customers' reports that are due."""
    return digests.send_due(DigestKind.ACCOUNT, make, at, lambda user: True)


def make(user: User, first: date, end: date) -> Digest:
    """Return the report of [first, end) in the active language."""
    since, until = local_midnight(first), local_midnight(end)
    length = until - since
    span = UsageFilter(since, until, "hour" if length <= timedelta(days=1) else "day", customer=user.pk)
    made = operator_reports.usage(span)
    before = operator_reports.totals(UsageFilter(since - length, since, customer=user.pk)).total
    by_app = operator_reports.by_app(span)
    apps = {app.pk: app for app in App.objects.filter(customer=user)}
    return Digest(
        title=digests.title_of(period_of(first, end), user.username, first, end),
        facts=[*facts(made.total, before), Fact(_("账户余额"), money(wallet.balance(user)))],
        bars=[calls_bars(made, span)],
        files=[by_step_file(made, span), by_app_file(by_app, apps)],
        lines=quota_lines(user, list(apps.values())),
        page=f"{reverse('usage')}?range=custom&since={first}&until={end - timedelta(days=1)}",
        settings_page=f"{reverse('inbox')}#digests",
    )


def period_of(first: date, end: date) -> str:
    """Return the kind of period from the number of days."""
    days = (end - first).days
    return "daily" if days == 1 else "weekly" if days == 7 else "monthly"


def facts(now: Figures, before: Figures) -> list[Fact]:
    """Return the figures of the report, each with its change."""
    meter_of = usage.meters()
    units, earlier = usage.units_by_meter(now, meter_of), usage.units_by_meter(before, meter_of)
    return [
        Fact(_("调用次数"), count(now.calls), changes.change(now.calls, before.calls).text),
        Fact(
            _("成功率"), percent(now.success_rate, 2),
            changes.points(now.success_rate, before.success_rate).text,
        ),
        *(
            Fact(
                usage.units_label(meter), f"{count(units[meter])} {unit(meter)}",
                changes.change(units[meter], earlier[meter]).text,
            )
            for meter in usage.shown_meters(meter_of, meter_of)
        ),
        Fact(
            _("处理耗时 p95"), "–" if now.p95_ms is None else f"{now.p95_ms:,.0f} ms",
            changes.change(now.p95_ms, before.p95_ms).text,
        ),
    ]  # fmt: skip


def calls_bars(made: Usage, span: UsageFilter) -> Bars:
    """Return successful and failed calls, stacked."""
    form = "%H:%M" if span.step == "hour" else "%m-%d"
    steps = made.by_step
    return Bars(
        _("调用次数（蓝：成功，红：失败）"),
        [start.strftime(form) for start in steps],
        [[one.ok for one in steps.values()], [one.failed for one in steps.values()]],
        _("次"),
    )


def by_step_file(made: Usage, span: UsageFilter) -> File:
    form = "%Y-%m-%d %H:%M" if span.step == "hour" else "%Y-%m-%d"
    rows: list[list[object]] = [[_("时间（UTC+8）"), _("调用次数"), _("成功"), _("失败"), _("图片数")]]
    rows += [
        [start.strftime(form), one.calls, one.ok, one.failed, one.images]
        for start, one in made.by_step.items()
    ]
    return File("usage-by-time.csv", csv_file("usage-by-time", rows).content)


def by_app_file(by_app: dict[int, Figures], apps: dict[int, App]) -> File:
    rows: list[list[object]] = [
        [_("应用 ID"), _("应用名称"), _("调用次数"), _("成功"), _("失败"), _("图片数")]
    ]
    rows += [
        [apps[pk].app_id, apps[pk].name, one.calls, one.ok, one.failed, one.images]
        for pk, one in by_app.items()
        if pk in apps
    ]
    return File("usage-by-app.csv", csv_file("usage-by-app", rows).content)


def quota_lines(user: User, apps: list[App]) -> list[str]:
    """Return the remaining quota of each App, the smallest share first."""
    left = sorted(
        (line for line in packages.summary(apps, now()) if line.granted),
        key=lambda line: line.remaining / line.granted,
    )
    return [
        _("%(app)s · %(api)s：剩余 %(remaining)s / %(granted)s")
        % {
            "app": line.app.name,
            "api": line.api_label,
            "remaining": count(line.remaining),
            "granted": count(line.granted),
        }
        for line in left[:QUOTAS]
    ]
