"""The scheduled work of this room (settings.CELERY_BEAT_SCHEDULE). Each task may run twice or late."""

import logging
from datetime import timedelta

from celery import shared_task

from common.postgresql.clock import now
from gallery import enrolment, expiry, indexing

log = logging.getLogger(__name__)

# An enrolment is withdrawn within minutes, if at all.
NOTES_FOR = timedelta(days=1)


@shared_task(name="gallery.delete_expired")
def delete_expired() -> None:
    """Delete the faces whose consent or retention is over, and tell customers what is next."""
    at = now()
    try:
        if deleted := expiry.delete_expired(at):
            log.info("%s faces deleted whose consent or retention was over", deleted)
    finally:
        expiry.notify(at)
        enrolment.forget_notes(at - NOTES_FOR)


@shared_task(name="gallery.index_large_groups")
def index_large_groups() -> None:
    """Bring the groups that are too large for an exact scan into the index, and the others out of it."""
    indexing.update(now())
