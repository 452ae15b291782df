"""Customers, regions, Apps and their keys. Apps are written by applications.py, AppKeys by keys.py."""

import secrets
import string
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import names
from accounts.approvals import PendingAct as PendingAct  # tables of this room
from accounts.audit import AuditEntry as AuditEntry
from accounts.users import usernames


class UserManager(DjangoUserManager["User"]):
    """Django's; whoever may make a superuser on the command line vouches for the address."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        extra.setdefault("email_verified_at", timezone.now())
        return super().create_superuser(username, email, password, **extra)


class User(AbstractUser):
    """A customer or, with `is_staff`, an operator.

    The e-mail address belongs to the account once it is verified (addresses.py), and is then unique whatever
    its case. `name_skeleton` makes names unique that look alike (usernames.py).
    """

    email = models.EmailField(_("邮箱"))
    email_verified_at = models.DateTimeField(_("邮箱验证时间"), null=True, blank=True)
    new_email = models.EmailField(_("待验证的新邮箱"), blank=True, default="", db_default="")
    name_skeleton = models.CharField(max_length=150, unique=True, null=True, editable=False)
    company = models.CharField(_("公司"), max_length=100, blank=True)
    phone = models.CharField(_("手机号"), max_length=32, blank=True)
    language = models.CharField(
        _("语言"), max_length=10, choices=[("zh-hans", "简体中文"), ("en", "English")], default="zh-hans"
    )

    REQUIRED_FIELDS = ["email"]
    objects: ClassVar[UserManager] = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"), condition=Q(email_verified_at__isnull=False), name="user_email_verified_once"
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new account takes the skeleton of its name; IntegrityError if a name that looks alike has it."""
        if self._state.adding and self.name_skeleton is None:
            self.name_skeleton = usernames.skeleton(self.username)
        super().save(*args, **kwargs)


class Invitation(models.Model):
    """An operator's invitation to register, mailed to one address (invitations.py)."""

    email = models.EmailField(_("邮箱"))
    by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("操作员"))
    created_at = models.DateTimeField(_("创建时间"))
    expires_at = models.DateTimeField(_("失效时间"))
    used_at = models.DateTimeField(_("使用时间"), null=True, blank=True)
    user = models.OneToOneField(
        User, models.PROTECT, related_name="invitation", null=True, blank=True, verbose_name=_("注册的账号")
    )

    class Meta:
        ordering = ["-pk"]
        verbose_name = verbose_name_plural = _("邀请")

    def __str__(self) -> str:
        return self.email


class Region(models.Model):
    """地域 (资源池): where an App's service runs."""

    code = models.SlugField(_("代码"), max_length=32, unique=True)
    name = models.CharField(_("名称"), max_length=32, unique=True)
    name_en = models.CharField(_("英文名称"), max_length=32)
    is_active = models.BooleanField(_("开放订购"), default=True)
    position = models.PositiveSmallIntegerField(_("次序"), default=0)

    class Meta:
        ordering = ["position", "code"]
        verbose_name = verbose_name_plural = _("地域")

    def __str__(self) -> str:
        return self.name


def new_app_id() -> str:
    """A public identity: `app-` and ten random characters."""
    return "app-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _i in range(10))


class App(models.Model):
    """应用: what a customer's packages, keys and calls belong to."""

    app_id = models.CharField(_("应用 ID"), max_length=16, unique=True, default=new_app_id, editable=False)
    customer = models.ForeignKey(User, models.PROTECT, related_name="apps", verbose_name=_("客户"))
    region = models.ForeignKey(Region, models.PROTECT, related_name="apps", verbose_name=_("地域"))
    name = models.CharField(_("应用名称"), max_length=names.NAME_LENGTH)
    description = models.CharField(_("应用描述"), max_length=names.DESCRIPTION_LENGTH)
    created_at = models.DateTimeField(_("创建时间"))
    rate_per_s = models.PositiveIntegerField(_("每秒请求上限"), null=True, blank=True)
    concurrency = models.PositiveIntegerField(_("并发上限"), null=True, blank=True)
    allowed_addresses = ArrayField(
        models.CharField(max_length=43), verbose_name=_("允许的地址 (CIDR)"), default=list, blank=True
    )

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = verbose_name_plural = _("应用")
        indexes = [
            models.Index(fields=["customer", "-created_at"], name="app_of_customer"),
            models.Index(fields=["created_at"], name="app_created"),  # the operators' reports
        ]
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=names.NAME_PATTERN), name="app_name_rule"),
            models.CheckConstraint(
                condition=(Q(rate_per_s=None) | Q(rate_per_s__gte=1))
                & (Q(concurrency=None) | Q(concurrency__gte=1)),
                name="app_limits_positive",
            ),
            models.CheckConstraint(
                condition=Q(description__regex=names.DESCRIPTION_PATTERN), name="app_description_rule"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


class AppKey(models.Model):
    """An AppKey with its SecretKey, encrypted. Live while it is neither disabled nor past `expires_at`."""

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
