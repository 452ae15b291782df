"""The scheduled tasks of this room (settings.CELERY_BEAT_SCHEDULE). Each is safe to run twice or late.

`sample_usage` runs at midnight or not at all: beat lets it expire after ten minutes.
"""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from billing import catalogue, forecast, notices, orders, quota
from billing.books import months, reconcile
from billing.notices import due, mailing
from common.postgresql import clock

SAMPLE_WITHIN = timedelta(minutes=10)

log = logging.getLogger(__name__)


@shared_task(name="billing.sweep_holds")
def sweep_holds() -> None:
    """Return the units of calls that ended without a result."""
    if swept := quota.sweep(clock.now()):
        log.warning("returned the units of %s expired holds", swept)


@shared_task(name="billing.expire_orders")
def expire_orders() -> None:
    """Cancel orders unpaid for 48 hours."""
    if expired := orders.expire_due(clock.now()):
        log.info("cancelled %s unpaid orders", expired)


@shared_task(name="billing.apply_scheduled_changes")
def apply_scheduled_changes() -> None:
    """Apply the scheduled changes of the catalogue that are due."""
    if changed := catalogue.apply_due(clock.now()):
        log.info("applied %s scheduled changes of the catalogue", changed)


@shared_task(name="billing.send_notices")
def send_notices() -> None:
    """Write the due notices, and mail them."""
    at = clock.now()
    due.scan(at)
    mailing.mail(at)


@shared_task(name="billing.sample_usage")
def sample_usage() -> None:
    """Record the usage at midnight for the forecast of when units run out.

    The clock of beat's host may differ from PostgreSQL's, so the task rounds to the nearest midnight. More
    than SAMPLE_WITHIN from midnight, it records nothing, because the usage has changed since.
    """
    at = timezone.localtime(clock.now())
    midnight = (at + timedelta(hours=12)).replace(hour=0, minute=0, second=0, microsecond=0)
    if abs(at - midnight) > SAMPLE_WITHIN:
        log.warning("the usage at midnight was not recorded: the task ran at %s", f"{at:%F %T}")
        return
    forecast.sample(midnight)


@shared_task(name="billing.reconcile_books")
def reconcile_books() -> None:
    """Prove the books and record the result; each break is an error in the log."""
    for proof in reconcile.run_and_record(clock.now()):
        for broken in proof.breaks:
            log.error("reconcile: %s %s: %s", proof.sentence, broken.row, broken.detail)


@shared_task(name="billing.keep_months")
def keep_months() -> None:
    """Create the coming months of calls and debits, and drop those whose retention has ended."""
    if dropped := months.keep(clock.now()):
        log.warning("dropped partitions: %s", ", ".join(dropped))


@shared_task(name="billing.forget_notices")
def forget_notices() -> None:
    """Delete the notices whose retention has ended."""
    if forgotten := notices.forget(clock.now()):
        log.info("deleted %s old notices", forgotten)
