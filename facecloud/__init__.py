"""The composition root: settings, URLs, the Celery app of the scheduled tasks, the web worker, the checks."""
