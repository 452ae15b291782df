"""The scheduled task of this room: the heartbeat of the schedule (common/celery/schedule.py)."""

import logging

from celery import current_app, shared_task

from common.celery import schedule

log = logging.getLogger(__name__)


@shared_task(name="common.note_schedule")
def note_schedule() -> None:
    """Record that beat and a worker are running, and send tasks that were missed."""
    schedule.note()
    for task in schedule.send_overdue(current_app.send_task):
        log.warning("%s did not succeed when it was due: sent again", task)


@shared_task(name="console.note_schedule")
def note_schedule_before() -> None:
    """Run the task under the name that a beat of the previous version sends during an upgrade."""
    note_schedule()
