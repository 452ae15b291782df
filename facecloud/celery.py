"""The Celery app of scheduled tasks and mail; inference workers use inference/celery.py."""

import logging.config
import os
from typing import Any

from celery import Celery, signals
from django.conf import settings

from common.celery import liveness, schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")

app = Celery("facecloud")
app.set_default()  # in every thread: otherwise a web thread would send tasks with an app without a broker
app.config_from_object("django.conf:settings", namespace="CELERY")
liveness.watch(app)
app.autodiscover_tasks(["common", "accounts", "billing", "console", "faceapi", "gallery", "operations"])


@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Apply the LOGGING setting; Celery does not configure logging if this signal has a receiver."""
    logging.config.dictConfig(settings.LOGGING)


@signals.worker_init.connect
def limit_waits(**_: object) -> None:
    """Set the timeouts for PostgreSQL."""
    from common.postgresql import processes  # imported here because it needs the settings

    processes.background()


@signals.beat_init.connect
def run_schedule_at_once(**_: object) -> None:
    """Run the schedule's heartbeat at start; it also sends the tasks that were missed."""
    app.send_task("common.note_schedule")
    liveness.touch()


@signals.task_prerun.connect
def note_start(task: Any, **_: object) -> None:
    """Record the start of a task that is repeated if it fails."""
    if task.name in schedule.CAUGHT_UP:
        schedule.note_start(task.name)


@signals.task_success.connect
def note_success(sender: Any, **_: object) -> None:
    """Record the success of a task that is repeated if it fails."""
    if sender.name in schedule.CAUGHT_UP:
        schedule.note_success(sender.name)
