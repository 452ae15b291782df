"""What operators did: who, when, from where, to what, why. Append-only; a trigger refuses UPDATE and DELETE.

An act and its record stand in one transaction, so neither exists without the other. Once it is committed, the
entry is also a line of the log stream.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.errors import RuleError

if TYPE_CHECKING:
    from accounts.models import User

REASON_LENGTH = 200
logger = logging.getLogger("facecloud.audit")


class AuditEntry(models.Model):
    """One act of one operator. `details` are plain values (amounts, before and after), never a secret."""

    at = models.DateTimeField(_("时间"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作员")
    )
    address = models.GenericIPAddressField(_("来源地址"), null=True)
    act = models.SlugField(_("操作"), max_length=32, db_index=False)
    subject = models.CharField(_("对象类型"), max_length=32)
    subject_id = models.CharField(_("对象编号"), max_length=64)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, verbose_name=_("客户")
    )
    reason = models.CharField(_("原因"), max_length=REASON_LENGTH)
    token = models.UUIDField(unique=True, default=uuid4, editable=False)  # of the form: one act, once
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


def record(
    act: str,
    subject: models.Model,
    *,
    by: "User",
    reason: str,
    at: datetime,
    customer: "User | None" = None,
    address: str | None = None,
    token: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Writes the act down, in the transaction of the act. RuleError `reason_missing` without a reason.

    IntegrityError for a `token` that was used: the caller's transaction undoes the second act.
    """
    reason = reason.strip()[:REASON_LENGTH]
    if not reason:
        raise RuleError("reason_missing")
    entry = AuditEntry.objects.create(
        at=at,
        by=by,
        address=address,
        act=act,
        subject=subject._meta.label_lower.rpartition(".")[2],
        subject_id=str(subject.pk),
        customer=customer,
        reason=reason,
        token=token or uuid4(),
        details=dict(details or {}),
    )
    transaction.on_commit(partial(_log, entry))
    return entry


def _log(entry: AuditEntry) -> None:
    """Repeat the entry in the log stream, out of reach of whoever could rewrite the table."""
    logger.info(
        "audit",
        extra={
            "entry": entry.pk,
            "by": entry.by.username,
            "address": entry.address,
            "act": entry.act,
            "subject": entry.subject,
            "subject_id": entry.subject_id,
            "customer": entry.customer.username if entry.customer else None,
            "reason": entry.reason,
            "details": entry.details,
        },
    )
