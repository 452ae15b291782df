"""What Celery's processes share: the broker, the queues, the schedule and the liveness files."""
