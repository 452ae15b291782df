"""/ops/approvals/: the actions that wait for a second operator, and the decision."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.models.operators import State
from common.client_address import client_address
from common.postgresql.clock import now
from console.confirmation import unconfirmed
from operations.access import OperatorRequest, as_customer, operator
from operations.actions import approvals
from operations.actions.action_views import show_code_once
from operations.actions.actions import Refused

DECISIONS = (State.APPROVED, State.DECLINED, State.WITHDRAWN)


@require_GET
@operator("ops_reports")
def page(request: OperatorRequest) -> HttpResponse:
    found = approvals.waiting(request.user, now())
    return render(request, "operations/actions/approvals.html", {"waiting": found, "nav": "approvals"})


@require_POST
@operator("ops_reports")
def decide(request: OperatorRequest, pk: int) -> HttpResponse:
    """Approve, decline or withdraw. The permission for the action itself is checked with the decision."""
    state = {str(one): one for one in DECISIONS}.get(request.POST.get("decision", ""))
    if state is None:
        return HttpResponseBadRequest()
    question = approvals.question(pk) if state is State.APPROVED else ""
    if question and (page := unconfirmed(as_customer(request), question, _("批准并执行"))):
        return page
    try:
        made = approvals.decide_and_perform(
            pk, state, by=request.user, at=now(), address=client_address(request.META)
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("已记录：%(state)s。") % {"state": state.label})
        if made is not None:
            show_code_once(request, made)
    return redirect("ops_approvals")
