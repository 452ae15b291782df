"""The scheduled work of this room (settings.CELERY_BEAT_SCHEDULE). Each task may run twice or late."""

from axes.handlers.proxy import AxesProxyHandler
from celery import shared_task
from django.core.management import call_command

KEEP_LOGINS_DAYS = 180


@shared_task(name="accounts.forget_logins")
def forget_logins() -> None:
    """Deletes the sessions that are over and the records of old logins.

    Wrong passwords are forgotten by axes itself, whenever somebody logs in.
    """
    call_command("clearsessions")
    AxesProxyHandler.reset_logs(age_days=KEEP_LOGINS_DAYS)
