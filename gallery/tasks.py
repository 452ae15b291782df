"""The scheduled tasks of this room (settings.CELERY_BEAT_SCHEDULE). Each is safe to run twice or late."""

import logging
from datetime import timedelta

from celery import shared_task

from common.postgresql import advisory
from common.postgresql.clock import now
from gallery import enrolment
from gallery.retention import expiry
from gallery.vectors import conversion, indexing

log = logging.getLogger(__name__)

# An enrolment is withdrawn within minutes, if at all.
NOTES_FOR = timedelta(days=1)
_INDEXING_LOCK = 0x0FACE2  # key of the advisory lock on the HNSW index: one run at a time


@shared_task(name="gallery.delete_expired")
def delete_expired() -> None:
    """Delete the faces whose consent or retention has ended, and notify customers of the next deletions.

    Also delete the notes of old enrolments, and the vectors of the version before.
    """
    at = now()
    try:
        if deleted := expiry.delete_expired(at):
            log.info("deleted %s faces whose consent or retention has ended", deleted)
    finally:
        expiry.notify(at)
        enrolment.forget_notes(at - NOTES_FOR)
        conversion.discard()


@shared_task(name="gallery.index_large_groups")
def index_large_groups() -> None:
    """Index the groups that are too large for an exact scan, and remove the others from the index.

    Faces that a process of the version before enrolled during an upgrade are converted first. Does nothing
    while another run is in progress, which may take longer than the interval of the schedule.
    """
    with advisory.exclusive(_INDEXING_LOCK) as is_held:
        if is_held:
            conversion.convert()
            indexing.update(now())
