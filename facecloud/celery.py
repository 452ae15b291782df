"""The Celery app of the scheduled work of every room. The inference pool has its own: inference/celery.py."""

import logging.config
import os

from celery import Celery, signals
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")

app = Celery("facecloud")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["accounts", "billing", "console", "faceapi"])


@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery would set levels and formats of its own: with a receiver here, it does not."""
    logging.config.dictConfig(settings.LOGGING)


@signals.beat_init.connect
def show_life_at_once(**_: object) -> None:
    """The schedule's first sign of life does not wait a minute, in which operators would be alarmed."""
    app.send_task("console.note_schedule")
