"""/ops/live/: the state of the product, refreshed in place."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from common.postgresql.clock import now
from operations.access import OperatorRequest, operator
from operations.monitoring import health
from operations.monitoring.findings import findings


@never_cache
@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    """Show the live view; for htmx, only the part that changes."""
    state = health.measure(now())
    template = "operations/monitoring/live_state.html" if request.htmx else "operations/monitoring/live.html"
    return render(request, template, {"state": state, "findings": findings(state), "nav": "live"})
