"""The catalogue: what can be ordered, at which price, for how long. Written by billing/catalogue.py."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


class Api(models.TextChoices):
    """API 类型 (manual 1.2)."""

    FACE_DETECT = "face_detect", _("人脸检测定位")
    FACE_ANALYSE = "face_analyse", _("人脸属性识别")
    FACE_COMPARE = "face_compare", _("人脸比对")
    FACE_SEARCH = "face_search", _("人脸搜索")


class Tier(models.TextChoices):
    """规格 (manual 2): the size of a package, in units a month."""

    THOUSAND = "thousand", _("千")
    TEN_THOUSAND = "ten_thousand", _("万")
    HUNDRED_THOUSAND = "hundred_thousand", _("十万")


class Meter(models.TextChoices):
    """The unit in which a call is counted: images, calls or pairs."""

    IMAGES = "images", _("张")
    CALLS = "calls", _("次")
    PAIRS = "pairs", _("对")


# An order of 9 packages for 36 months at these limits still fits its integer and decimal columns.
MAX_UNITS, MAX_PRICE = 200_000_000, 10_000_000


class Sku(models.Model):
    """One API in one tier: monthly units, meter and the price of one month, in yuan."""

    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    tier = models.CharField(_("规格"), max_length=20, choices=Tier)
    units_per_month = models.PositiveIntegerField(
        _("每月额度"), validators=[MinValueValidator(1), MaxValueValidator(MAX_UNITS)]
    )
    meter = models.CharField(_("计量方式"), max_length=8, choices=Meter)
    price = models.DecimalField(
        _("价格（元/月）"),
        max_digits=12,
        decimal_places=2,
        validators=[MinValueValidator(0), MaxValueValidator(MAX_PRICE)],
    )
    on_sale = models.BooleanField(_("在售"), default=True)

    class Meta:
        ordering = ["api", "units_per_month"]
        verbose_name = verbose_name_plural = _("规格")
        constraints = [
            models.UniqueConstraint(fields=["api", "tier"], name="sku_once"),
            models.CheckConstraint(
                condition=Q(units_per_month__range=(1, MAX_UNITS)), name="sku_units_range"
            ),
            models.CheckConstraint(condition=Q(price__range=(0, MAX_PRICE)), name="sku_price_range"),
            models.CheckConstraint(condition=Q(api__in=Api.values), name="sku_api_known"),
            models.CheckConstraint(condition=Q(meter__in=Meter.values), name="sku_meter_known"),
            models.CheckConstraint(
                condition=Q(api=Api.FACE_COMPARE) | ~Q(meter=Meter.PAIRS), name="sku_pairs_are_compared"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_api_display()} {self.spec}"

    @property
    def spec(self) -> str:
        """The spec in the manual's words: 千张/月, 万次/月."""
        return spec_text(self.tier, self.meter)


def spec_text(tier: str, meter: str) -> str:
    """Return tier and meter as the manual writes them: 千张/月."""
    return _("%(tier)s%(meter)s/月") % {"tier": Tier(tier).label, "meter": Meter(meter).label}


class Duration(models.Model):
    """购买时长: a number of months that can be ordered."""

    months = models.PositiveSmallIntegerField(
        _("月数"), unique=True, validators=[MinValueValidator(1), MaxValueValidator(36)]
    )
    is_active = models.BooleanField(_("开放订购"), default=True)

    class Meta:
        ordering = ["months"]
        verbose_name = verbose_name_plural = _("购买时长")
        constraints = [models.CheckConstraint(condition=Q(months__range=(1, 36)), name="duration_range")]

    def __str__(self) -> str:
        return ngettext("%(n)s 个月", "%(n)s 个月", self.months) % {"n": self.months}


class ScheduledChange(models.Model):
    """A change of a Sku that takes effect automatically at `effective_at`, unless it is cancelled before.

    `failure` says why a change was invalid when it was due. Each change that took effect is also recorded as
    a CatalogueChange.
    """

    sku = models.ForeignKey(Sku, models.PROTECT, related_name="scheduled", verbose_name=_("规格"))
    field = models.CharField(_("字段"), max_length=32)
    before = models.CharField(_("原值"), max_length=100)
    after = models.CharField(_("新值"), max_length=100)
    effective_at = models.DateTimeField(_("生效时间"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作员")
    )
    reason = models.CharField(_("原因"), max_length=200)
    created_at = models.DateTimeField(_("创建时间"))
    applied_at = models.DateTimeField(_("已生效时间"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("取消时间"), null=True, blank=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("取消人"),
    )
    failure = models.CharField(_("未生效的原因"), max_length=200, blank=True)

    class Meta:
        ordering = ["effective_at", "pk"]
        verbose_name = verbose_name_plural = _("定时的目录变更")
        indexes = [
            models.Index(
                fields=["effective_at"],
                condition=Q(applied_at=None, cancelled_at=None),
                name="scheduled_change_pending",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["sku", "field", "effective_at"],
                condition=Q(applied_at=None, cancelled_at=None),
                name="scheduled_change_once",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="scheduled_change_has_reason"),
            models.CheckConstraint(
                condition=Q(applied_at=None) | Q(cancelled_at=None), name="scheduled_change_one_end"
            ),
            models.CheckConstraint(
                condition=Q(effective_at__gt=models.F("created_at")), name="scheduled_change_later"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku_id} {self.field}: {self.before} → {self.after}"


class CatalogueChange(models.Model):
    """A change of the catalogue: who, what, when and why. Append-only."""

    at = models.DateTimeField(_("时间"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("操作员")
    )
    subject = models.CharField(_("对象"), max_length=16)
    subject_id = models.BigIntegerField(_("对象编号"))
    field = models.CharField(_("字段"), max_length=32)
    before = models.CharField(_("原值"), max_length=100)
    after = models.CharField(_("新值"), max_length=100)
    reason = models.CharField(_("原因"), max_length=200)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = verbose_name_plural = _("目录变更")
        indexes = [models.Index(fields=["subject", "subject_id"], name="catalogue_change_subject")]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="catalogue_change_has_reason")]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id} {self.field}: {self.before} → {self.after}"
