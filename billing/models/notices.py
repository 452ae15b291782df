"""The inbox and its settings. Written by billing/notices/."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import App
from billing.models.catalogue import Api
from billing.models.orders import Order


class NoticeKind(models.TextChoices):
    """The subject of a notice."""

    QUOTA = "quota", _("用量提醒")
    ENDING = "ending", _("到期提醒")
    UNPAID = "unpaid", _("未支付订单提醒")
    TOP_UP = "top_up", _("充值通知")
    VOUCHER = "voucher", _("代金券通知")
    REFUND = "refund", _("退款通知")
    REVERSAL = "reversal", _("充值冲正通知")
    FACES = "faces", _("人脸到期提醒")


MONEY_KINDS = (NoticeKind.TOP_UP, NoticeKind.VOUCHER, NoticeKind.REFUND, NoticeKind.REVERSAL)


def default_percents() -> list[int]:
    """80 % and 100 % of the month's units."""
    return [80, 100]


class NoticeSettings(models.Model):
    """Which notices a customer gets; without a row, all of them at 80 % and 100 %."""

    customer = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="notice_settings"
    )
    quota_percents = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(100)]),
        default=default_percents,
        blank=True,
    )
    quota_on = models.BooleanField(_("用量提醒"), default=True)
    ending_on = models.BooleanField(_("到期提醒"), default=True)
    unpaid_on = models.BooleanField(_("未支付订单提醒"), default=True)
    money_on = models.BooleanField(_("充值、代金券和退款通知"), default=True, db_default=True)

    def __str__(self) -> str:
        return str(self.customer_id)


class Notice(models.Model):
    """One message in a customer's inbox. `key` identifies its subject, so that it is written once."""

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="notices", verbose_name=_("客户")
    )
    kind = models.CharField(_("类型"), max_length=8, choices=NoticeKind)
    key = models.CharField(max_length=120, editable=False)
    app = models.ForeignKey(
        App, models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("应用")
    )
    api = models.CharField(_("API 类型"), max_length=16, choices=Api, blank=True)
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=pgettext_lazy("one", "订单"),
    )
    percent = models.PositiveSmallIntegerField(_("已用比例 (%)"), null=True, blank=True)
    days = models.PositiveSmallIntegerField(_("剩余天数"), null=True, blank=True)
    amount = models.DecimalField(_("金额"), max_digits=12, decimal_places=2, null=True, blank=True)
    # FACES only: the group's id and how many of its faces will be deleted.
    detail = models.CharField(max_length=80, blank=True, default="", db_default="", editable=False)
    # When the Package or voucher ends, the order is cancelled, the faces are deleted, or the next Period
    # starts (if there is one).
    ends_at = models.DateTimeField(_("截止时间"), null=True, blank=True)
    created_at = models.DateTimeField(_("时间"))
    read_at = models.DateTimeField(_("已读时间"), null=True, blank=True)
    mailed_at = models.DateTimeField(_("邮件时间"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = verbose_name_plural = _("通知")
        indexes = [
            models.Index(fields=["customer", "-created_at", "-id"], name="notice_inbox"),
            models.Index(fields=["id"], condition=models.Q(mailed_at=None), name="notice_to_mail"),
        ]
        constraints = [models.UniqueConstraint(fields=["customer", "key"], name="notice_once")]

    def __str__(self) -> str:
        return self.key
