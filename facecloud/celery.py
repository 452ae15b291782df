"""The Celery app of the scheduled work of every room, and of mail; that of the pool: inference/celery.py."""

import logging.config
import os
from typing import Any

from celery import Celery, signals
from django.conf import settings

from common import liveness, schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")

app = Celery("facecloud")
app.set_default()  # for every thread: a web thread that sends a task must not find an app without a broker
app.config_from_object("django.conf:settings", namespace="CELERY")
liveness.watch(app)
app.autodiscover_tasks(["accounts", "billing", "console", "faceapi", "operations"])


@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery would set levels and formats of its own: with a receiver here, it does not."""
    logging.config.dictConfig(settings.LOGGING)


@signals.worker_init.connect
def limit_waits(**_: object) -> None:
    """Bound the waits for PostgreSQL."""
    from common.postgresql import processes  # needs the settings, which are ready now

    processes.background()


@signals.beat_init.connect
def run_schedule_at_once(**_: object) -> None:
    """Send the schedule's heartbeat at start; it also sends what was missed while nothing ran."""
    app.send_task("console.note_schedule")
    liveness.touch()


@signals.task_prerun.connect
def note_start(task: Any, **_: object) -> None:
    """Record the start of a task that is caught up if it fails."""
    if task.name in schedule.CAUGHT_UP:
        schedule.note_start(task.name)


@signals.task_success.connect
def note_success(sender: Any, **_: object) -> None:
    """Record the success of a task that is caught up if it fails."""
    if sender.name in schedule.CAUGHT_UP:
        schedule.note_success(sender.name)
