"""Roles of operators: Django groups with permissions of our own, the same in every installation.

A permission names what an operator may do, not which table may be touched: the tables of the admin are
read-only for everyone, and each act goes through a rule. The groups are made by migration 0003.
"""

from collections.abc import Iterable

from django.apps.registry import Apps
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.errors import RuleError
from accounts.models import User

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
    """Makes the permissions and groups what this file says; a migration brings its own `apps`."""
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
    """Whether the user is an operator whose roles hold the permission of that name."""
    return (
        isinstance(user, User)
        and user.is_active
        and user.is_staff
        and user.has_perm(f"accounts.{permission}")
    )


def of(user: User) -> list[str]:
    """The user's roles in the order of ROLES."""
    held = set(user.groups.values_list("name", flat=True))
    return [role for role in ROLES if role in held]


@transaction.atomic
def assign(user: User, roles: Iterable[str]) -> None:
    """Gives the user exactly these roles; without one, nobody is an operator (but a superuser stays one).

    RuleError `role_unknown`; `last_admin` when nobody would be left to give roles.
    """
    wanted = set(roles)
    if unknown := wanted - set(ROLES):
        raise RuleError("role_unknown", roles=sorted(unknown))
    groups = _one_at_a_time()
    user.groups.remove(*(group for name, group in groups.items() if name not in wanted))
    user.groups.add(*(groups[name] for name in wanted))
    user.is_staff = bool(wanted) or user.is_superuser
    user.save(update_fields=["is_staff"])
    if not who_may("ops_people").exists():
        raise RuleError("last_admin")


@transaction.atomic
def set_active(user: User, is_active: bool) -> None:
    """Opens or closes an account: a closed one can neither log in nor call. RuleError `last_admin`."""
    _one_at_a_time()
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    if not who_may("ops_people").exists():
        raise RuleError("last_admin")


def _one_at_a_time() -> dict[str, Group]:
    """The groups, locked: of two admins who take each other's rights at once, the second is the last."""
    groups = Group.objects.select_for_update().filter(name__in=ROLES).order_by("pk")
    return {group.name: group for group in groups}


def who_may(permission: str) -> "QuerySet[User]":
    """The active operators who hold the permission."""
    codename = Permission.objects.filter(content_type__app_label="accounts", codename=permission)
    held = User.objects.filter(groups__permissions__in=codename) | User.objects.filter(is_superuser=True)
    return held.filter(is_active=True, is_staff=True).distinct()
