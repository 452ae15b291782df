"""Approval by a second operator: request it, then perform, decline or withdraw the action; all audited."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, models, transaction
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import approvals, audit, roles
from accounts.errors import RuleError
from accounts.models import PendingAct, User
from accounts.models.operators import State
from console.templatetags.show import money
from operations.actions import actions, previews, restrictions, subjects
from operations.actions.action_forms import ActionForm
from operations.actions.actions import Action, DoneBefore, Refused
from operations.actions.registry import ACTIONS
from operations.error_messages import sentence

# Entries of the audit log in addition to those of actions.py.
LABELS = {
    "approval-ask": gettext_lazy("提交待批准的操作"),
    "approval-declined": gettext_lazy("拒绝待批准的操作"),
    "approval-withdrawn": gettext_lazy("撤回待批准的操作"),
    "export": gettext_lazy("下载 CSV 文件"),
    "prices": gettext_lazy("修改价格"),
    "prices-cancel": gettext_lazy("取消定时修改"),
}


def request_approval(
    act: Action,
    subject: models.Model | None,
    form: ActionForm,
    worth: Decimal,
    *,
    by: User,
    at: datetime,
    address: str | None,
    data: QueryDict,
) -> None:
    """Store the action for a second operator, once for each form, with an audit entry."""
    cleaned = form.cleaned_data
    sent = {name: data.getlist(name) for name in form.fields if name in data}
    customer = subjects.customer_of(subject)
    try:
        with transaction.atomic():
            asked = approvals.request(
                act.name,
                subject_id=None if subject is None else subject.pk,
                customer=customer,
                worth=worth,
                form=sent,
                reason=cleaned["reason"],
                token=cleaned["token"],
                by=by,
                at=at,
            )
            _write(asked, "approval-ask", by=by, reason=asked.reason, at=at, address=address)
    except IntegrityError:
        if not PendingAct.objects.filter(token=cleaned["token"]).exists():
            raise


def decide_and_perform(
    pk: int, state: State, *, by: User, at: datetime, address: str | None
) -> models.Model | None:
    """Decide a pending action in one transaction; if approved, perform it. Return its subject.

    Raises Refused; the operator who made the request can only withdraw it.
    """
    try:
        with transaction.atomic():
            asked = approvals.decide(pk, state, by=by, at=at)
            act = ACTIONS[asked.act]
            if not roles.may(by, act.permission) and state is not State.WITHDRAWN:
                raise RuleError("not_pending")
            if (state is State.WITHDRAWN) != (asked.by_id == by.pk):
                raise RuleError("own_request")
            if state is not State.APPROVED:
                _write(asked, f"approval-{state}", by=by, reason=asked.reason, at=at, address=address)
                return None
            if not roles.may(asked.by, act.permission):
                raise RuleError("not_pending")
            subject = None if act.creates else act.model._default_manager.get(pk=asked.subject_id)
            form = act.form(_as_sent(asked.form), subject=subject)
            if not form.is_valid() or (subject is not None and not act.is_available(subject)):
                raise Refused(_("该操作已不能执行，请拒绝它并重新提交。"))
            return actions.perform(
                act, subject, form.cleaned_data, by=by, at=at, address=address, approves=asked
            )
    except RuleError as error:
        raise Refused(sentence(error)) from error
    except DoneBefore as error:
        raise Refused(sentence(RuleError("not_pending"))) from error


def question(pk: int) -> str:
    """Return the question for the approver; "" if the request does not exist."""
    asked = PendingAct.objects.select_related("customer", "by").filter(pk=pk).first()
    return _question(asked) if asked is not None and asked.act in ACTIONS else ""


def _question(asked: PendingAct) -> str:
    """Name the action, its amount, the customer and who made the request."""
    return _("批准 %(by)s 提交的“%(act)s”（%(worth)s，客户 %(customer)s）？批准后立即执行，不能撤销。") % {
        "by": asked.by.username,
        "act": ACTIONS[asked.act].label,
        "worth": money(asked.worth),
        "customer": asked.customer.username if asked.customer else "–",
    }


def _as_sent(form: Mapping[str, list[str]]) -> QueryDict:
    data = QueryDict(mutable=True)
    for name, values in form.items():
        data.setlist(name, values)
    return data


def _write(asked: PendingAct, act: str, *, by: User, reason: str, at: datetime, address: str | None) -> None:
    details = {"act": asked.act, "amount": asked.worth, "requested_by": asked.by.username}
    audit.record(
        act, asked, by=by, reason=reason, at=at, customer=asked.customer, address=address, details=details
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending action as one operator sees it."""

    asked: PendingAct
    label: Any
    details: list[tuple[str, str]]
    changes: list[previews.Change]
    question: str
    sees_all: bool
    may_decide: bool
    is_own: bool


def waiting(user: User, at: datetime) -> list[Waiting]:
    """Return the pending actions, oldest first, with the decisions that this operator may make.

    Balances and reasons are shown only to operators who could decide or see them elsewhere.
    """
    found = approvals.pending(at).select_related("by", "customer").order_by("pk")[:200]
    return [_seen_by(user, asked, at) for asked in found if asked.act in ACTIONS]


def _seen_by(user: User, asked: PendingAct, at: datetime) -> Waiting:
    is_own = asked.by_id == user.pk
    may_act = roles.may(user, ACTIONS[asked.act].permission)
    sees_all = may_act or is_own or roles.may(user, "ops_desk")
    return Waiting(
        asked,
        ACTIONS[asked.act].label,
        _described(asked) if sees_all else [],
        _changes(asked, at) if sees_all else [],
        _question(asked),
        sees_all=sees_all,
        may_decide=may_act and not is_own and restrictions.is_in_reach(asked.customer, user),
        is_own=is_own,
    )


def _changes(asked: PendingAct, at: datetime) -> list[previews.Change]:
    """Return what the action would change if it were approved now; empty if it can't be performed."""
    act = ACTIONS[asked.act]
    subject = None if act.creates else act.model._default_manager.filter(pk=asked.subject_id).first()
    if subject is None or not act.is_available(subject):
        return []
    form = act.form(_as_sent(asked.form), subject=subject)
    return previews.of(act.name, subject, form.cleaned_data, at) if form.is_valid() else []


def _described(asked: PendingAct) -> list[tuple[str, str]]:
    """Return the fields of the form with their labels, without the reason."""
    fields = ACTIONS[asked.act].form.base_fields
    return [
        (str(fields[name].label), "、".join(values))
        for name, values in asked.form.items()
        if name in fields and name not in ("reason", "token") and any(values)
    ]
