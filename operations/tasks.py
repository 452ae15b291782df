"""The Celery tasks of the operators' room."""

from celery import shared_task

from common.postgresql.clock import now
from operations import digest
from operations.monitoring import health, incidents


@shared_task(name="operations.record_incidents")
def record_incidents() -> None:
    """Record the start and end of bad findings."""
    incidents.record(health.measure(now()))


@shared_task(name="operations.send_digests")
def send_digests() -> None:
    """Mail operators the reports that they subscribed to and that are due."""
    digest.send_due(now())
