"""Overdue Debits, for the sweeps that return their units (quota.py, and calls.py of faceapi).

Each Debit is ended in a transaction of its own, so that one that cannot be ended does not stop the others.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from billing.models import Debit, DebitState
from common.postgresql import waits

BATCH = 1000
# While a sweep waits for a lock, it holds the Periods to which it returns units, and calls that need these
# get 5003 after DB_LOCK_TIMEOUT_S.
LOCK_TIMEOUT_S = 1.0

log = logging.getLogger(__name__)


def end_each(state: DebitState, at: datetime, end: Callable[[Debit], int]) -> int:
    """Call `end` for each Debit in `state` that is overdue at `at`; return for how many it returned units.

    `end` runs in a transaction and returns the number of units that it returned. If it fails, the next sweep
    tries again, and so it does with the Debits of an App and API for which a lock was not available, because
    they need the same lock. The last error is raised at the end; if the database is unavailable, at once.
    """
    ended = 0
    busy: set[tuple[int, str]] = set()
    failure: DatabaseError | None = None
    for debit in _overdue(state, at):
        if (debit.app_id, debit.api) in busy:
            continue
        try:
            with transaction.atomic():
                waits.limit_locks(LOCK_TIMEOUT_S)
                units = end(debit)
        except DatabaseError as error:
            if not connection.is_usable():
                raise
            log.exception("the units of call %s were not returned", debit.pk)
            failure = error
            if waits.is_lock_timeout(error):
                busy.add((debit.app_id, debit.api))
        else:
            ended += units > 0
    if failure is not None:
        raise failure
    return ended


def _overdue(state: DebitState, at: datetime) -> Iterator[Debit]:
    """Yield the Debits, the longest overdue first, by keyset pagination."""
    found = Debit.objects.filter(state=state, hold_expires_at__lte=at).order_by("hold_expires_at", "call_id")
    batch = list(found[:BATCH])
    yield from batch
    while len(batch) == BATCH:
        until, last = batch[-1].hold_expires_at, batch[-1].pk
        after = Q(hold_expires_at__gt=until) | Q(hold_expires_at=until, call_id__gt=last)
        batch = list(found.filter(after, hold_expires_at__gte=until)[:BATCH])
        yield from batch
