"""The audit log, and actions that wait for a second operator. Written by audit.py and approvals.py."""

from uuid import uuid4

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

REASON_LENGTH = 200


class AuditEntry(models.Model):
    """An operator's action, or a customer's on the own account (`by` is then `customer`).

    `details` are plain values (amounts, before and after), never a secret.
    """

    at = models.DateTimeField(_("时间"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作人")
    )
    address = models.GenericIPAddressField(_("来源地址"), null=True)
    act = models.SlugField(_("操作"), max_length=32, db_index=False)
    subject = models.CharField(_("对象类型"), max_length=32)
    subject_id = models.CharField(_("对象编号"), max_length=64)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("客户")
    )
    reason = models.CharField(_("原因"), max_length=REASON_LENGTH)
    # Identifies the submission of a form, so that repeating it does not repeat the action.
    token = models.UUIDField(unique=True, default=uuid4, editable=False)
    details = models.JSONField(_("详情"), default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("审计日志")
        indexes = [
            models.Index(fields=["subject", "subject_id"], name="audit_subject"),
            models.Index(fields=["at"], name="audit_at"),
        ]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="audit_has_reason")]

    def __str__(self) -> str:
        return f"{self.act} {self.subject} {self.subject_id}"


class State(models.TextChoices):
    """The state of a pending action.

    An action that was not decided in time stays pending and counts as expired.
    """

    PENDING = "pending", _("待批准")
    APPROVED = "approved", _("已批准")
    DECLINED = "declined", _("已拒绝")
    WITHDRAWN = "withdrawn", _("已撤回")


class PendingAct(models.Model):
    """One operator's action that waits for the approval of another."""

    act = models.SlugField(_("操作"), max_length=32, db_index=False)
    # None for an action that creates its subject.
    subject_id = models.BigIntegerField(_("对象编号"), null=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("客户")
    )
    worth = models.DecimalField(_("金额（元）"), max_digits=14, decimal_places=2)
    form = models.JSONField(_("表单"), default=dict)  # name → values, as a browser sends them
    reason = models.CharField(_("原因"), max_length=REASON_LENGTH)
    token = models.UUIDField(unique=True, editable=False)  # as in AuditEntry
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
