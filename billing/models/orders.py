"""Orders. Written by billing/orders.py."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts import names
from accounts.models import App, Region
from billing.models.catalogue import MAX_UNITS, Meter, Sku, spec_text


class OrderState(models.TextChoices):
    """待支付 → 已完成, or 待支付 → 已取消."""

    PENDING = "pending", _("待支付")
    PAID = "paid", _("已完成")
    CANCELLED = "cancelled", _("已取消")


class CancelReason(models.TextChoices):
    """Why an order was cancelled."""

    NONE = "", ""
    CUSTOMER = "customer", _("客户取消")
    OPERATOR = "operator", _("运营人员取消")
    EXPIRED = "expired", _("超时未支付")


class Order(models.Model):
    """An order of 1 to 9 packages of one Sku for some months, for a new App or an existing one.

    Price, units and meter are copied from the catalogue at creation. A trigger rejects changes of what was
    ordered, and of a final state. `token` makes creation idempotent.
    """

    number = models.CharField(_("订单编号"), max_length=20, unique=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders", verbose_name=_("客户")
    )
    token = models.CharField(max_length=64, editable=False)
    app = models.ForeignKey(
        App, models.PROTECT, related_name="orders", null=True, blank=True, verbose_name=_("应用")
    )
    is_new_app = models.BooleanField(_("新应用"))
    app_name = models.CharField(_("应用名称"), max_length=names.NAME_LENGTH)
    app_description = models.CharField(_("应用描述"), max_length=names.DESCRIPTION_LENGTH)
    region = models.ForeignKey(Region, models.PROTECT, related_name="+", verbose_name=_("地域"))
    sku = models.ForeignKey(Sku, models.PROTECT, related_name="+", verbose_name=_("规格"))
    quantity = models.PositiveSmallIntegerField(_("数量"))
    months = models.PositiveSmallIntegerField(_("购买时长"))
    units_per_month = models.PositiveIntegerField(_("每份每月额度"))
    meter = models.CharField(_("计量方式"), max_length=8, choices=Meter)
    unit_price = models.DecimalField(_("单价（元/月）"), max_digits=12, decimal_places=2)
    amount = models.DecimalField(_("金额（元）"), max_digits=12, decimal_places=2)
    state = models.CharField(_("状态"), max_length=10, choices=OrderState, default=OrderState.PENDING)
    cancel_reason = models.CharField(
        _("取消原因"), max_length=10, choices=CancelReason, default=CancelReason.NONE, blank=True
    )
    created_at = models.DateTimeField(_("创建时间"))
    expires_at = models.DateTimeField(_("支付期限"))
    paid_at = models.DateTimeField(_("支付时间"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("取消时间"), null=True, blank=True)
    cash_paid = models.DecimalField(_("现金支付"), max_digits=12, decimal_places=2, default=0)
    voucher_paid = models.DecimalField(_("代金券支付"), max_digits=12, decimal_places=2, default=0)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = verbose_name_plural = _("订单")
        indexes = [
            models.Index(fields=["customer", "-created_at", "-id"], name="order_of_customer"),
            models.Index(fields=["customer", "state", "-created_at", "-id"], name="order_of_customer_state"),
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="order_pending_expiry"),
            # For the operators' reports, which read a range of days over all customers.
            models.Index(fields=["created_at"], name="order_created"),
            models.Index(
                fields=["paid_at"],
                include=["customer", "sku", "cash_paid", "voucher_paid"],
                condition=Q(state="paid"),
                name="order_paid",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer", "token"], name="order_token_once"),
            models.CheckConstraint(condition=Q(quantity__range=(1, 9)), name="order_quantity_range"),
            models.CheckConstraint(condition=Q(months__range=(1, 36)), name="order_months_range"),
            models.CheckConstraint(
                condition=Q(units_per_month__range=(1, MAX_UNITS)), name="order_units_range"
            ),
            models.CheckConstraint(condition=Q(meter__in=Meter.values), name="order_meter_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="order_window"),
            models.CheckConstraint(
                condition=Q(unit_price__gte=0, amount=F("unit_price") * F("quantity") * F("months")),
                name="order_amount_is_product",
            ),
            models.CheckConstraint(
                condition=Q(state="paid", paid_at__isnull=False, cancelled_at=None, cancel_reason="")
                & Q(paid_at__lt=F("expires_at"))
                & Q(cash_paid__gte=0, voucher_paid__gte=0, app__isnull=False)
                & Q(amount=F("cash_paid") + F("voucher_paid"))
                | Q(state="pending", paid_at=None, cancelled_at=None, cash_paid=0, voucher_paid=0)
                & Q(cancel_reason="")
                | Q(state="cancelled", paid_at=None, cancelled_at__isnull=False, cash_paid=0, voucher_paid=0)
                & ~Q(cancel_reason=""),
                name="order_state_agrees",
            ),
            models.CheckConstraint(
                condition=Q(is_new_app=True, app=None, state__in=["pending", "cancelled"])
                | Q(app__isnull=False, state="paid")
                | Q(app__isnull=False, is_new_app=False),
                name="order_app_agrees",
            ),
            models.CheckConstraint(
                condition=Q(app_name__regex=names.NAME_PATTERN), name="order_app_name_rule"
            ),
            models.CheckConstraint(
                condition=Q(app_description__regex=names.DESCRIPTION_PATTERN),
                name="order_app_description_rule",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def spec(self) -> str:
        """The spec as ordered: 千张/月."""
        return spec_text(self.sku.tier, self.meter)
