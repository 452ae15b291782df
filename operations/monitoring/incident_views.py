"""/ops/incidents/: the incidents with their times and durations."""

from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from common.postgresql.clock import now
from operations.access import OperatorRequest, operator
from operations.models import Incident
from operations.monitoring import incidents
from operations.monitoring.incident_marks import sentence
from operations.reports import report_filter
from operations.reports.tables import Column, Table, download

SHOWN = 500


def _row(incident: Incident, at: datetime) -> list[object]:
    rule = incidents.rule_of(incident)
    lasted = (incident.ended_at or at) - incident.started_at
    return [
        incident.started_at,
        incident.ended_at or _("进行中"),
        duration(lasted),
        incident.failed_calls,
        sentence(incident),
        str(rule.remedy) if rule else "",
    ]


def duration(lasted: timedelta) -> str:
    """Return a duration in minutes, or hours and minutes."""
    minutes = max(1, round(lasted.total_seconds() / 60))
    if minutes < 60:
        return _("%(minutes)s 分钟") % {"minutes": minutes}
    return _("%(hours)s 小时 %(minutes)s 分钟") % {"hours": minutes // 60, "minutes": minutes % 60}


def table(since: datetime, until: datetime, at: datetime, limit: int | None) -> Table:
    """Return the incidents of a range as a table, newest first."""
    columns = [
        Column(_("开始时间"), "moment"),
        Column(_("结束时间"), "moment"),
        Column(_("持续"), "span"),
        Column(_("失败的调用"), "count"),
        Column(_("发生了什么")),
        Column(_("处理办法")),
    ]
    rows = [_row(incident, at) for incident in incidents.between(since, until)[:limit]]
    return Table("incidents", _("故障记录"), columns, rows, empty=_("这段时间没有故障记录。"))


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the incidents of the chosen days."""
    at = now()
    form, days = report_filter.from_request(request, at)
    context: dict[str, object] = {"form": form, "span": days, "nav": "incidents"}
    if days is None:
        return render(request, "operations/monitoring/incidents.html", context, status=400)
    context["table"] = table(days.since, days.until, at, SHOWN)
    return render(request, "operations/monitoring/incidents.html", context)


@require_GET
@operator("ops_reports")
def export(request: OperatorRequest, key: str) -> HttpResponse:
    """Send the incidents of the chosen days as CSV."""
    at = now()
    _form, days = report_filter.from_request(request, at)
    rows = [table(days.since, days.until, at, None)] if days else []
    return download(rows, key)
