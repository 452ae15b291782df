"""The Celery app of an inference worker: `celery --app inference worker`.

Its settings are always facecloud/settings_worker.py, regardless of the environment: without a secret key, an
encryption key or a database. Without Celery's Django fix-ups, no Django app is loaded either.
"""

import importlib
import logging.config
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "facecloud.settings_worker"  # before any setting is read

from celery import Celery, signals
from django.conf import settings

from common import machine
from common.celery import liveness

machine.raise_open_files()
# The `celery` program has the working directory in sys.path only while it imports this module.
importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])
app = Celery("inference", fixups=[], include=["inference.worker.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
liveness.watch(app)
# No remote control (celery inspect, celery control): workers would need more permissions in Valkey.
app.conf.worker_enable_remote_control = False


@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Apply the LOGGING setting; Celery does not configure logging if this signal has a receiver."""
    logging.config.dictConfig(settings.LOGGING)
