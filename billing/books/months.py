"""The monthly partitions of calls and debits: created in advance, and dropped after their retention.

The tables (settings.MONTHLY_TABLES) are partitioned by RANGE of their ids, which are version 7 UUIDs: one
partition for each month in UTC (billing/migrations/0001_months.sql). A month is dropped only after reconcile
has proved all of its days; the units that its debits took from each Period remain in ProvedUnits. SQL
functions create and drop the partitions with the rights of the tables' owner, because the application's role
may not alter tables.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import OperationalError, connection, transaction

from billing.books import checkpoint
from billing.models import AnsweredHour
from billing.periods import add_months
from common.postgresql import waits

AHEAD = 3  # months after the current one
# The SQL functions wait at most half a second for a lock, because calls queue behind them; then we retry.
ATTEMPTS, PAUSE_S = 10, 3.0

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """The number of future months that exist in every table, and of old ones that are due to be dropped."""

    ahead: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of `table` for the days [since, until); `since` is None if it has no lower bound."""

    table: str
    since: date | None
    until: date

    def has(self, month: date) -> bool:
        """Return whether the calls of this month belong to the partition."""
        return (self.since is None or self.since <= month) and month < self.until


def keep(at: datetime) -> list[str]:
    """Create the partitions of future months and drop the old ones; return the names of those dropped."""
    for month in _ahead(at):
        if made := _with_retries(partial(_call, "months_make", _tables(), month)):
            log.info("created the partitions of month %s in %s tables", month, made)
    dropped = _drop(at)
    _call("months_analyze", _tables())
    return dropped


def state(at: datetime) -> State:
    """Return how many future months are ready, and how many old ones are due to be dropped."""
    found = partitions()
    ahead = 0
    for month in _ahead(at)[1:]:
        made = {part.table for part in found if part.has(month)}
        if made != set(_tables()):
            break
        ahead += 1
    cut = kept_since(at)
    overdue = {part.until for part in found if cut is not None and part.until <= cut}
    return State(ahead, len(overdue))


def kept_since(at: datetime) -> date | None:
    """Return the first month whose calls and debits are kept, or None if all are."""
    if not settings.CALLS_KEPT_MONTHS:
        return None
    return add_months(_month(at), -settings.CALLS_KEPT_MONTHS)


def partitions() -> list[Partition]:
    """Return the partitions of every table, apart from the default ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, months_day_of(month.since), months_day_of(month.until)"
            "  FROM unnest(%s) AS name, months_of(name::regclass) AS month WHERE month.until IS NOT NULL",
            [_tables()],
        )
        return [Partition(*row) for row in cursor.fetchall()]


def _drop(at: datetime) -> list[str]:
    cut = kept_since(at)
    ends = [part.until for part in partitions() if cut is not None and part.until <= cut]
    if not ends:
        return []
    until = max(ends)  # not `cut`, which may lie within the first partition
    dropped = _with_retries(lambda: _drop_until(until))
    AnsweredHour.objects.filter(hour__lt=datetime(until.year, until.month, until.day, tzinfo=UTC)).delete()
    return dropped


@transaction.atomic
def _drop_until(until: date) -> list[str]:
    checkpoint.lock()
    checkpoint.archive_sums(until)
    dropped: list[str] = _call("months_drop", _tables(), until)  # raises if a day is not proved
    checkpoint.archive_days(until)
    return dropped


def _ahead(at: datetime) -> list[date]:
    """Return the current month and those after it."""
    return [add_months(_month(at), number) for number in range(AHEAD + 1)]


def _month(at: datetime) -> date:
    return at.astimezone(UTC).date().replace(day=1)


def _tables() -> list[str]:
    return list(settings.MONTHLY_TABLES)


def _call(function: str, *arguments: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({', '.join(['%s'] * len(arguments))})", arguments)
        return cursor.fetchone()[0]


def _with_retries(work: Callable[[], Result]) -> Result:
    """Return the result of `work`, retrying while other transactions hold the locks that it needs."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except OperationalError as error:
            if not waits.is_lock_timeout(error) or attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError("the last attempt returns or raises")
