"""The scheduled tasks of this room (settings.CELERY_BEAT_SCHEDULE). Each is safe to run twice or late."""

import logging

from celery import shared_task

from common.postgresql.clock import now
from faceapi import calls
from faceapi.limits import idempotency
from faceapi.usage import rollups

logger = logging.getLogger(__name__)


@shared_task(name="faceapi.sweep_answers")
def sweep_answers() -> None:
    """Return the units of calls that were settled but not confirmed as answered."""
    if withdrawn := calls.withdraw_unconfirmed(now()):
        logger.warning("returned the units of %s calls whose answers were not confirmed", withdrawn)


@shared_task(name="faceapi.close_usage")
def close_usage() -> None:
    """Roll up the hours and days that have ended, for the operators' reports."""
    rollups.close(now())


@shared_task(name="faceapi.mend_usage")
def mend_usage() -> None:
    """Compare the roll-ups with the hours, and recompute them from the first day that differs."""
    at = now()
    if broken := list(rollups.differences()):
        for difference in broken:
            logger.warning("a roll-up differs from the hours: %s %s", difference.table, difference.text)
        rollups.rebuild(min(difference.day for difference in broken))
        rollups.close(at)


@shared_task(name="faceapi.forget_idempotency_keys")
def forget_idempotency_keys() -> None:
    """Delete expired Idempotency-Keys."""
    idempotency.forget(now())


@shared_task(name="faceapi.forget_usage")
def forget_usage() -> None:
    """Delete the hourly and daily sums whose retention has ended."""
    if forgotten := rollups.forget(now()):
        logger.info("deleted %s rows of old usage", forgotten)
