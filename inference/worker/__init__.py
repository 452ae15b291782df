"""The Celery task, its exchange with the web processes, and the watchdog of the worker process."""
