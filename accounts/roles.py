"""The roles of operators: Django groups with custom permissions, identical in every installation.

A permission is for an action, not for a table: Django's admin is read-only for everyone, and each action is a
function that checks its rules. The first migration creates the groups; a new permission needs a migration
that calls `install`.
"""

from collections.abc import Iterable

from django.apps.registry import Apps
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.errors import RuleError
from accounts.models import User
from accounts.users import sessions

PERMISSIONS = {
    "ops_reports": _("查看用量报表和实时状态"),
    "ops_records": _("查看记录"),
    "ops_desk": _("使用客户服务台"),
    "ops_voucher": _("发放代金券"),
    "ops_top_up": _("为账户充值"),
    "ops_refund": _("退款"),
    "ops_cancel": _("取消订单"),
    "ops_extend": _("延长资源包"),
    "ops_catalogue": _("修改目录"),
    "ops_limits": _("设置应用限制"),
    "ops_keys": _("停用密钥"),
    "ops_people": _("管理操作员和客户账号"),
    "ops_audit": _("查看审计日志"),
}
_DESK = ("ops_reports", "ops_records", "ops_desk")
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": ("ops_reports",),
    "support": (*_DESK, "ops_voucher"),
    "finance": (*_DESK, "ops_top_up", "ops_refund", "ops_cancel", "ops_extend", "ops_catalogue"),
    "admin": tuple(PERMISSIONS),
}
NAMES = {
    "viewer": _("只读"),
    "support": _("客服"),
    "finance": _("财务"),
    "admin": _("管理员"),
}


def install(apps: Apps) -> None:
    """Create or update the permissions and groups. A migration passes its own `apps`."""
    kind, _new = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="accounts", model="auditentry"
    )
    made = {
        codename: apps.get_model("auth", "Permission").objects.update_or_create(
            content_type=kind, codename=codename, defaults={"name": str(label)}
        )[0]
        for codename, label in PERMISSIONS.items()
    }
    for role, codenames in ROLES.items():
        group, _new = apps.get_model("auth", "Group").objects.get_or_create(name=role)
        group.permissions.set([made[codename] for codename in codenames])


def may(user: object, permission: str) -> bool:
    """Return whether the user is an operator with this permission."""
    return (
        isinstance(user, User)
        and user.is_active
        and user.is_staff
        and user.has_perm(f"accounts.{permission}")
    )


def of(user: User) -> list[str]:
    """Return the user's roles in the order of ROLES."""
    held = set(user.groups.values_list("name", flat=True))
    return [role for role in ROLES if role in held]


def labels(user: User) -> str:
    """Return the names of the user's roles in the reader's language; "" without one."""
    return str(_("、")).join(str(NAMES[role]) for role in of(user))


@transaction.atomic
def assign(user: User, roles: Iterable[str]) -> None:
    """Give the user exactly these roles; a user without roles is an operator only as a superuser.

    Raises RuleError `role_unknown`, or `last_admin` if no operator would be left who can manage roles.
    """
    wanted = set(roles)
    if unknown := wanted - set(ROLES):
        raise RuleError("role_unknown", roles=sorted(unknown))
    groups = _lock_groups()
    user.groups.remove(*(group for name, group in groups.items() if name not in wanted))
    user.groups.add(*(groups[name] for name in wanted))
    user.is_staff = bool(wanted) or user.is_superuser
    user.save(update_fields=["is_staff"])
    if not who_may("ops_people").exists():
        raise RuleError("last_admin")


@transaction.atomic
def set_active(user: User, is_active: bool) -> None:
    """Open or close an account; a closed account can neither log in nor call the API.

    Closing ends its sessions: after it is opened again, its users have to log in.
    Raises RuleError `last_admin` if no operator would be left who can manage roles, and `account_erased`.
    """
    _lock_groups()
    if is_active and User.objects.select_for_update().filter(pk=user.pk, erased_at__isnull=False).exists():
        raise RuleError("account_erased")
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    if not is_active:
        sessions.end_all(user)
    if not who_may("ops_people").exists():
        raise RuleError("last_admin")


def _lock_groups() -> dict[str, Group]:
    """Lock the groups of the roles, and return them by name.

    The lock serialises changes: if two admins remove each other's role at the same time, the second attempt
    fails.
    """
    groups = Group.objects.select_for_update().filter(name__in=ROLES).order_by("pk")
    return {group.name: group for group in groups}


def who_may(permission: str) -> "QuerySet[User]":
    """Return the active operators with this permission."""
    codename = Permission.objects.filter(content_type__app_label="accounts", codename=permission)
    held = User.objects.filter(groups__permissions__in=codename) | User.objects.filter(is_superuser=True)
    return held.filter(is_active=True, is_staff=True).distinct()
