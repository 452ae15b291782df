"""The Celery tasks of the operators' room."""

from celery import shared_task

from common.postgresql.clock import now
from operations.monitoring import health, incidents


@shared_task(name="operations.record_incidents")
def record_incidents() -> None:
    """Record which bad findings began or ended."""
    incidents.record(health.measure(now()))
