"""The Celery tasks of this room: mail about accounts. Each is safe to run twice or late."""

from urllib.parse import urlsplit

from celery import shared_task
from django.utils import translation

from accounts.models import Invitation, User
from common import links
from common.postgresql.clock import now
from console.mail import account_digest, mails


@shared_task(name="console.send_password_reset")
def send_password_reset(email: str, language: str) -> None:
    """Mail a reset link to the account with this address, if there is one."""
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
    """Mail the link that verifies the address entered for an account."""
    mails.send_verification(User.objects.get(pk=user))


@shared_task(name="console.send_news")
def send_news(kind: str, user: int, address: str) -> None:
    """Notify an account's address of a change."""
    mails.send_change(kind, User.objects.get(pk=user), address)


@shared_task(name="console.send_digests")
def send_digests() -> None:
    """Mail customers the reports that they subscribed to and that are due."""
    account_digest.send_due(now())


@shared_task(name="console.send_invitation")
def send_invitation(invitation: int) -> None:
    """Mail an invitation."""
    mails.send_invitation(Invitation.objects.get(pk=invitation))
