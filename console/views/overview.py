"""概览: the Apps with their remaining units, today's calls, notices, unpaid orders."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing import notices, orders
from billing.models import OrderState
from common.postgresql.clock import now
from console.access import CustomerRequest, customer
from console.ownership import apps_in_use
from console.reports.usage import week_of
from console.views.account.inbox import with_text
from console.views.apps import app_rows

SHOWN = 5


@require_GET
@customer
def overview(request: CustomerRequest) -> HttpResponse:
    at = now()
    apps = list(apps_in_use(request))
    count = len(apps)
    urgent = sorted(app_rows(apps), key=lambda row: row.urgency)
    today, chart = week_of(request.user, at)
    context = {
        "apps": count,
        "rows": urgent[:SHOWN],
        "today": today,
        "chart": chart if count else None,
        "notices": with_text(list(notices.inbox(request.user)[:SHOWN])),
        "unpaid": orders.of(request.user, state=OrderState.PENDING).count(),
        "nav": "overview",
    }
    return render(request, "console/overview.html", context)
