"""Customers, operators and invitations. Written by accounts/users/."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.contrib.auth import hashers
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
    erased_at = models.DateTimeField(_("个人信息清除时间"), null=True, blank=True)  # erasure.py
    # Incremented to end all sessions of the account (sessions.py); each session holds the value of its login.
    session_version = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    REQUIRED_FIELDS = ["email"]
    objects: ClassVar[UserManager] = UserManager()
    _stored: Mapping[str, Any] = MappingProxyType({})  # the values in the database, as far as they were read

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"), condition=Q(email_verified_at__isnull=False), name="user_email_verified_once"
            ),
            models.CheckConstraint(
                condition=Q(erased_at=None)
                | Q(
                    is_active=False,
                    email="",
                    email_verified_at=None,
                    new_email="",
                    company="",
                    phone="",
                    first_name="",
                    last_name="",
                ),
                name="user_erased_is_empty",
            ),
        ]

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is right. A former kind of hash is replaced, unless it just was."""
        verified = self.password

        def rehash(raw_password: str) -> None:
            self.set_password(raw_password)
            self._password = None  # Django's validators need not know of it again
            type(self).objects.filter(pk=self.pk, password=verified).update(password=self.password)

        return hashers.check_password(raw_password, verified, rehash)

    def get_session_auth_hash(self) -> str:
        """Return what a session must hold: it changes with the password and with `session_version`."""
        return self._with_version(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._with_version, super().get_session_auth_fallback_hash())

    def _with_version(self, digest: str) -> str:
        """Append the version; none to the first one, so that sessions of the previous release stay valid."""
        return f"{digest}.{self.session_version}" if self.session_version else digest

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any
    ) -> Self:
        user = super().from_db(db, field_names, values, **more)
        user._stored = user._values()
        return user

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        super().refresh_from_db(using, fields, from_queryset)
        self._stored = {**self._stored, **self._values(fields)}

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **more: Any) -> None:
        """Insert the row, or update the fields that were changed since it was read.

        Django's forms save whole rows. A row that was read before an operator closed the account would open
        it again. Sets the skeleton of a new account. Raises IntegrityError if a look-alike name has it.
        """
        if self._state.adding:
            if self.name_skeleton is None:
                self.name_skeleton = usernames.skeleton(self.username)
        elif update_fields is None:
            update_fields = [
                name for name, value in self._values().items() if self._stored.get(name) != value
            ]
        super().save(*args, update_fields=update_fields, **more)
        self._stored = {**self._stored, **self._values(update_fields)}

    def _values(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the values of these fields, or of all, without deferred ones."""
        wanted = {field.attname for field in self._meta.concrete_fields} if names is None else set(names)
        return {name: self.__dict__[name] for name in wanted if name in self.__dict__}


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
