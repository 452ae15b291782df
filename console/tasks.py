"""The Celery tasks of this room: scheduled ones (settings.CELERY_BEAT_SCHEDULE) and mail.

Each may run twice or late.
"""

import logging
from urllib.parse import urlsplit

from celery import current_app, shared_task
from django.utils import translation

from accounts.models import Invitation, User
from common import links, schedule
from console import mails

log = logging.getLogger(__name__)


@shared_task(name="console.note_schedule")
def note_schedule() -> None:
    """Note the schedule's heartbeat for operators, and send again what was missed."""
    schedule.note()
    for task in schedule.send_overdue(current_app.send_task):
        log.warning("%s did not succeed when it was due: sent again", task)


@shared_task(name="console.send_password_reset")
def send_password_reset(email: str, language: str) -> None:
    """Mail a link to each account with this address, if there is one."""
    from console.forms import ResetPasswordForm

    form = ResetPasswordForm({"email": email})
    with translation.override(language):
        if form.is_valid():
            form.save(
                domain_override=urlsplit(links.absolute("/")).netloc,
                subject_template_name="mail/password_reset_subject.txt",
                email_template_name="mail/password_reset.txt",
            )


@shared_task(name="console.send_link")
def send_link(user: int) -> None:
    """Mail the link that verifies the address that an account has named."""
    mails.link(User.objects.get(pk=user))


@shared_task(name="console.send_news")
def send_news(kind: str, user: int, address: str) -> None:
    """Mail an account's address what has changed."""
    mails.news(kind, User.objects.get(pk=user), address)


@shared_task(name="console.send_invitation")
def send_invitation(invitation: int) -> None:
    """Mail an invitation."""
    mails.invitation(Invitation.objects.get(pk=invitation))
