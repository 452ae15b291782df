"""The Celery tasks of this room: mail about accounts. Each is safe to run twice or late."""

from celery import shared_task
from django.utils import translation

from accounts.models import Invitation, User
from common.postgresql.clock import now
from console.mail import account_digest, mails


@shared_task(name="console.send_password_reset")
def send_password_reset(email: str, language: str) -> None:
    """Mail links that set a new password to the accounts with this address, if there are any."""
    with translation.override(language):
        mails.send_reset_links(email)


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
