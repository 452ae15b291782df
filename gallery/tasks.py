"""The scheduled work of this room (settings.CELERY_BEAT_SCHEDULE). Each task may run twice or late."""

import logging

from celery import shared_task

from common.postgresql.clock import now
from gallery import expiry, indexing

log = logging.getLogger(__name__)


@shared_task(name="gallery.delete_expired")
def delete_expired() -> None:
    """Delete the faces whose consent or retention is over, and tell customers what is next."""
    at = now()
    try:
        if deleted := expiry.delete_expired(at):
            log.info("%s faces deleted whose consent or retention was over", deleted)
    finally:
        expiry.notify(at)


@shared_task(name="gallery.index_large_groups")
def index_large_groups() -> None:
    """Bring the groups that are too large for an exact scan into the index, and the others out of it."""
    indexing.update(now())
