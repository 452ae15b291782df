"""Customers, operators and invitations. Written by accounts/users/."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users import usernames


class UserManager(DjangoUserManager["User"]):
    """Django's manager, except that superusers created on the command line have a verified address."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        extra.setdefault("email_verified_at", timezone.now())
        return super().create_superuser(username, email, password, **extra)


class User(AbstractUser):
    """A customer or, with `is_staff`, an operator.

    The e-mail address belongs to the account once it is verified (addresses.py), and is then unique
    regardless of case. `name_skeleton` keeps look-alike names unique (usernames.py).
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
        """Set the skeleton of a new account. Raises IntegrityError if a look-alike name has it."""
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
