"""Liveness files, from which a health check sees whether a Celery worker or beat is working.

A process with LIVENESS_FILE touches that file: a worker every TOUCH_EVERY_S, from the event loop that also
receives messages, and only while it is connected; beat whenever it has sent a task to the broker. A health
check only looks at the age of the file (compose.yaml), so it needs no Python, no broker and no privileges.
"""

from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from celery.beat import PersistentScheduler
from django.conf import settings

TOUCH_EVERY_S = 5.0


def touch() -> None:
    """Set the modification time of LIVENESS_FILE to now; do nothing without the setting."""
    if settings.LIVENESS_FILE:
        Path(settings.LIVENESS_FILE).touch()


class ConsumerIsAlive(bootsteps.StartStopStep):
    """Touches the file from the consumer's event loop while it is connected to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        touch()
        self._timer = consumer.timer.call_repeatedly(TOUCH_EVERY_S, touch)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def watch(app: Celery) -> None:
    """Make the workers of the Celery app touch LIVENESS_FILE."""
    app.steps["consumer"].add(ConsumerIsAlive)


class Scheduler(PersistentScheduler):
    """Beat's scheduler, which touches the file after each task that the broker accepted."""

    def apply_async(self, *arguments: Any, **options: Any) -> Any:
        result = super().apply_async(*arguments, **options)
        touch()
        return result
