"""Regions, Apps and their keys. Apps are written by applications.py, AppKeys by keys.py."""

import secrets
import string

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts import names
from accounts.models.users import User
from common.celery import queues


class Region(models.Model):
    """地域 (资源池): the region in which an App's service runs."""

    code = models.SlugField(_("代码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=32, unique=True)
    name_en = models.CharField(_("英文名称"), max_length=32)
    is_active = models.BooleanField(_("开放订购"), default=True)
    position = models.PositiveSmallIntegerField(_("次序"), default=0)
    queue = models.CharField(
        _("推理队列"),
        max_length=queues.INFERENCE_LENGTH,
        default=queues.INFERENCE,
        db_default=queues.INFERENCE,
        validators=[RegexValidator(queues.INFERENCE_PATTERN)],
        help_text=_("inference 由所有未另行设置的 worker 处理；inference.代码 只由订阅它的 worker 处理。"),
    )

    class Meta:
        ordering = ["position", "code"]
        constraints = [
            models.CheckConstraint(
                condition=Q(queue__regex=queues.INFERENCE_PATTERN), name="region_queue_rule"
            ),
        ]
        verbose_name = verbose_name_plural = _("地域")

    def __str__(self) -> str:
        """Return the name in the reader's language."""
        return self.name_en if get_language() == "en" and self.name_en else self.name


def new_app_id() -> str:
    """Return a new public identifier: `app-` and ten random characters."""
    return "app-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _i in range(10))


class App(models.Model):
    """应用: the owner of packages, keys and calls."""

    app_id = models.CharField(_("应用 ID"), max_length=16, unique=True, default=new_app_id, editable=False)
    customer = models.ForeignKey(User, models.PROTECT, related_name="apps", verbose_name=_("客户"))
    region = models.ForeignKey(Region, models.PROTECT, related_name="apps", verbose_name=_("地域"))
    name = models.CharField(_("应用名称"), max_length=names.NAME_LENGTH)
    description = models.CharField(_("应用描述"), max_length=names.DESCRIPTION_LENGTH)
    created_at = models.DateTimeField(_("创建时间"))
    rate_per_s = models.PositiveIntegerField(_("每秒请求上限"), null=True, blank=True)
    concurrency = models.PositiveIntegerField(_("并发上限"), null=True, blank=True)
    face_limit = models.PositiveIntegerField(_("人脸库容量"), null=True, blank=True)
    allowed_addresses = ArrayField(
        models.CharField(max_length=43), verbose_name=_("允许的地址 (CIDR)"), default=list, blank=True
    )
    tags = ArrayField(
        models.CharField(max_length=names.NAME_LENGTH),
        verbose_name=_("标签"),
        default=list,
        db_default=[],
        blank=True,
    )
    archived_at = models.DateTimeField(_("归档时间"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = verbose_name_plural = _("应用")
        indexes = [
            models.Index(fields=["customer", "-created_at"], name="app_of_customer"),
            models.Index(fields=["created_at"], name="app_created"),  # for the operators' reports
        ]
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=names.NAME_PATTERN), name="app_name_rule"),
            models.CheckConstraint(
                condition=(Q(rate_per_s=None) | Q(rate_per_s__gte=1))
                & (Q(concurrency=None) | Q(concurrency__gte=1)),
                name="app_limits_positive",
            ),
            models.CheckConstraint(
                condition=Q(face_limit=None) | Q(face_limit__gte=1), name="app_face_limit_positive"
            ),
            models.CheckConstraint(
                condition=Q(description__regex=names.DESCRIPTION_PATTERN), name="app_description_rule"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


class AppKey(models.Model):
    """An AppKey with its encrypted SecretKey; live until it is disabled or `expires_at` has passed."""

    app = models.ForeignKey(App, models.PROTECT, related_name="keys", verbose_name=_("应用"))
    key = models.CharField("AppKey", max_length=16, unique=True)
    secret_encrypted = models.TextField(editable=False)
    created_at = models.DateTimeField(_("创建时间"))
    disabled_at = models.DateTimeField(_("停用时间"), null=True, blank=True)
    expires_at = models.DateTimeField(_("失效时间"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("最近使用"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = verbose_name_plural = "AppKey"
        constraints = [
            models.CheckConstraint(condition=Q(key__regex="^[0-9a-f]{16}$"), name="app_key_form"),
        ]

    def __str__(self) -> str:
        return self.key
