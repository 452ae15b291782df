"""The project: settings, addresses, the Celery app of the scheduled work, the web worker, the checks."""
