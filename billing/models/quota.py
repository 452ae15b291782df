"""Packages, their Periods, and the Debits of calls.

Packages and Periods are created by billing/packages.py and changed by extension.py and refunds.py. Debits and
`Period.used` are written by billing/quota.py.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import App
from billing.models.catalogue import Api, Meter
from billing.models.orders import Order


class Package(models.Model):
    """资源包: what a paid order adds to an App, from the payment to the end of its last month."""

    order = models.OneToOneField(
        Order, models.PROTECT, related_name="package", verbose_name=pgettext_lazy("one", "订单")
    )
    app = models.ForeignKey(
        App, models.PROTECT, related_name="packages", db_index=False, verbose_name=_("应用")
    )
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    units_per_period = models.PositiveIntegerField(_("每月额度"))
    starts_at = models.DateTimeField(_("生效时间"))
    ends_at = models.DateTimeField(_("到期时间"))
    extra_months = models.PositiveSmallIntegerField(_("延长月数"), default=0)  # by billing/extension.py
    refunded_at = models.DateTimeField(_("退款时间"), null=True, blank=True)
    refunded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("退款操作员"),
    )
    refund_reason = models.CharField(_("退款原因"), max_length=200, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("资源包")
        indexes = [
            models.Index(fields=["app", "api", "ends_at"], include=["refunded_at"], name="package_of_app"),
            models.Index(fields=["ends_at"], name="package_end"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="package_window"),
            models.CheckConstraint(condition=Q(units_per_period__gte=1), name="package_units_positive"),
            models.CheckConstraint(condition=Q(api__in=Api.values), name="package_api_known"),
            models.CheckConstraint(
                condition=Q(refunded_at=None, refunded_by=None)
                | Q(refunded_at__isnull=False, refunded_by__isnull=False) & ~Q(refund_reason=""),
                name="package_refund_agrees",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.app_id} {self.api} {self.ends_at:%F}"


class Period(models.Model):
    """计费周期: one month [starts_at, ends_at) of a Package, its granted and its used units.

    `used` counts held, settling and settled Debits. App, API and meter are copies of the Package's, so that
    one index finds the live Periods; a composite foreign key keeps them equal. A refund sets `granted` to 0.
    """

    package = models.ForeignKey(
        Package, models.PROTECT, related_name="periods", verbose_name=pgettext_lazy("one", "资源包")
    )
    app = models.ForeignKey(
        App, models.PROTECT, related_name="periods", db_index=False, verbose_name=_("应用")
    )
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    meter = models.CharField(_("计量方式"), max_length=8, choices=Meter)
    number = models.PositiveSmallIntegerField(_("序号"))  # from 0: the Period that starts at the payment
    starts_at = models.DateTimeField(_("开始时间"))
    ends_at = models.DateTimeField(_("结束时间"))
    granted = models.PositiveIntegerField(_("额度"))
    used = models.PositiveIntegerField(_("已用"), default=0)

    class Meta:
        ordering = ["ends_at", "package_id"]
        verbose_name = verbose_name_plural = _("计费周期")
        indexes = [
            models.Index(fields=["app", "api", "ends_at", "package"], name="period_burn_order"),
            models.Index(fields=["ends_at"], name="period_end"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["package", "number"], name="period_once"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="period_window"),
            models.CheckConstraint(condition=Q(meter__in=Meter.values), name="period_meter_known"),
            models.CheckConstraint(
                condition=Q(used__gte=0, used__lte=F("granted")), name="period_used_within_granted"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.package_id}/{self.number} {self.used}/{self.granted}"


class PeriodSample(models.Model):
    """`used` of a Period at the start of a local day, for the forecast. Written by forecast.py."""

    period = models.ForeignKey(Period, models.PROTECT, related_name="samples")
    at = models.DateTimeField()
    used = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["at", "period"], name="period_sample_once")]

    def __str__(self) -> str:
        return f"{self.period_id} {self.at} {self.used}"


class DebitState(models.TextChoices):
    """held → settling (an answer with code 0 is about to be sent) → settled (it was sent).

    From `held` and `settling`, a Debit becomes `returned` if the call ends otherwise, or by the sweep after
    `hold_expires_at`.
    """

    HELD = "held", _("预扣")
    SETTLING = "settling", _("待确认")
    SETTLED = "settled", _("已抵扣")
    RETURNED = "returned", _("已退回")


class Debit(models.Model):
    """抵扣: the units that one call took, from one or more Periods. The key is the call's id.

    Settled and returned are final: a trigger rejects any UPDATE. After `hold_expires_at` the sweep may return
    the units of a Debit that is still held or settling.
    """

    call_id = models.UUIDField(_("请求 ID"), primary_key=True)
    app = models.ForeignKey(
        App, models.PROTECT, related_name="debits", db_index=False, verbose_name=_("应用")
    )
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    units = models.PositiveIntegerField(_("抵扣量"))
    state = models.CharField(_("状态"), max_length=8, choices=DebitState)
    remaining_after = models.PositiveBigIntegerField(_("抵扣后剩余"))
    created_at = models.DateTimeField(_("时间"))
    hold_expires_at = models.DateTimeField(_("预扣期限"))
    closed_at = models.DateTimeField(_("结束时间"), null=True)

    class Meta:
        verbose_name = verbose_name_plural = _("抵扣")
        indexes = [
            models.Index(
                fields=["hold_expires_at"],
                condition=Q(state__in=["held", "settling"]),
                name="debit_open_until",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(units__gte=1), name="debit_units_positive"),
            models.CheckConstraint(
                condition=Q(state="held", closed_at=None)
                | Q(state__in=["settling", "settled", "returned"], closed_at__isnull=False),
                name="debit_state_agrees",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} {self.state} {self.units}"


class DebitLine(models.Model):
    """The part of a Debit that one Period paid."""

    debit = models.ForeignKey(Debit, models.PROTECT, related_name="lines", db_index=False)
    period = models.ForeignKey(Period, models.PROTECT, related_name="lines")
    units = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["debit", "period"], name="debit_line_once"),
            models.CheckConstraint(condition=Q(units__gte=1), name="debit_line_units_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.debit_id} {self.period_id} {self.units}"
