"""The checkpoints of reconcile: days that are already proved, so that later runs can skip them.

A day in UTC covers the calls and debits whose time-ordered ids fall within it. It is closed one day after its
end, when all of its calls have ended and the states of its debits are final. If its checks then find no
break, the day is recorded as proved, and the units that it took from each Period are added to ProvedUnits.
Later runs prove only the remaining days and add the recorded sums, so that their cost does not grow with the
number of calls. `reconcile --all` deletes the records and proves every day that still has its rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction

from billing.models import AnsweredHour, Debit, ProvedDay, ProvedUnits
from common import time_ids

DAY = timedelta(days=1)
LONGEST_CALL = DAY  # from its id to its end; the slowest accepted body takes about six hours
_LOCK = 0x0FACE1  # key of the advisory lock on the records of proved days


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The calls and debits of [since, until), by their ids; None means unbounded."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def first_id(self) -> UUID:
        """Return the lower bound of the ids, inclusive."""
        return time_ids.first(self.since) if self.since else UUID(int=0)

    @property
    def end_id(self) -> UUID:
        """Return the upper bound of the ids, exclusive."""
        return time_ids.first(self.until) if self.until else time_ids.END

    @property
    def values(self) -> dict[str, UUID | datetime | str]:
        """Return the bounds as query parameters; calls that end in the range have ids from `earlier_id`."""
        return {
            "first_id": self.first_id,
            "end_id": self.end_id,
            "earlier_id": time_ids.first(self.since - LONGEST_CALL) if self.since else UUID(int=0),
            "since": self.since or "-infinity",
            "until": self.until or "infinity",
            "complete_since": complete_since() or "-infinity",
        }

    def is_closed(self, at: datetime) -> bool:
        """Return whether this is one day that can no longer change."""
        if self.since is None or self.until is None:
            return False
        return self.until - self.since == DAY and self.until + LONGEST_CALL <= at


def everything() -> TimeRange:
    """Return the range of all rows that still exist."""
    return TimeRange(since=archived_until())


def archived_until() -> datetime | None:
    """Return the moment before which calls and debits were dropped; None if none were."""
    last = ProvedDay.objects.filter(is_archived=True).order_by("-day").values_list("day", flat=True).first()
    return _midnight(last) + DAY if last else None


def complete_since() -> datetime | None:
    """Return the time since which every settled debit still has its row; None if none were dropped.

    A debit that was settled on the first day after `archived_until` may have an id from before it.
    """
    floor = archived_until()
    return floor + LONGEST_CALL if floor else None


def spans(at: datetime, *, anew: bool = False) -> list[TimeRange]:
    """Return the time ranges to prove at `at`: each closed day that is not proved, and the days still open.

    With `anew`, closed days are included even if they are proved.
    """
    floor = archived_until()
    first = _first_day(floor)
    if first is None:
        return [TimeRange(since=floor)]
    proved = set[date]() if anew else set(ProvedDay.objects.values_list("day", flat=True))
    closed = list(_days(first, at))
    last = closed[-1].until if closed else first
    before = [TimeRange(floor, first)] if floor is None or floor < first else []
    return [*before, *(span for span in closed if day_of(span) not in proved), TimeRange(last, None)]


def merged(spans: Iterable[TimeRange]) -> list[TimeRange]:
    """Merge adjacent ranges; `spans` are in order and do not overlap."""
    found: list[TimeRange] = []
    for span in spans:
        if found and found[-1].until == span.since:
            found[-1] = TimeRange(found[-1].since, span.until)
        else:
            found.append(span)
    return found


def _first_day(floor: datetime | None) -> datetime | None:
    debit = Debit.objects.filter(pk__gte=time_ids.first(floor) if floor else UUID(int=0))
    found = [
        *debit.order_by("pk").values_list("created_at", flat=True)[:1],
        *AnsweredHour.objects.order_by("hour").values_list("hour", flat=True)[:1],
    ]
    if not found:
        return None
    first = _midnight(min(found).astimezone(UTC).date())
    return max(first, floor) if floor else first


def _days(first: datetime, at: datetime) -> Iterator[TimeRange]:
    day = TimeRange(first, first + DAY)
    while day.is_closed(at):
        yield day
        day = TimeRange(day.until, day.until + DAY) if day.until else day


def day_of(span: TimeRange) -> date:
    """Return the UTC day that a one-day range covers. Raises ValueError if it has no start."""
    if span.since is None:
        raise ValueError("the range has no start")
    return span.since.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


_RECORD = """
INSERT INTO billing_provedunits AS proved (period_id, month, units)
SELECT line.period_id, %(month)s, sum(line.units)
  FROM billing_debitline AS line JOIN billing_debit AS debit ON debit.call_id = line.debit_id
 WHERE debit.call_id >= %(first_id)s AND debit.call_id < %(end_id)s
   AND line.debit_id >= %(first_id)s AND line.debit_id < %(end_id)s AND debit.state = 'settled'
 GROUP BY line.period_id
    ON CONFLICT (period_id, month) DO UPDATE SET units = proved.units + excluded.units
"""


def record(span: TimeRange, at: datetime) -> bool:
    """Record a closed day as proved; return False if it already is, or if one of its debits is still open."""
    with transaction.atomic(), connection.cursor() as cursor:
        lock()
        day = day_of(span)
        debits = Debit.objects.filter(pk__gte=span.first_id, pk__lt=span.end_id)
        if (
            ProvedDay.objects.filter(pk=day).exists()
            or debits.filter(state__in=["held", "settling"]).exists()
        ):
            return False
        ProvedDay.objects.create(day=day, proved_at=at)
        cursor.execute(_RECORD, {**span.values, "month": day.replace(day=1)})
        return True


def lock() -> None:
    """Lock the records of proved days until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def archive_sums(until: date) -> None:
    """Mark the recorded days and sums before `until` as archived: their debits are being dropped."""
    ProvedUnits.objects.filter(month__lt=until, is_archived=False).update(is_archived=True)
    ProvedDay.objects.filter(day__lt=until, is_archived=False).update(is_archived=True)


def archive_days(until: date) -> None:
    """Record that the rows before `until` were dropped, even if no day before it was proved."""
    ProvedDay.objects.get_or_create(
        day=until - DAY, defaults={"proved_at": _midnight(until), "is_archived": True}
    )


def forget() -> None:
    """Delete the records of proved days that still have their rows."""
    with transaction.atomic():
        lock()
        ProvedDay.objects.filter(is_archived=False).delete()
        ProvedUnits.objects.filter(is_archived=False).delete()
