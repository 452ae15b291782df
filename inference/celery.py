"""The Celery app of an inference worker: `celery --app inference worker`.

Its settings are facecloud/settings_worker.py, whatever the environment names: no secret key, no encryption
key, no database. Without Celery's Django fix-ups no Django app is loaded either.
"""

import logging.config
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "facecloud.settings_worker"  # before anything reads a setting

from celery import Celery, signals
from django.conf import settings

from common import liveness, machine

machine.raise_open_files()
app = Celery("inference", fixups=[], include=["inference.worker.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
liveness.watch(app)
# No orders from other processes (celery inspect, celery control): they would need more rights in Valkey.
app.conf.worker_enable_remote_control = False


@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery would set levels and formats of its own: with a receiver here, it does not."""
    logging.config.dictConfig(settings.LOGGING)
