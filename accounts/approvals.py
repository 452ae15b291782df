"""Acts above an amount wait for a second operator (four eyes). The only writer of PendingAct.

A pending act keeps the form as it was sent. Another operator, who holds the permission of the act, approves
it; until then nothing has happened, and after `expires_at` nothing can.
"""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.audit import REASON_LENGTH
from accounts.errors import RuleError

if TYPE_CHECKING:
    from accounts.models import User


class State(models.TextChoices):
    """What became of a pending act. One that was not decided in time stays pending, and has expired."""

    PENDING = "pending", _("待批准")
    APPROVED = "approved", _("已批准")
    DECLINED = "declined", _("已拒绝")
    WITHDRAWN = "withdrawn", _("已撤回")


class PendingAct(models.Model):
    """One act of one operator that waits for another."""

    act = models.SlugField(_("操作"), max_length=32, db_index=False)
    subject_id = models.BigIntegerField(_("对象编号"), null=True)  # none for an act that makes its subject
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("客户")
    )
    worth = models.DecimalField(_("金额（元）"), max_digits=14, decimal_places=2)
    form = models.JSONField(_("表单"), default=dict)  # name → values, as a browser sends them
    reason = models.CharField(_("原因"), max_length=REASON_LENGTH)
    token = models.UUIDField(unique=True, editable=False)  # of the form, which counts once
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作员")
    )
    requested_at = models.DateTimeField(_("提交时间"))
    expires_at = models.DateTimeField(_("失效时间"))
    state = models.CharField(_("状态"), max_length=10, choices=State, default=State.PENDING)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("批准人")
    )
    decided_at = models.DateTimeField(_("决定时间"), null=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("待批准的操作")
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="pending_act_open"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="pending", decided_by=None, decided_at=None)
                | Q(decided_by__isnull=False, decided_at__isnull=False) & ~Q(state="pending"),
                name="pending_act_state_agrees",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("by")), name="pending_act_four_eyes"
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(customer=None) | ~Q(decided_by=F("customer")),
                name="pending_act_not_for_oneself",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.worth}"


def pending(at: datetime) -> "models.QuerySet[PendingAct]":
    """Return the acts that can still be decided, newest first."""
    return PendingAct.objects.filter(state=State.PENDING, expires_at__gt=at)


def request(
    act: str,
    *,
    subject_id: int | None,
    customer: "User | None",
    worth: Decimal,
    form: dict[str, Any],
    reason: str,
    token: UUID,
    by: "User",
    at: datetime,
) -> PendingAct:
    """Keep an act for a second operator. IntegrityError for a `token` that was used."""
    return PendingAct.objects.create(
        act=act,
        subject_id=subject_id,
        customer=customer,
        worth=worth,
        form=form,
        reason=reason,
        token=token,
        by=by,
        requested_at=at,
        expires_at=at + settings.APPROVAL_TIME,
    )


def decide(pk: int, state: State, *, by: "User", at: datetime) -> PendingAct:
    """Close a pending act, in the caller's transaction, once.

    RuleError `not_pending`, `own_request`, `own_account`.
    """
    found = pending(at).select_for_update(of=("self",)).select_related("by", "customer").filter(pk=pk).first()
    if found is None:
        raise RuleError("not_pending")
    if state is State.APPROVED and found.by_id == by.pk:
        raise RuleError("own_request")
    if state is State.APPROVED and found.customer_id == by.pk:
        raise RuleError("own_account")
    found.state, found.decided_by, found.decided_at = state, by, at
    found.save(update_fields=["state", "decided_by", "decided_at"])
    return found
