"""The scheduled tasks of this room (settings.CELERY_BEAT_SCHEDULE). Each is safe to run twice or late."""

from pathlib import Path

from axes.handlers.proxy import AxesProxyHandler
from celery import shared_task
from django.conf import settings
from django.core.management import call_command

from accounts.users import invitations
from common import mail_backends
from common.postgresql.clock import now

KEEP_LOGINS_DAYS = 180


@shared_task(name="accounts.forget_logins")
def forget_logins() -> None:
    """Delete expired sessions, old records of logins (successful and failed), and mails in files.

    The counts of wrong passwords are deleted by axes itself, with the next login.
    """
    call_command("clearsessions")
    AxesProxyHandler.reset_logs(age_days=KEEP_LOGINS_DAYS)
    AxesProxyHandler.reset_failure_logs(age_days=KEEP_LOGINS_DAYS)
    mail_backends.delete_old_files(Path(settings.EMAIL_FILE_PATH))


@shared_task(name="accounts.forget_invitations")
def forget_invitations() -> None:
    """Delete the invitations of people who did not register."""
    invitations.delete_expired(now())
