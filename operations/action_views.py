"""/ops/acts/<act>/<subject>/: what will happen, the form, and back to where the operator came from."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import roles
from billing.models import Voucher
from common.client_address import client_address
from common.postgresql.clock import now
from console.access import safe_next
from operations import actions, approvals
from operations.access import OperatorRequest, operator
from operations.reports.tables import desk


def next_of(request: OperatorRequest, subject: models.Model | None) -> str:
    """Where to go afterwards: where the operator came from, or the customer's story, or the records."""
    customer = actions.customer_of(subject)
    return safe_next(request) or (desk(customer.username) if customer else reverse("admin:index"))


def show_code_once(request: OperatorRequest, made: models.Model) -> None:
    """Show a voucher code to whoever issued it: every other page masks it."""
    if isinstance(made, Voucher) and made.customer_id is None:
        messages.warning(request, _("券码 %(code)s 只显示这一次，请现在抄录。") % {"code": made.code})


@require_http_methods(["GET", "POST"])
@operator("ops_reports")
def act(request: OperatorRequest, name: str, pk: int | None = None) -> HttpResponse:
    """Show the form of an action and perform it. The permission checked is that of the action."""
    chosen = actions.ACTIONS.get(name)
    if chosen is None or chosen.creates != (pk is None):
        raise Http404
    if not roles.may(request.user, chosen.permission):
        raise PermissionDenied
    subject = None if chosen.creates else get_object_or_404(chosen.model, pk=pk)
    back = next_of(request, subject)
    form = chosen.form(request.POST if request.method == "POST" else None, subject=subject)
    if request.method == "POST" and form.is_valid():
        at = now()
        try:
            done = actions.perform(
                chosen,
                subject,
                form.cleaned_data,
                by=request.user,
                at=at,
                address=client_address(request.META),
            )
        except actions.Refused as refusal:
            form.add_error(None, str(refusal))
        except actions.DoneBefore:
            messages.info(request, _("这张表单已提交过，没有重复执行。"))
            return redirect(back)
        except actions.NeedsApproval as needed:
            approvals.ask(chosen, subject, form, needed.worth, by=request.user, at=at, data=request.POST)
            messages.info(request, _("金额超过单人限额，已提交，等待另一位操作员批准。"))
            return redirect("ops_approvals")
        else:
            messages.success(request, _("已完成：%(act)s。") % {"act": chosen.label})
            show_code_once(request, done)
            return redirect(back)
    context = {
        "act": chosen,
        "about": actions.about(subject),
        "kind": actions.KINDS[chosen.model],
        "customer": actions.customer_of(subject),
        "form": form,
        "back": back,
        "nav": "desk",
    }
    return render(request, "operations/act.html", context)
