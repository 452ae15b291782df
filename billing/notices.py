"""通知: what a customer is told, once each, in the inbox and by e-mail; the only writer of Notice.

`scan` writes what is due; a unique key per customer makes every notice one. Quota: an App's API passes a
share of the month's units (80 % and 100 %; the customer sets them), once for as long as these are the units:
a share of more or fewer is told anew. Ending: 7 days and 1 day before the last Package ends. Unpaid: an order
is 24 hours old and still payable. `mail` sends what has not been sent yet.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Max, Min, QuerySet, Sum
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from billing.errors import ChangeRefused
from billing.models import Api, Notice, NoticeKind, NoticeSettings, Order, OrderState, Package, Period
from billing.quota import live

DAYS_BEFORE_END = (1, 7)
UNPAID_AFTER = timedelta(hours=24)
MAIL_BATCH = 200

log = logging.getLogger(__name__)


def inbox(customer: User) -> "QuerySet[Notice]":
    """The customer's notices, newest first."""
    return (
        Notice.objects.filter(customer=customer).select_related("app", "order").order_by("-created_at", "-pk")
    )


def unread_count(customer: User) -> int:
    """How many notices the customer has not read."""
    return Notice.objects.filter(customer=customer, read_at=None).count()


def mark_read(customer: User, at: datetime, ids: Sequence[int] | None = None) -> int:
    """Marks these (or all) of the customer's notices as read; how many were unread."""
    unread = Notice.objects.filter(customer=customer, read_at=None)
    return (unread if ids is None else unread.filter(pk__in=ids)).update(read_at=at)


def settings_of(customer: User) -> NoticeSettings:
    """What the customer wants to hear; the defaults if nothing was ever set."""
    return NoticeSettings.objects.filter(customer=customer).first() or NoticeSettings(customer=customer)


def choose(
    customer: User, *, quota_percents: Iterable[int], quota_on: bool, ending_on: bool, unpaid_on: bool
) -> NoticeSettings:
    """The customer's choice: percentages from 1 to 100, at most five, and a switch for each kind.

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
        },
    )
    return chosen


def scan(at: datetime) -> int:
    """Writes every notice that is due and was not written before; how many."""
    wishes = {wish.customer_id: wish for wish in NoticeSettings.objects.all()}
    due = [*_quota_due(at, wishes), *_ending_due(at), *_unpaid_due(at)]
    wanted = [notice for notice in due if _wanted(notice, wishes.get(notice.customer_id))]
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
    """When the App's API gets units again, if it ever does."""
    later = Period.objects.filter(app=notice.app_id, api=notice.api, starts_at__gt=at, granted__gt=0)
    return later.aggregate(at=Min("starts_at"))["at"]


def _wanted(notice: Notice, wish: NoticeSettings | None) -> bool:
    return (
        wish is None
        or {
            NoticeKind.QUOTA: wish.quota_on,
            NoticeKind.ENDING: wish.ending_on,
            NoticeKind.UNPAID: wish.unpaid_on,
        }[NoticeKind(notice.kind)]
    )


def _quota_due(at: datetime, wishes: dict[int, NoticeSettings]) -> Iterable[Notice]:
    """One per percentage passed by the units of all live Periods; a Period that comes or goes counts anew."""
    months = (
        Period.objects.filter(live(at), granted__gt=0)
        .values_list("app__customer", "app", "api")
        .annotate(granted=Sum("granted"), used=Sum("used"), month=Max("starts_at"))
        .filter(used__gt=0)
    )
    defaults = NoticeSettings()
    for customer, app, api, granted, used, month in months:
        for percent in wishes.get(customer, defaults).quota_percents:
            if used * 100 >= percent * granted:
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
        Package.objects.filter(refunded_at=None)
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


@dataclass(frozen=True)
class Words:
    """A notice as a person reads it, in the active language."""

    title: str
    body: str


def words(notice: Notice) -> Words:
    """Title and body of a notice."""
    ends = formats.date_format(timezone.localtime(notice.ends_at), "Y-m-d H:i") if notice.ends_at else ""
    last_moment = timezone.localtime(notice.ends_at - timedelta(microseconds=1)) if notice.ends_at else None
    if notice.kind == NoticeKind.UNPAID:
        values = {"number": notice.order.number if notice.order else "", "ends": ends}
        return Words(
            _("订单 %(number)s 尚未支付") % values,
            _("请在 %(ends)s 前完成支付，逾期订单将被取消。") % values,
        )
    values = {
        "app": notice.app.name if notice.app else "",
        "api": str(Api(notice.api).label),
        "percent": str(notice.percent),
        "days": str(notice.days),
        "ends": ends,
        "last_day": formats.date_format(last_moment, "Y-m-d") if last_moment else "",
    }
    if notice.kind == NoticeKind.ENDING:
        return Words(
            ngettext(
                "应用“%(app)s”的%(api)s还有 %(days)s 天到期",
                "应用“%(app)s”的%(api)s还有 %(days)s 天到期",
                notice.days or 0,
            )
            % values,
            _("最后一个资源包的有效期到 %(last_day)s 为止，之后将无法调用。请提前再次购买。") % values,
        )
    if notice.percent == 100:
        return Words(
            _("应用“%(app)s”的%(api)s本月调用量已用完") % values,
            _("下一个计费周期于 %(ends)s 开始，在此之前无法继续调用，除非再次购买资源包。") % values
            if ends
            else _("这是最后一个计费周期，再次购买资源包后才能继续调用。"),
        )
    return Words(
        _("应用“%(app)s”的%(api)s本月调用量已使用 %(percent)s%%") % values,
        _("用完后将无法继续调用，直到下一个计费周期于 %(ends)s 开始；也可以再次购买资源包。") % values
        if ends
        else _("这是最后一个计费周期，用完后将无法继续调用，请提前再次购买资源包。"),
    )


def mail(at: datetime) -> int:
    """Sends the notices not yet sent; how many.

    Each counts as sent before it is: where the process dies in between, the inbox alone has it, and nobody
    gets it twice. Where the mail server refuses one notice, the others still go: later tried again, or, if it
    is refused for good, left to the inbox. Where the server is not there, all wait for the next time.
    """
    sent = 0
    waiting = Notice.objects.filter(mailed_at=None, customer__is_active=True).exclude(customer__email="")
    for notice in waiting.select_related("customer", "app", "order").order_by("pk")[:MAIL_BATCH]:
        if not Notice.objects.filter(pk=notice.pk, mailed_at=None).update(mailed_at=at):
            continue  # another worker has it
        try:
            with translation.override(notice.customer.language):
                told = words(notice)
                body = f"{told.body}\n\n{_('时间均为北京时间（UTC+8）。')}"
                send_mail(told.title, body, settings.DEFAULT_FROM_EMAIL, [notice.customer.email])
        except (SMTPRecipientsRefused, SMTPDataError) as error:
            log.warning("notice %s was refused: %s", notice.pk, error)
            if not _is_final(error):
                Notice.objects.filter(pk=notice.pk).update(mailed_at=None)
        except (SMTPException, OSError):
            log.exception("notice %s could not be mailed", notice.pk)
            Notice.objects.filter(pk=notice.pk).update(mailed_at=None)
            break
        else:
            sent += 1
    return sent


def _is_final(error: SMTPRecipientsRefused | SMTPDataError) -> bool:
    """Whether the same mail would be refused again: 5xx, not 4xx."""
    if isinstance(error, SMTPDataError):
        return error.smtp_code >= 500
    return all(code >= 500 for code, _words in error.recipients.values())
