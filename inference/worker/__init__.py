"""The Celery task, its exchange with the web processes, and what guards the process that runs it."""
