"""Reports by mail: the content of a report, its form as a mail, and sending those that are due."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from email.mime.image import MIMEImage
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import digests
from accounts.models import DigestKind, DigestPeriod, DigestSubscription, User
from common.links import absolute
from console.reports.pictures import Bars, png

PER_RUN = 100  # mails per kind and period; the next run sends the others
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of the report as text, with its change from the previous period."""

    label: str
    value: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A CSV attachment."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Digest:
    """The content of a report, in the language of its reader. `lines` name what needs attention."""

    title: str
    facts: Sequence[Fact]
    bars: Sequence[Bars]
    files: Sequence[File]
    page: str  # the path of the report on the site
    settings_page: str  # the path of the page on which it can be switched off
    lines: Sequence[str] = field(default_factory=tuple)


Make = Callable[[User, date, date], Digest]


def days_text(first: date, end: date) -> str:
    """Return the days of a period: one day, or the first and the last."""
    last = end - timedelta(days=1)
    return f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"


def title_of(period: str, name: str, first: date, end: date) -> str:
    """Return the subject of a report."""
    return _("%(period)s报告 · %(name)s · %(days)s") % {
        "period": DigestPeriod(period).label,
        "name": name,
        "days": days_text(first, end),
    }


def send_due(kind: DigestKind, make: Make, at: datetime, may: Callable[[User], bool]) -> int:
    """Send the reports of this kind that are due, and return their number.

    `make` builds a report; `may` returns whether a user may still have it.

    If the mail server cannot be reached, the rest wait for the next run. A report that cannot be built or
    that the server rejects is skipped, because it would fail again.
    """
    sent = 0
    for period in DigestPeriod.values:
        for one in digests.due(kind, period, at, PER_RUN):
            first, end = digests.last_period(period, timezone.localdate(at))
            if not digests.claim(one, end) or not may(one.user):
                continue
            try:
                _send(one, make, first, end)
            except (SMTPRecipientsRefused, SMTPDataError) as error:
                log.warning("a report for user %s was refused: %s", one.user_id, type(error).__name__)
            except (SMTPException, OSError):
                log.exception("a report for user %s could not be mailed", one.user_id)
                digests.release(one, end)
                return sent
            except Exception as error:
                log.exception("a report for user %s is skipped: %s", one.user_id, type(error).__name__)
            else:
                sent += 1
    return sent


def _send(one: DigestSubscription, make: Make, first: date, end: date) -> None:
    with translation.override(one.user.language):
        message(make(one.user, first, end), one.user.email).send()


def message(digest: Digest, address: str) -> EmailMultiAlternatives:
    """Return the mail: text, HTML with the pictures in it, and the files."""
    pictures = [(f"chart-{number}", bars) for number, bars in enumerate(digest.bars, 1) if any(bars.totals)]
    context = {
        "digest": digest,
        "pictures": pictures,
        "page": absolute(digest.page),
        "settings_page": absolute(digest.settings_page),
        "language": translation.get_language(),
    }
    mail = EmailMultiAlternatives(
        digest.title, render_to_string("mail/digest.txt", context), settings.DEFAULT_FROM_EMAIL, [address]
    )
    mail.attach_alternative(render_to_string("mail/digest.html", context), "text/html")
    for name, bars in pictures:
        image = MIMEImage(png(bars), "png")
        image.add_header("Content-ID", f"<{name}>")
        image.add_header("Content-Disposition", "inline", filename=f"{name}.png")
        mail.attach(image)
    for file in digest.files:
        mail.attach(file.name, file.content, "text/csv")
    return mail
