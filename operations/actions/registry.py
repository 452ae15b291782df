"""Every action of the operators: its rule, form and permission, and who may perform it now."""

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts import keys, limits, roles
from accounts.models import App, AppKey, Invitation, Region, User
from accounts.users import erasure, invitations
from billing import catalogue, extension, orders
from billing.models import (
    CancelReason,
    Duration,
    EntryKind,
    Order,
    OrderState,
    Package,
    Sku,
    Voucher,
    WalletEntry,
)
from billing.payments import refunds, vouchers, wallet
from console import tasks
from console.mail import mails
from gallery import groups
from gallery.models import Group
from gallery.trail import Actor
from operations.actions import action_forms, restrictions
from operations.actions.actions import Action, AvailableAction, Details
from operations.actions.subjects import customer_of


def _top_up(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    entry = wallet.top_up(user, form["amount"], by=by, reason=form["reason"], at=at, token=str(form["token"]))
    return {"amount": entry.amount, "balance": entry.balance_after, "entry": entry.pk}


def _reverse(top_up: WalletEntry, form: dict[str, Any], by: User, at: datetime) -> Details:
    entry = wallet.reverse(
        top_up, form["amount"], by=by, reason=form["reason"], at=at, token=str(form["token"])
    )
    return {"amount": entry.amount, "balance": entry.balance_after, "entry": entry.pk, "reverses": top_up.pk}


def _grant_voucher(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    _voucher, details = _issue_voucher(user, form, by, at)
    return details


def _issue_voucher(
    owner: User | None, form: dict[str, Any], by: User, at: datetime
) -> tuple[Voucher, Details]:
    """Issue a voucher; without an owner, a code for the first customer who redeems it."""
    voucher = vouchers.issue(
        customer=owner,
        face_value=form["face_value"],
        valid_from=at,
        valid_until=action_forms.end_of(form["valid_until"]),
        apis=form["apis"],
        by=by,
        reason=form["reason"],
        at=at,
    )
    return voucher, {
        "voucher": voucher.masked_code,
        "face_value": voucher.face_value,
        "valid_until": voucher.valid_until,
    }


def _refund(package: Package, form: dict[str, Any], by: User, at: datetime) -> Details:
    refunded = refunds.refund(package, by=by, reason=form["reason"], at=at)
    order = refunded.order
    return {"order": order.number, "cash": order.cash_paid, "vouchers": order.voucher_paid}


def _cancel(order: Order, form: dict[str, Any], by: User, at: datetime) -> Details:
    orders.cancel(order, at, CancelReason.OPERATOR)
    return {"order": order.number, "amount": order.amount}


def _extend(package: Package, form: dict[str, Any], by: User, at: datetime) -> Details:
    before = package.ends_at
    extended = extension.extend(package, form["months"], at)
    return {"months": form["months"], "before": before, "after": extended.ends_at}


def _limits(app: App, form: dict[str, Any], by: User, at: datetime) -> Details:
    names = [name for name in limits.LIMITS if name in form]  # no face_limit if the gallery is switched off
    before = {name: getattr(app, name) for name in names}
    given = {"face_limit": app.face_limit} | {name: form[name] for name in names}
    limits.set_limits(app, **given, only=form["changed"])
    return {"before": before, "after": {name: getattr(app, name) for name in names}}


def _disable(key: AppKey, form: dict[str, Any], by: User, at: datetime) -> Details:
    keys.disable(key, at)
    return {"key": key.key, "app": key.app.app_id}


def _roles(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    before = roles.of(user)
    roles.assign(user, form["roles"])
    return {"before": before, "after": roles.of(user)}


def _close(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    roles.set_active(user, False)
    return {}


def _erase_gallery(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    return {"faces": groups.delete_all(user.apps.all(), at, Actor(by=by))}


def _has_faces(user: User) -> bool:
    return Group.objects.filter(app__customer=user).exists()


def _erase_account(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    """Erase the personal data, and the galleries if that was not done before."""
    disabled = erasure.erase(user, at)
    return {"faces": groups.delete_all(user.apps.all(), at, Actor(by=by)), "disabled_keys": disabled}


def _open(user: User, form: dict[str, Any], by: User, at: datetime) -> Details:
    roles.set_active(user, True)
    return {}


def _change(row: Sku | Duration | Region, form: dict[str, Any], by: User, at: datetime) -> Details:
    values: dict[str, object] = form["values"]
    before = {name: str(getattr(row, name)) for name in values}
    catalogue.change(row, values, by=by, reason=form["reason"], at=at, seen=form["seen"])
    after = {name: str(getattr(row, name)) for name in values if str(getattr(row, name)) != before[name]}
    return {"before": {name: before[name] for name in after}, "after": after}


def _add(
    row: Region | Duration, form: dict[str, Any], by: User, at: datetime
) -> tuple[models.Model, Details]:
    catalogue.add(row, by=by, reason=form["reason"], at=at)
    return row, {"row": str(row)}


def _add_region(_none: None, form: dict[str, Any], by: User, at: datetime) -> tuple[models.Model, Details]:
    names = ("code", "name", "name_en", "position", "queue")
    return _add(Region(**{name: form[name] for name in names}), form, by, at)


def _add_months(_none: None, form: dict[str, Any], by: User, at: datetime) -> tuple[models.Model, Details]:
    return _add(Duration(months=form["months"]), form, by, at)


def _invite(_none: None, form: dict[str, Any], by: User, at: datetime) -> tuple[models.Model, Details]:
    invitation = invitations.invite(form["email"], by=by, at=at)
    mails.queue(tasks.send_invitation, invitation.pk)
    return invitation, {"expires_at": invitation.expires_at}  # no address: entries are never deleted


def _is_reversible(entry: WalletEntry) -> bool:
    return entry.kind == EntryKind.TOP_UP and not entry.reversals.all()  # prefetched for lists


def _is_refundable(package: Package) -> bool:
    return package.refunded_at is None and not any(period.used for period in package.periods.all())


_CATALOGUE_CONSEQUENCE = _("立即对新订单生效；已创建的订单保持创建时的价格、额度和计量方式。")
ACTIONS: dict[str, Action] = {
    act.name: act
    for act in (
        Action(
            "top-up", _("充值"), "ops_top_up", User, action_forms.TopUp, _top_up,
            _("金额立即计入客户的账户余额，写入收支明细，并通知客户。输错时可以在收支明细里冲正。"),
            asks=True,
        ),
        Action(
            "reverse", _("冲正"), "ops_top_up", WalletEntry, action_forms.Reversal, _reverse,
            _("从客户的账户余额扣回这笔充值，写入收支明细，并通知客户。原来的充值记录保留。冲正不能撤销。"),
            is_available=_is_reversible, is_destructive=True,
        ),
        Action(
            "voucher", _("发放代金券"), "ops_voucher", User, action_forms.NewVoucher, _grant_voucher,
            _("代金券立即归该客户所有，支付订单时自动使用，先到期的先用；客户会收到通知。"),
            asks=True,
        ),
        Action(
            "refund", _("退款"), "ops_refund", Package, action_forms.Refund, _refund,
            _("资源包立即失效；现金退回账户余额，代金券退回原券。退款不能撤销。"),
            is_available=_is_refundable, is_destructive=True,
        ),
        Action(
            "cancel", _("取消订单"), "ops_cancel", Order, action_forms.ActionForm, _cancel,
            _("订单变为已取消，客户不能再支付它。"),
            is_available=lambda order: order.state == OrderState.PENDING, is_destructive=True,
        ),
        Action(
            "extend", _("延长资源包"), "ops_extend", Package, action_forms.Extend, _extend,
            _("在最后一个计费周期之后增加若干个月，每月额度不变，不收费。"),
            is_available=lambda package: package.refunded_at is None, asks=True,
        ),
        Action(
            "limits", _("设置限制"), "ops_limits", App, action_forms.Limits, _limits,
            _("从下一次调用起生效。超出频率或并发的调用返回 4291，来自其他地址的调用返回 4106。"),
        ),
        Action(
            "disable-key", _("停用密钥"), "ops_keys", AppKey, action_forms.ActionForm, _disable,
            _("使用该密钥的调用从现在起返回 4102。停用不能撤销，客户可以在控制台换新密钥。"),
            is_available=lambda key: key.disabled_at is None, is_destructive=True,
        ),
        Action(
            "roles", _("设置角色"), "ops_people", User, action_forms.Roles, _roles,
            _("没有角色的账号不能进入运营后台。"), is_available=lambda user: user.erased_at is None,
        ),
        Action(
            "close", _("停用账号"), "ops_people", User, action_forms.ActionForm, _close,
            _("该账号不能登录，它的所有密钥立即失效。可以再次启用。人脸库中已入库的人脸不会删除，"
              "客户自己也不能再删除；不再需要时请执行“删除人脸库”。"),
            is_available=lambda user: user.is_active, is_destructive=True,
        ),
        Action(
            "erase-gallery", _("删除人脸库"), "ops_people", User, action_forms.ActionForm, _erase_gallery,
            _("删除该客户全部应用的人脸组、人员和人脸，并销毁密钥。无法恢复。"),
            is_available=_has_faces, is_destructive=True,
        ),
        Action(
            "open", _("启用账号"), "ops_people", User, action_forms.ActionForm, _open,
            _("该账号可以登录，它的密钥恢复有效。"),
            is_available=lambda user: not user.is_active and user.erased_at is None,
        ),
        Action(
            "erase-account", _("清除个人信息"), "ops_people", User, action_forms.EraseAccount, _erase_account,
            _("清空用户名、邮箱、公司和电话，停用全部密钥，删除全部人脸库；邮箱和用户名可以重新注册。"
              "订单、资金、调用记录和审计日志保留。账号不能再启用，无法恢复。"),
            is_available=erasure.is_erasable, is_destructive=True,
        ),
        Action(
            "sku", _("修改规格"), "ops_catalogue", Sku, action_forms.ChangeSku, _change,
            _CATALOGUE_CONSEQUENCE,
        ),
        Action(
            "duration", _("修改时长"), "ops_catalogue", Duration, action_forms.ChangeDuration, _change,
            _CATALOGUE_CONSEQUENCE,
        ),
        Action(
            "region", _("修改地域"), "ops_catalogue", Region, action_forms.ChangeRegion, _change,
            _("立即生效。关闭的地域不接受新应用，已有应用照常服务。修改推理队列后，"
              "没有 worker 处理新队列时，该地域的调用立即返回 5003。"),
        ),
        Action(
            "voucher-code", _("新建代金券码"), "ops_voucher", Voucher, action_forms.NewVoucher,
            _issue_voucher, _("得到一个券码，第一位领取它的客户拥有这张代金券。"), creates=True, asks=True,
        ),
        Action(
            "invite", _("邀请注册"), "ops_people", Invitation, action_forms.Invite, _invite,
            _("向这个邮箱发送注册链接，7 天内可以注册一个账号。"), creates=True,
        ),
        Action(
            "add-region", _("新增地域"), "ops_catalogue", Region, action_forms.AddRegion, _add_region,
            _("客户立即可以在这个地域订购。代码之后不能修改。"), creates=True,
        ),
        Action(
            "add-duration", _("新增时长"), "ops_catalogue", Duration, action_forms.AddDuration, _add_months,
            _("客户立即可以按这个时长订购。"), creates=True,
        ),
    )
}  # fmt: skip


def available_actions(user: User, subject: models.Model) -> list[AvailableAction]:
    """Return the actions that the operator may perform on the subject now."""
    return [
        AvailableAction(act, subject)
        for act in ACTIONS.values()
        if type(subject) is act.model
        and not act.creates
        and act.is_available(subject)
        and roles.may(user, act.permission)
        and restrictions.is_in_reach(customer_of(subject), user)
    ]


def creating_actions(user: User, model: type[models.Model]) -> list[Action]:
    """Return the actions with which the operator may add a row to the table."""
    return [
        act
        for act in ACTIONS.values()
        if act.creates and act.model is model and roles.may(user, act.permission)
    ]
