"""通知: notices to customers, in the inbox and by e-mail; the only writer of Notice.

`scan` writes the notices that are due. A unique key per customer prevents duplicates. The kinds:

- Quota: the usage of an App's API reached a percentage of the month's units (80 % and 100 % by default). If
  it reached several at once, only the highest is reported. If the number of units changes, for example by
  another package, percentages may be reported again.
- Ending: 7 days and 1 day before the last Package ends.
- Unpaid: an order is 24 hours old and can still be paid.
- Money: an operator topped up, reversed a top-up, granted a voucher or refunded a package, within
  MONEY_WITHIN.

`mail` sends unsent notices: one mail per customer, to verified addresses only.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef, QuerySet, Sum
from django.urls import reverse
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from billing.errors import ChangeRefused
from billing.models import (
    Api,
    EntryKind,
    Notice,
    NoticeKind,
    NoticeSettings,
    Order,
    OrderState,
    Package,
    Period,
    Voucher,
    WalletEntry,
)
from billing.models.notices import MONEY_KINDS
from billing.periods import months_before
from billing.quota import live
from common.links import absolute

DAYS_BEFORE_END = (1, 7)
UNPAID_AFTER = timedelta(hours=24)
MAIL_BATCH = 200  # mails per run
MAIL_EVERY = timedelta(hours=1)  # minimum interval between two mails to one customer
MAIL_WITHIN = timedelta(days=3)  # older notices are not mailed
MONEY_WITHIN = timedelta(days=1)
DIGEST_LINES = 20
FORGET_BATCH = 5000
INBOX = "/console/inbox/"

log = logging.getLogger(__name__)


def inbox(customer: User) -> "QuerySet[Notice]":
    """Return the customer's notices, newest first."""
    return (
        Notice.objects.filter(customer=customer).select_related("app", "order").order_by("-created_at", "-pk")
    )


def unread_count(customer: User) -> int:
    """Return the number of unread notices of the customer."""
    return Notice.objects.filter(customer=customer, read_at=None).count()


def mark_read(customer: User, at: datetime, ids: Sequence[int] | None = None) -> int:
    """Mark these notices of the customer (all if `ids` is None) as read; return how many were unread."""
    unread = Notice.objects.filter(customer=customer, read_at=None)
    return (unread if ids is None else unread.filter(pk__in=ids)).update(read_at=at)


def settings_of(customer: User) -> NoticeSettings:
    """Return the customer's notice settings, or the defaults if none were saved."""
    return NoticeSettings.objects.filter(customer=customer).first() or NoticeSettings(customer=customer)


def choose(
    customer: User,
    *,
    quota_percents: Iterable[int],
    quota_on: bool,
    ending_on: bool,
    unpaid_on: bool,
    money_on: bool = True,
) -> NoticeSettings:
    """Save the customer's settings: percentages from 1 to 100, at most five, and a switch for each kind.

    Raises ChangeRefused.
    """
    percents = sorted(set(quota_percents))
    if len(percents) > 5 or not all(1 <= percent <= 100 for percent in percents):
        raise ChangeRefused(field="quota_percents", value=percents)
    chosen, _created = NoticeSettings.objects.update_or_create(
        customer=customer,
        defaults={
            "quota_percents": percents,
            "quota_on": quota_on,
            "ending_on": ending_on,
            "unpaid_on": unpaid_on,
            "money_on": money_on,
        },
    )
    return chosen


def scan(at: datetime) -> int:
    """Write every notice that is due and not yet written, and return the number written."""
    chosen = {row.customer_id: row for row in NoticeSettings.objects.all()}
    due = [*_quota_due(at, chosen), *_ending_due(at), *_unpaid_due(at), *_money_due(at)]
    return _write([notice for notice in due if _wanted(notice, chosen.get(notice.customer_id))], at)


def add(due: Iterable[Notice], at: datetime) -> int:
    """Write the notices of another room that do not exist yet, and return the number written.

    Customers cannot turn these off, because NoticeKind.FACES announces the deletion of their data.
    """
    return _write(list(due), at)


def forget(at: datetime) -> int:
    """Delete the notices whose retention has ended, and return their number.

    `scan` does not write them again, because what they announced is long past.
    """
    if not settings.NOTICES_KEPT_MONTHS:
        return 0
    until = months_before(at, settings.NOTICES_KEPT_MONTHS)
    forgotten = 0
    while True:
        old = Notice.objects.filter(created_at__lt=until).values_list("pk", flat=True)[:FORGET_BATCH]
        count, _by_model = Notice.objects.filter(pk__in=list(old)).delete()
        forgotten += count
        if count < FORGET_BATCH:
            return forgotten


def _write(wanted: Sequence[Notice], at: datetime) -> int:
    known = set(
        Notice.objects.filter(key__in={notice.key for notice in wanted}).values_list("customer_id", "key")
    )
    new = [notice for notice in wanted if (notice.customer_id, notice.key) not in known]
    for notice in new:
        if notice.kind == NoticeKind.QUOTA:
            notice.ends_at = _next_start(notice, at)
    Notice.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    return len(new)


def _next_start(notice: Notice, at: datetime) -> datetime | None:
    """Return the start of the next Period of the App's API, or None if there is none."""
    later = Period.objects.filter(app=notice.app_id, api=notice.api, starts_at__gt=at, granted__gt=0)
    return later.aggregate(at=Min("starts_at"))["at"]


def _wanted(notice: Notice, chosen: NoticeSettings | None) -> bool:
    if chosen is None:
        return True
    if notice.kind in MONEY_KINDS:
        return chosen.money_on
    return {
        NoticeKind.QUOTA: chosen.quota_on,
        NoticeKind.ENDING: chosen.ending_on,
        NoticeKind.UNPAID: chosen.unpaid_on,
    }[NoticeKind(notice.kind)]


def _quota_due(at: datetime, chosen: dict[int, NoticeSettings]) -> Iterable[Notice]:
    """Yield a notice for the highest percentage that the usage of all live Periods has reached.

    If a Period starts or ends, the percentages may be reported again.
    """
    months = (
        Period.objects.filter(live(at), granted__gt=0)
        .values_list("app__customer", "app", "api")
        .annotate(granted=Sum("granted"), used=Sum("used"), month=Max("starts_at"))
        .filter(used__gt=0)
    )
    defaults = NoticeSettings()
    for customer, app, api, granted, used, month in months:
        percents = chosen.get(customer, defaults).quota_percents
        if passed := [percent for percent in percents if used * 100 >= percent * granted]:
            percent = max(passed)
            yield Notice(
                customer_id=customer,
                kind=NoticeKind.QUOTA,
                key=f"quota {app} {api} {month.timestamp():.0f} {granted} {percent}",
                app_id=app,
                api=api,
                percent=percent,
                created_at=at,
            )


def _ending_due(at: datetime) -> Iterable[Notice]:
    last_ends = (
        Package.objects.filter(refunded_at=None, app__archived_at=None)
        .values_list("app__customer", "app", "api")
        .annotate(end=Max("ends_at"))
        .filter(end__gt=at, end__lte=at + timedelta(days=max(DAYS_BEFORE_END)))
    )
    for customer, app, api, end in last_ends:
        days = next(days for days in sorted(DAYS_BEFORE_END) if end <= at + timedelta(days=days))
        yield Notice(
            customer_id=customer,
            kind=NoticeKind.ENDING,
            key=f"ending {app} {api} {end.timestamp():.0f} {days}",
            app_id=app,
            api=api,
            days=days,
            ends_at=end,
            created_at=at,
        )


def _unpaid_due(at: datetime) -> Iterable[Notice]:
    unpaid = Order.objects.filter(
        state=OrderState.PENDING, expires_at__gt=at, created_at__lte=at - UNPAID_AFTER
    )
    for order in unpaid:
        yield Notice(
            customer_id=order.customer_id,
            kind=NoticeKind.UNPAID,
            key=f"unpaid {order.pk}",
            order=order,
            ends_at=order.expires_at,
            created_at=at,
        )


def _money_due(at: datetime) -> Iterable[Notice]:
    """Yield notices of what operators did; customers see the effect of their own actions at once."""
    since = at - MONEY_WITHIN
    for entry in WalletEntry.objects.filter(kind=EntryKind.TOP_UP, at__gt=since, at__lte=at):
        yield Notice(
            customer_id=entry.wallet_id,
            kind=NoticeKind.TOP_UP,
            key=f"top-up {entry.pk}",
            amount=entry.amount,
            created_at=at,
        )
    for entry in WalletEntry.objects.filter(kind=EntryKind.REVERSAL, at__gt=since, at__lte=at):
        yield Notice(
            customer_id=entry.wallet_id,
            kind=NoticeKind.REVERSAL,
            key=f"reversal {entry.pk}",
            amount=-entry.amount,
            created_at=at,
        )
    granted = Voucher.objects.filter(redeemed_at=F("created_at"), created_at__gt=since, created_at__lte=at)
    for voucher in granted.filter(customer__isnull=False).select_related("customer"):
        yield Notice(
            customer=voucher.customer,
            kind=NoticeKind.VOUCHER,
            key=f"voucher {voucher.pk}",
            amount=voucher.face_value,
            ends_at=voucher.valid_until,
            created_at=at,
        )
    refunded = Package.objects.filter(refunded_at__gt=since, refunded_at__lte=at)
    for package in refunded.select_related("order"):
        yield Notice(
            customer_id=package.order.customer_id,
            kind=NoticeKind.REFUND,
            key=f"refund {package.pk}",
            order=package.order,
            amount=package.order.amount,
            created_at=at,
        )


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
        values |= {"group": group, "count": count}
        return NoticeText(
            ngettext(
                "应用“%(app)s”的人脸组 %(group)s 有 %(count)s 个人脸即将到期删除",
                "应用“%(app)s”的人脸组 %(group)s 有 %(count)s 个人脸即将到期删除",
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


def mail(at: datetime) -> int:
    """Send each customer one mail with all unsent notices; return the number of mails.

    Mail goes to verified addresses only, and to each at most once an hour, so that an account cannot be used
    to flood another person's mailbox. Notices older than MAIL_WITHIN are not mailed.

    Notices are marked as mailed before they are sent: if the process dies in between, they appear only in the
    inbox, but are never mailed twice. If a mail is rejected or cannot be built, the others are still sent; a
    rejected one is retried later unless the error is permanent. If the server cannot be reached, the run ends
    and the rest is sent later.
    """
    sent = 0
    for customer, waiting in _digests(at):
        claimed = _claim(waiting, at)
        if not claimed:
            continue  # another worker claimed them
        try:
            with translation.override(customer.language):
                subject, body = _digest(claimed)
                send_mail(subject, body, settings.DEFAULT_FROM_EMAIL, [customer.email])
        except (SMTPRecipientsRefused, SMTPDataError) as error:
            log.warning("the mail server rejected the notices of customer %s: %s", customer.pk, error)
            if not _is_final(error):
                _release(claimed)
        except (SMTPException, OSError):
            log.exception("notices of customer %s could not be mailed", customer.pk)
            _release(claimed)
            break
        except Exception as error:
            # A mail cannot be built from this address or text, so a retry would fail in the same way.
            log.error("no mail can be built for customer %s: %s", customer.pk, type(error).__name__)
        else:
            sent += 1
    return sent


def _digests(at: datetime) -> Iterable[tuple[User, list[Notice]]]:
    """Yield the customers who may get a mail now with their unsent notices, longest wait first."""
    due = Notice.objects.filter(mailed_at=None, created_at__gt=at - MAIL_WITHIN)
    lately = Notice.objects.filter(customer=OuterRef("customer"), mailed_at__gt=at - MAIL_EVERY)
    turns = (
        due.filter(customer__is_active=True, customer__email_verified_at__isnull=False)
        .filter(~Exists(lately))
        .values("customer")
        .annotate(first=Min("pk"))
        .order_by("first")[:MAIL_BATCH]
    )
    for turn in turns:
        waiting = due.filter(customer=turn["customer"]).select_related("customer", "app", "order")
        if found := list(waiting.order_by("pk")):
            yield found[0].customer, found


def _claim(waiting: list[Notice], at: datetime) -> list[Notice]:
    """Mark the notices as mailed; return those that no other worker had claimed."""
    with transaction.atomic():
        free = Notice.objects.select_for_update(skip_locked=True).filter(
            pk__in=[notice.pk for notice in waiting], mailed_at=None
        )
        mine = set(free.values_list("pk", flat=True))
        Notice.objects.filter(pk__in=mine).update(mailed_at=at)
    return [notice for notice in waiting if notice.pk in mine]


def _release(claimed: list[Notice]) -> None:
    Notice.objects.filter(pk__in=[notice.pk for notice in claimed]).update(mailed_at=None)


def _digest(notices: list[Notice]) -> tuple[str, str]:
    """Return subject and body of one mail about all these notices, in the active language."""
    shown = [(text_of(notice), links(notice)) for notice in notices[:DIGEST_LINES]]
    subject = shown[0][0].title
    if len(notices) > 1:
        subject = ngettext("您有 %(count)s 条新消息", "您有 %(count)s 条新消息", len(notices)) % {
            "count": len(notices)
        }
    parts = []
    for one, pages in shown:
        lines = [one.title, one.body] if len(notices) > 1 else [one.body]
        lines += [
            _("%(text)s：%(link)s") % {"text": page.text, "link": absolute(page.path)} for page in pages
        ]
        parts.append("\n".join(lines))
    if more := len(notices) - len(shown):
        parts.append(ngettext("另有 %(count)s 条消息。", "另有 %(count)s 条消息。", more) % {"count": more})
    parts += [
        _("查看全部消息或修改提醒设置：%(link)s") % {"link": absolute(INBOX)},
        _("时间均为北京时间（UTC+8）。"),
    ]
    return subject, "\n\n".join(parts)


def _is_final(error: SMTPRecipientsRefused | SMTPDataError) -> bool:
    """Return whether the error is permanent (5xx), so that a retry would fail too."""
    if isinstance(error, SMTPDataError):
        return error.smtp_code >= 500
    return all(code >= 500 for code, _words in error.recipients.values())
