"""The Celery task, its exchange with the web process, the lock and the watchdog."""
