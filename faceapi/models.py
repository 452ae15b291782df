"""One row for each call of an App, and the hourly roll-up that the reports read.

A Call never holds an image, the address of an image or a result: ids, times, counts, code and the caller's
address. Requests that were not authentic are not calls of an App: they are only counted and logged.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models import Api
from faceapi.usage.histogram import SLOTS

SUMS = ("calls", "images", "units", "latency_sum_ms", "queue_sum_ms", "infer_sum_ms")

SLOW_MS = 1_000  # calls that took this long or longer are in the index of slow calls


class Call(models.Model):
    """One request of one App, written when it ends. `id` is the request id and the debit's call id."""

    id = models.UUIDField(_("请求 ID"), primary_key=True, editable=False)
    app = models.ForeignKey(
        "accounts.App", models.PROTECT, related_name="calls", db_index=False, verbose_name=_("应用")
    )
    app_key = models.ForeignKey("accounts.AppKey", models.PROTECT, related_name="+", verbose_name="AppKey")
    region = models.ForeignKey(
        "accounts.Region", models.PROTECT, related_name="+", db_index=False, verbose_name=_("地域")
    )
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    at = models.DateTimeField(_("时间"), help_text=_("请求到达的时刻"))
    code = models.PositiveSmallIntegerField(_("返回码"))
    http_status = models.PositiveSmallIntegerField(_("HTTP 状态码"))
    images = models.PositiveSmallIntegerField(_("图片数"), default=0)
    units = models.PositiveSmallIntegerField(_("计费量"), default=0)
    body_bytes = models.PositiveBigIntegerField(_("请求体字节数"), default=0)
    latency_ms = models.PositiveIntegerField(_("耗时(毫秒)"), default=0)
    queue_ms = models.PositiveIntegerField(_("排队(毫秒)"), default=0)
    infer_ms = models.PositiveIntegerField(_("推理(毫秒)"), default=0)
    address = models.GenericIPAddressField(_("来源地址"), null=True)
    fault_index = models.PositiveSmallIntegerField(_("出错图片序号"), null=True)

    class Meta:
        verbose_name = verbose_name_plural = _("调用记录")
        indexes = [
            models.Index(fields=["app", "-at"], name="call_app_at"),
            models.Index(fields=["app", "api", "-at"], name="call_app_api_at"),
            BrinIndex(fields=["at"], name="call_at_brin"),
            # For the operators' list of failed calls.
            models.Index(fields=["code", "-id"], condition=~Q(code=0), name="call_failed"),
            # For a customer's search for failed or slow calls; both are rare, so the indexes are small.
            models.Index(fields=["app", "code", "-at"], condition=~Q(code=0), name="call_app_failed"),
            models.Index(fields=["app", "-at"], condition=Q(latency_ms__gte=SLOW_MS), name="call_app_slow"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(code=0) | Q(units=0), name="call_failed_costs_nothing"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class UsageHour(models.Model):
    """The calls of one App to one API in one hour, by code; written in the same transaction as each Call.

    `unrecorded` is how many of `calls` are refusals without a row in Call (usage/unattributed.py); they add
    no images or times. Histograms have the fixed slots of faceapi.usage.histogram, so they can be added up.
    """

    app = models.ForeignKey("accounts.App", models.PROTECT, related_name="usage", verbose_name=_("应用"))
    region = models.ForeignKey("accounts.Region", models.PROTECT, related_name="+", verbose_name=_("地域"))
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    hour = models.DateTimeField(_("小时"))
    code = models.PositiveSmallIntegerField(_("返回码"))
    calls = models.PositiveBigIntegerField(_("调用次数"), default=0)
    unrecorded = models.PositiveBigIntegerField(
        _("未逐条记录"), default=0, db_default=0, help_text=_("拒绝的调用中未逐条记录的次数")
    )
    images = models.PositiveBigIntegerField(_("图片数"), default=0)
    units = models.PositiveBigIntegerField(_("计费量"), default=0)
    latency_sum_ms = models.PositiveBigIntegerField(_("总耗时(毫秒)"), default=0)
    queue_sum_ms = models.PositiveBigIntegerField(_("总排队(毫秒)"), default=0)
    infer_sum_ms = models.PositiveBigIntegerField(_("总推理(毫秒)"), default=0)
    latency_histogram = ArrayField(models.IntegerField(), size=SLOTS)
    queue_histogram = ArrayField(models.IntegerField(), size=SLOTS)
    infer_histogram = ArrayField(models.IntegerField(), size=SLOTS)

    class Meta:
        verbose_name = verbose_name_plural = _("每小时用量")
        indexes = [models.Index(fields=["hour"], name="usage_hour")]
        constraints = [
            models.UniqueConstraint(fields=["app", "api", "hour", "code", "region"], name="usage_once"),
        ]

    def __str__(self) -> str:
        return f"{self.app_id} {self.api} {self.hour:%Y-%m-%d %H} {self.code}"


class IdempotencyKey(models.Model):
    """A client's Idempotency-Key, with the API and the SHA-1 of the body that it was first used for.

    `api` is one of Api, or a free API of the face gallery. `call_id` is the call that holds the key;
    `charged_at` is set in the transaction that settles it. A failed call removes its row, so that a retry is
    a first attempt again.
    """

    app = models.ForeignKey("accounts.App", models.CASCADE, related_name="+")
    key_sha256 = models.CharField(max_length=64)
    api = models.CharField(max_length=16)
    body_sha1 = models.CharField(max_length=40)
    call_id = models.UUIDField()
    created_at = models.DateTimeField(db_index=True)
    # Not read, because leases are in Valkey; written for the previous version, to be dropped in a later one.
    lease_until = models.DateTimeField(help_text="while unsettled, nobody else may take the key before this")
    charged_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = _("幂等键")
        constraints = [models.UniqueConstraint(fields=["app", "key_sha256"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return str(self.call_id)


class _Sums(models.Model):
    region = models.ForeignKey("accounts.Region", models.PROTECT, related_name="+", verbose_name=_("地域"))
    api = models.CharField(_("API 类型"), max_length=16, choices=Api)
    code = models.PositiveSmallIntegerField(_("返回码"))
    calls = models.PositiveBigIntegerField(_("调用次数"))
    images = models.PositiveBigIntegerField(_("图片数"))
    units = models.PositiveBigIntegerField(_("计费量"))
    latency_sum_ms = models.PositiveBigIntegerField(_("总耗时(毫秒)"))
    queue_sum_ms = models.PositiveBigIntegerField(_("总排队(毫秒)"))
    infer_sum_ms = models.PositiveBigIntegerField(_("总推理(毫秒)"))
    latency_histogram = ArrayField(models.BigIntegerField(), size=SLOTS)
    queue_histogram = ArrayField(models.BigIntegerField(), size=SLOTS)
    infer_histogram = ArrayField(models.BigIntegerField(), size=SLOTS)

    class Meta:
        abstract = True


class UsageDay(_Sums):
    """The calls of one App to one API on one local day, by code. `day` is the local midnight at its start."""

    day = models.DateTimeField(_("日期"))
    app = models.ForeignKey("accounts.App", models.PROTECT, related_name="usage_days", verbose_name=_("应用"))

    class Meta:
        verbose_name = verbose_name_plural = _("每日用量")
        constraints = [
            models.UniqueConstraint(
                fields=["app", "day", "api", "region", "code"],
                # covering index: a report over all Apps does not read the wide rows
                include=list(SUMS),
                name="usage_day_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["day", "app", "api", "region", "code"],
                include=list(SUMS),
                name="usage_day_of_all",
            )
        ]

    def __str__(self) -> str:
        return f"{self.app_id} {self.api} {self.day:%Y-%m-%d} {self.code}"


class ServiceHour(_Sums):
    """The calls of all Apps to one API in one hour, by code."""

    hour = models.DateTimeField(_("小时"))

    class Meta:
        verbose_name = verbose_name_plural = _("每小时总量")
        constraints = [
            models.UniqueConstraint(fields=["hour", "api", "region", "code"], name="service_hour_once"),
        ]

    def __str__(self) -> str:
        return f"{self.api} {self.hour:%Y-%m-%d %H} {self.code}"
