"""Queue mails that notify the owner of an account of a change (console/mail/mails.py)."""

from accounts.models import User
from console import tasks
from console.mail import mails


def queue(kind: str, user: User) -> None:
    """Notify the account's verified address, if it has one."""
    if user.email_verified_at:
        mails.queue(tasks.send_news, kind, user.pk, user.email)
