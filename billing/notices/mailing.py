"""Notices by e-mail: one mail a customer, to verified addresses only."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Exists, Min, OuterRef
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from billing.models import Notice
from billing.notices.texts import links, text_of
from common.links import absolute

MAIL_BATCH = 200  # mails per run
MAIL_EVERY = timedelta(hours=1)  # minimum interval between two mails to one customer
MAIL_WITHIN = timedelta(days=3)  # older notices are not mailed
DIGEST_LINES = 20
INBOX = "/console/inbox/"

log = logging.getLogger(__name__)


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
