"""Title, body and links of a notice, in the active language."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import Api, Notice, NoticeKind
from billing.models.notices import MONEY_KINDS


@dataclass(frozen=True)
class NoticeText:
    """Title and body of a notice, in the active language."""

    title: str
    body: str


def text_of(notice: Notice) -> NoticeText:
    """Return the title and body of a notice in the active language."""
    ends = formats.date_format(timezone.localtime(notice.ends_at), "Y-m-d H:i") if notice.ends_at else ""
    last_moment = timezone.localtime(notice.ends_at - timedelta(microseconds=1)) if notice.ends_at else None
    if notice.kind in MONEY_KINDS:
        return _money_text(notice)
    if notice.kind == NoticeKind.UNPAID:
        values = {"number": notice.order.number if notice.order else "", "ends": ends}
        return NoticeText(
            _("订单 %(number)s 尚未支付") % values,
            _("请在 %(ends)s 前完成支付，逾期订单将被取消。") % values,
        )
    values = {
        "app": notice.app.name if notice.app else "",
        "api": str(Api(notice.api).label) if notice.api else "",
        "percent": str(notice.percent),
        "days": str(notice.days),
        "ends": ends,
        "last_day": formats.date_format(last_moment, "Y-m-d") if last_moment else "",
    }
    if notice.kind == NoticeKind.FACES:
        group, _space, count = notice.detail.partition(" ")
        values |= {"group": group, "count": f"{int(count or 0):,}"}
        return NoticeText(
            ngettext(
                "应用“%(app)s”的人脸组 %(group)s 有 %(count)s 张人脸即将到期删除",
                "应用“%(app)s”的人脸组 %(group)s 有 %(count)s 张人脸即将到期删除",
                int(count or 0),
            )
            % values,
            _(
                "同意书或保存天数最早于 %(ends)s 到期，之后的夜间任务会删除这些人脸，无法恢复。"
                "需要继续使用请重新取得同意并入库。"
            )
            % values,
        )
    if notice.kind == NoticeKind.ENDING:
        return NoticeText(
            ngettext(
                "应用“%(app)s”的%(api)s还有 %(days)s 天到期",
                "应用“%(app)s”的%(api)s还有 %(days)s 天到期",
                notice.days or 0,
            )
            % values,
            _("最后一个资源包的有效期到 %(last_day)s 为止，之后将无法调用。请提前再次购买。") % values,
        )
    if notice.percent == 100:
        return NoticeText(
            _("应用“%(app)s”的%(api)s本月调用量已用完") % values,
            _("下一个计费周期于 %(ends)s 开始，在此之前无法继续调用，除非再次购买资源包。") % values
            if ends
            else _("这是最后一个计费周期，再次购买资源包后才能继续调用。"),
        )
    return NoticeText(
        _("应用“%(app)s”的%(api)s本月调用量已使用 %(percent)s%%") % values,
        _("用完后将无法继续调用，直到下一个计费周期于 %(ends)s 开始；也可以再次购买资源包。") % values
        if ends
        else _("这是最后一个计费周期，用完后将无法继续调用，请提前再次购买资源包。"),
    )


def _money_text(notice: Notice) -> NoticeText:
    amount = _("%(amount)s 元") % {"amount": f"{notice.amount or 0:,.2f}"}
    if notice.kind == NoticeKind.TOP_UP:
        return NoticeText(
            _("账户已充值 %(amount)s") % {"amount": amount}, _("已计入账户余额，可以用于支付订单。")
        )
    if notice.kind == NoticeKind.VOUCHER:
        end = timezone.localtime(notice.ends_at - timedelta(microseconds=1)) if notice.ends_at else None
        day = formats.date_format(end, "Y-m-d") if end else ""
        return NoticeText(
            _("收到代金券，面值 %(amount)s") % {"amount": amount},
            _("有效期到 %(day)s 为止，支付订单时自动使用。") % {"day": day},
        )
    if notice.kind == NoticeKind.REVERSAL:
        return NoticeText(
            _("一笔充值已冲正，扣回 %(amount)s") % {"amount": amount},
            _("该充值有误，金额已从账户余额中扣回；原因见收支明细。"),
        )
    number = notice.order.number if notice.order else ""
    return NoticeText(
        _("订单 %(number)s 已退款 %(amount)s") % {"number": number, "amount": amount},
        _("现金退回账户余额，代金券退回原券；该订单的资源包已失效。"),
    )


@dataclass(frozen=True)
class Link:
    """A page on which a customer can act on a notice: its path and the text of the link."""

    path: str
    text: str


def links(notice: Notice) -> list[Link]:
    """Return links to the pages on which a customer can act on a notice, the most useful first."""
    if notice.kind == NoticeKind.UNPAID and notice.order:
        return [Link(reverse("order_pay", args=[notice.order.number]), _("立即付款"))]
    if notice.kind == NoticeKind.REFUND and notice.order:
        return [Link(reverse("order", args=[notice.order.number]), _("订单详情"))]
    if notice.kind == NoticeKind.FACES and notice.app:
        return [Link(reverse("gallery", args=[notice.app.app_id]), _("人脸库"))]
    if notice.app:
        query = urlencode({"api": notice.api})
        order = urlencode({"app": notice.app.app_id, "api": notice.api})
        report = Link(f"{reverse('app_report', args=[notice.app.app_id])}?{query}", _("查看报表"))
        return [report, Link(f"{reverse('order_new')}?{order}", _("再次购买"))]
    return [Link(reverse("wallet"), _("账户与代金券"))]
