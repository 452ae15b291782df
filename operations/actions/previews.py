"""The figures before and after an action, for its confirmation page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Count, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import keys
from accounts.models import App, AppKey, User
from accounts.users import erasure
from billing.models import Order, OrderState, Package, VoucherEntry, WalletEntry
from billing.payments import vouchers, wallet
from billing.periods import windows
from console.templatetags.show import count, money
from gallery.models import Group


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after an action, as text."""

    label: str
    before: str
    after: str


def of(name: str, subject: models.Model | None, form: Mapping[str, Any], at: datetime) -> list[Change]:
    """Return the figures that the action would change; empty if there are none.

    Reads the state at `at`; changes until the action is performed are not included.
    """
    match name, subject:
        case "top-up", User():
            return [_balance(subject, form["amount"])]
        case "reverse", WalletEntry():
            return [_balance(subject.wallet.customer, -form["amount"])]
        case "voucher", User():
            return [_vouchers(subject, form["face_value"], at)]
        case "refund", Package():
            return _refund(subject, at)
        case "extend", Package():
            return _extension(subject, form["months"])
        case "cancel", Order():
            return [Change(_("订单状态"), str(subject.get_state_display()), str(OrderState.CANCELLED.label))]
        case "disable-key", AppKey():
            return [_live_keys(_("该应用的有效密钥"), [subject.app], at, less=1)]
        case "close", User():
            return [
                Change(_("账号状态"), _("启用"), _("停用")),
                _live_keys(_("该账号的有效密钥"), list(subject.apps.all()), at),
            ]
        case "erase-gallery", User():
            return _gallery(subject)
        case "erase-account", User():
            return [*_personal_data(subject), *_gallery(subject)]
    return []


def _gallery(customer: User) -> list[Change]:
    stored = Group.objects.filter(app__customer=customer).aggregate(groups=Count("pk"), faces=Sum("faces"))
    return [
        Change(_("人脸组"), count(stored["groups"]), count(0)),
        Change(_("人脸"), count(stored["faces"] or 0), count(0)),
    ]


def _personal_data(user: User) -> list[Change]:
    texts = {_("邮箱"): user.email, _("公司"): user.company, _("电话"): user.phone}
    blanked = [Change(label, text, "–") for label, text in texts.items() if text]
    return [Change(_("用户名"), user.username, erasure.neutral_name(user)), *blanked]


def _balance(customer: User, change: Decimal) -> Change:
    before = wallet.balance(customer)
    return Change(_("账户余额"), money(before), money(before + change))


def _vouchers(customer: User, change: Decimal, at: datetime) -> Change:
    before = vouchers.balance(customer, at)
    return Change(_("代金券余额"), money(before), money(before + change))


def _refund(package: Package, at: datetime) -> list[Change]:
    order = package.order
    left = sum(period.granted - period.used for period in package.periods.all() if period.ends_at > at)
    changes = [Change(_("资源包剩余额度"), count(left), count(0))]
    if order.cash_paid:
        changes.append(_balance(order.customer, order.cash_paid))
    usable = VoucherEntry.objects.filter(order=order, amount__lt=0, voucher__valid_until__gt=at)
    if back := sum(-entry.amount for entry in usable):
        changes.append(_vouchers(order.customer, Decimal(back), at))
    return changes


def _extension(package: Package, months: int) -> list[Change]:
    before = package.order.months + package.extra_months
    end = windows(package.starts_at, before + months)[-1][1]
    return [
        Change(_("资源包月数"), count(before), count(before + months)),
        Change(_("最后可用日"), _last_day(package.ends_at), _last_day(end)),
    ]


def _last_day(end: datetime) -> str:
    return f"{timezone.localtime(end - timedelta(microseconds=1)):%Y-%m-%d}"


def _live_keys(label: str, apps: list[App], at: datetime, less: int | None = None) -> Change:
    """Return the number of live keys before the action and after it: `less` fewer, or none."""
    live = keys.live(at).filter(app__in=apps).count()
    return Change(label, count(live), count(0 if less is None else max(0, live - less)))
