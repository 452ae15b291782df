"""The Celery app: the inference pool and the scheduled work of every room."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")

app = Celery("facecloud")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["inference", "billing", "faceapi", "console"])
