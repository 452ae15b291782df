"""The project: settings, addresses, the Celery app and the embedded services."""

from facecloud.celery import app as celery_app

__version__ = "0.1.0"
__all__ = ["__version__", "celery_app"]
