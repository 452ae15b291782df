"""/ops/acts/<act>/<subject>/: the form of an action, its confirmation, and the redirect afterwards."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
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
from console.confirmation import CONFIRMED
from operations.access import OperatorRequest, operator
from operations.actions import actions, approvals, previews, registry, restrictions, subjects
from operations.actions.actions import Action
from operations.reports.tables import desk

SEEN = "seen"  # the figures that the operator confirmed
EDIT = "edit"  # back from the confirmation to the form


def next_of(request: OperatorRequest, subject: models.Model | None) -> str:
    """Return the page to show afterwards: the previous one, the customer's desk, or the records."""
    customer = subjects.customer_of(subject)
    if customer and customer.erased_at:  # the previous page may search for the former name
        return desk(customer.username)
    return safe_next(request) or (desk(customer.username) if customer else reverse("admin:index"))


def show_code_once(request: OperatorRequest, made: models.Model) -> None:
    """Show a voucher code once, to the operator who issued it; all other pages mask it."""
    if isinstance(made, Voucher) and made.customer_id is None:
        messages.warning(request, _("券码 %(code)s 只显示这一次，请现在抄录。") % {"code": made.code})


@require_http_methods(["GET", "POST"])
@operator("ops_reports")
def act(request: OperatorRequest, name: str, pk: int | None = None) -> HttpResponse:
    """Show the form of an action, confirm, and perform it. Requires the permission for that action."""
    chosen = registry.ACTIONS.get(name)
    if chosen is None or chosen.creates != (pk is None):
        raise Http404
    if not roles.may(request.user, chosen.permission):
        raise PermissionDenied
    subject = None if chosen.creates else get_object_or_404(chosen.model, pk=pk)
    back = next_of(request, subject)
    form = chosen.form(request.POST if request.method == "POST" else None, subject=subject)
    context = {
        "act": chosen,
        "about": subjects.about(subject),
        "kind": subjects.KINDS[chosen.model],
        "customer": subjects.customer_of(subject),
        "form": form,
        "back": back,
        "nav": "desk",
    }
    if request.method == "POST" and EDIT not in request.POST and form.is_valid():
        if question := confirmation_context(request, chosen, subject, form.cleaned_data):
            return render(request, "operations/actions/confirm.html", {**context, **question})
        at, address = now(), client_address(request.META)
        try:
            done = actions.perform(
                chosen, subject, form.cleaned_data, by=request.user, at=at, address=address
            )
        except actions.Refused as refusal:
            form.add_error(None, str(refusal))
        except actions.DoneBefore:
            messages.info(request, _("这张表单已提交过，没有重复执行。"))
            return redirect(back)
        except actions.NeedsApproval as needed:
            approvals.request_approval(
                chosen,
                subject,
                form,
                needed.worth,
                by=request.user,
                at=at,
                address=address,
                data=request.POST,
            )
            messages.info(request, _("金额超过单人限额，已提交，等待另一位操作员批准。"))
            return redirect("ops_approvals")
        else:
            messages.success(request, _("已完成：%(act)s。") % {"act": chosen.label})
            show_code_once(request, done)
            return redirect(next_of(request, subject))
    return render(request, "operations/actions/act.html", context)


def confirmation_context(
    request: OperatorRequest, act: Action, subject: models.Model | None, cleaned: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the context of the confirmation page; None if none is needed or it was confirmed.

    Asks again if the figures have changed since they were confirmed.
    """
    if not (act.asks or act.is_destructive):
        return None
    if subject is not None and not act.is_available(subject):
        return None  # `perform` then refuses it, with the reason
    at = now()
    changes = previews.of(act.name, subject, cleaned, at)
    seen = "; ".join(f"{one.label}: {one.before} → {one.after}" for one in changes)
    was_seen = request.POST.get(SEEN, seen)
    if CONFIRMED in request.POST and was_seen == seen:
        return None
    worth = restrictions.worth(act.name, subject, cleaned)
    customer = subjects.customer_of(subject)
    with transaction.atomic():
        needs_second = worth is not None and restrictions.needs_a_second_operator(
            worth, customer, request.user, at
        )
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in ("csrfmiddlewaretoken", CONFIRMED, SEEN)
        for value in values
    ]
    return {
        "changes": changes,
        "has_changed": was_seen != seen,
        "worth": worth,
        "needs_second": needs_second,
        "reason": cleaned["reason"],
        "sent": [*fields, (SEEN, seen)],
    }
