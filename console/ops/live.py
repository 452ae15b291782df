"""/ops/live/: the state of the product, refreshed in place."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from console.ops import health
from console.ops.access import OperatorRequest, operator
from console.ops.findings import findings
from facecloud.postgresql.clock import now


@never_cache
@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    """The whole page, or with htmx the part that changes."""
    state = health.measure(now())
    template = "ops/live_state.html" if request.htmx else "ops/live.html"
    return render(request, template, {"state": state, "findings": findings(state), "nav": "live"})
