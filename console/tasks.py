"""The scheduled work of this room (settings.CELERY_BEAT_SCHEDULE). Each task may run twice or late."""

from celery import shared_task
from django.utils import timezone

from facecloud import schedule


@shared_task(name="console.note_schedule")
def note_schedule() -> None:
    """A sign of life of the schedule, for the live view, /metrics and `manage.py check --deploy`."""
    schedule.note(timezone.now())
