"""The project: settings, addresses, the Celery app and the embedded services."""

from facecloud.celery import app as celery_app

__all__ = ["celery_app"]
