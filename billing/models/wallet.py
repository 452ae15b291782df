"""Money: the ledgers of wallets and vouchers. Written by billing/payments/.

Ledger entries are append-only: a trigger rejects UPDATE and DELETE. `balance` and `remaining` are the sums of
the entries, stored so that spending is one conditional UPDATE; reconcile checks that they agree.
"""

from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.models.catalogue import Api
from billing.models.orders import Order


class EntryKind(models.TextChoices):
    """The cause of a movement of money."""

    TOP_UP = "top_up", _("充值")
    PAYMENT = "payment", _("支付")
    REFUND = "refund", _("退款")
    REVERSAL = "reversal", _("冲正")


class Wallet(models.Model):
    """账户余额 of one customer, in yuan; never below zero."""

    customer = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        primary_key=True,
        related_name="wallet",
        verbose_name=_("客户"),
    )
    balance = models.DecimalField(_("余额"), max_digits=14, decimal_places=2, default=0)

    class Meta:
        verbose_name = verbose_name_plural = _("账户余额")
        constraints = [models.CheckConstraint(condition=Q(balance__gte=0), name="wallet_not_negative")]

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.balance}"


def new_token() -> str:
    """Return a random token for an entry that was not created by a form."""
    return uuid4().hex


class WalletEntry(models.Model):
    """One movement of money: top-ups and refunds are positive, payments and reversals negative. Append-only.

    A reversal takes back a mistaken top-up, or part of it, and refers to it in `reverses`. `token` identifies
    the submission of an operator's form, so that a double click tops up only once.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries", verbose_name=_("账户"))
    kind = models.CharField(_("类型"), max_length=8, choices=EntryKind)
    amount = models.DecimalField(_("金额"), max_digits=12, decimal_places=2)
    balance_after = models.DecimalField(_("余额"), max_digits=14, decimal_places=2)
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        related_name="wallet_entries",
        null=True,
        blank=True,
        verbose_name=pgettext_lazy("one", "订单"),
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("操作员"),
    )
    reverses = models.ForeignKey(
        "self",
        models.PROTECT,
        related_name="reversals",
        null=True,
        blank=True,
        db_index=False,  # wallet_reversed_once is its index
        verbose_name=_("冲正的充值"),
    )
    reason = models.CharField(_("原因"), max_length=200, blank=True)
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    at = models.DateTimeField(_("时间"))

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("收支明细")
        indexes = [
            models.Index(fields=["wallet", "-id"], name="wallet_entry_statement"),
            # For the operators' reports; payments are read from their orders.
            models.Index(
                fields=["at"], condition=Q(kind__in=["top_up", "refund"]), name="wallet_entry_by_hand"
            ),
            models.Index(fields=["at"], condition=Q(kind="reversal"), name="wallet_entry_reversal"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind="payment"), name="wallet_one_payment_per_order"
            ),
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind="refund"), name="wallet_one_refund_per_order"
            ),
            models.UniqueConstraint(
                fields=["reverses"], condition=Q(kind="reversal"), name="wallet_reversed_once"
            ),
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="wallet_entry_not_negative"),
            models.CheckConstraint(
                condition=Q(kind="top_up", amount__gt=0, order=None, by__isnull=False) & ~Q(reason="")
                | Q(kind="payment", amount__lt=0, order__isnull=False)
                | Q(kind="refund", amount__gt=0, order__isnull=False, by__isnull=False) & ~Q(reason="")
                | Q(kind="reversal", amount__lt=0, order=None, by__isnull=False, reverses__isnull=False)
                & ~Q(reason=""),
                name="wallet_entry_kind_agrees",
            ),
            models.CheckConstraint(
                condition=Q(reverses=None) | Q(kind="reversal"), name="wallet_entry_only_reversals"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class Voucher(models.Model):
    """代金券: granted to a customer, or a code that belongs to the first customer who redeems it."""

    code = models.CharField(_("券码"), max_length=32, unique=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="vouchers",
        null=True,
        blank=True,
        verbose_name=_("客户"),
    )
    face_value = models.DecimalField(_("面值"), max_digits=12, decimal_places=2)
    remaining = models.DecimalField(_("剩余"), max_digits=12, decimal_places=2)
    valid_from = models.DateTimeField(_("生效时间"))
    valid_until = models.DateTimeField(_("失效时间"))
    apis = ArrayField(
        models.CharField(max_length=16, choices=Api),
        verbose_name=_("适用 API (空为全部)"),
        default=list,
        blank=True,
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作员")
    )
    created_at = models.DateTimeField(_("创建时间"))
    redeemed_at = models.DateTimeField(_("领取时间"), null=True, blank=True)
    reason = models.CharField(_("原因"), max_length=200)

    class Meta:
        ordering = ["valid_until", "pk"]
        verbose_name = verbose_name_plural = _("代金券")
        indexes = [models.Index(fields=["customer", "valid_until", "id"], name="voucher_burn_order")]
        constraints = [
            models.CheckConstraint(
                condition=Q(face_value__gt=0, remaining__gte=0, remaining__lte=F("face_value")),
                name="voucher_within_face_value",
            ),
            models.CheckConstraint(condition=Q(valid_until__gt=F("valid_from")), name="voucher_window"),
            models.CheckConstraint(condition=~Q(reason=""), name="voucher_has_reason"),
            models.CheckConstraint(
                condition=Q(customer=None, redeemed_at=None, remaining=F("face_value"))
                | Q(customer__isnull=False, redeemed_at__isnull=False),
                name="voucher_owner_agrees",
            ),
        ]

    def __str__(self) -> str:
        return self.masked_code

    @property
    def masked_code(self) -> str:
        """The code as operators see it: only its last four characters."""
        return masked(self.code)


def masked(code: str) -> str:
    """Return a voucher's code with all but its last four characters masked."""
    return f"····-{code[-4:]}"


class VoucherEntry(models.Model):
    """An amount that an order spent (negative) or a refund returned (positive). Append-only."""

    voucher = models.ForeignKey(
        Voucher, models.PROTECT, related_name="entries", verbose_name=pgettext_lazy("one", "代金券")
    )
    order = models.ForeignKey(
        Order, models.PROTECT, related_name="voucher_entries", verbose_name=pgettext_lazy("one", "订单")
    )
    amount = models.DecimalField(_("金额"), max_digits=12, decimal_places=2)
    at = models.DateTimeField(_("时间"))

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("代金券使用")
        indexes = [models.Index(fields=["at"], condition=Q(amount__gt=0), name="voucher_entry_put_back")]
        constraints = [
            models.UniqueConstraint(
                fields=["voucher", "order"], condition=Q(amount__lt=0), name="voucher_spent_once_per_order"
            ),
            models.UniqueConstraint(
                fields=["voucher", "order"], condition=Q(amount__gt=0), name="voucher_back_once_per_order"
            ),
            models.CheckConstraint(condition=~Q(amount=0), name="voucher_entry_moves"),
        ]

    def __str__(self) -> str:
        return f"{self.voucher_id} {self.amount}"
