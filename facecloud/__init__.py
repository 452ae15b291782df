"""The project: settings, addresses, the Celery app of the scheduled work and the embedded services."""

__version__ = "0.1.0"
