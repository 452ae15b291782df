"""Subscriptions to reports by mail. Written by accounts/digests.py."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class DigestPeriod(models.TextChoices):
    """The period that a report covers."""

    DAILY = "daily", _("每日")
    WEEKLY = "weekly", _("每周")
    MONTHLY = "monthly", _("每月")


class DigestKind(models.TextChoices):
    """The scope of a report: the user's own usage, or that of all customers (for operators)."""

    ACCOUNT = "account", _("我的用量")
    SERVICE = "service", _("全部客户")


class DigestSubscription(models.Model):
    """A report that a user gets by mail. `sent_until` is the end of the last period that was claimed."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="digests")
    kind = models.CharField(max_length=8, choices=DigestKind)
    period = models.CharField(max_length=8, choices=DigestPeriod)
    sent_until = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "period", "sent_until"], name="digest_due")]
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "period"], name="digest_once"),
            models.CheckConstraint(condition=Q(kind__in=DigestKind.values), name="digest_kind_known"),
            models.CheckConstraint(condition=Q(period__in=DigestPeriod.values), name="digest_period_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind} {self.period}"
