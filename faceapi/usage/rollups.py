"""Roll up UsageHour, so that operators' reports over all customers read thousands of rows, not millions.

    UsageHour   App x API x region x code x hour    written with each Call (faceapi/calls)
    UsageDay    App x API x region x code x day     all of a closed local day
    ServiceHour       API x region x code x hour    all Apps of a closed hour

Both are derived from UsageHour. `close` writes the hours and days that ended at least GRACE ago, without a
gap, and a report reads the rest from UsageHour (operator_reports.py). So a report is correct even if the
schedule did not run; it is only slower.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from billing.books import checkpoint
from billing.periods import months_before
from faceapi.models import SUMS, ServiceHour, UsageDay, UsageHour
from faceapi.usage.histogram import SLOTS

# A call is counted when it ends, in the hour of its arrival; no call lasts longer than this.
GRACE = timedelta(hours=1)
_LOCK = 0x0FACE0  # advisory: one `close` at a time
HISTOGRAMS = ("latency_histogram", "queue_histogram", "infer_histogram")


@dataclass(frozen=True, slots=True)
class Difference:
    """A local day whose closed sums differ from those of UsageHour."""

    day: datetime
    table: str
    text: str


def hours_closed_until() -> datetime | None:
    """Return the time before which ServiceHour is complete; None while it is empty."""
    last = ServiceHour.objects.aggregate(last=models.Max("hour"))["last"]
    return last + timedelta(hours=1) if last else None


def days_closed_until() -> datetime | None:
    """Return the local midnight before which UsageDay is complete; None while it is empty."""
    last = UsageDay.objects.aggregate(last=models.Max("day"))["last"]
    return timezone.localtime(last) + timedelta(days=1) if last else None


def local_day(at: datetime) -> datetime:
    """Return the local midnight that begins the day of `at`."""
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


@transaction.atomic
def close(at: datetime) -> int:
    """Roll up every hour and local day that ended GRACE before `at`; return the number of rows written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    ended = at - GRACE
    hour = timezone.localtime(ended).replace(minute=0, second=0, microsecond=0)
    rows = _write(ServiceHour, "hour", "hour", hours_closed_until(), hour)
    rows += _write(UsageDay, "day", "date_trunc('day', hour, %s)", days_closed_until(), local_day(ended))
    return rows


@transaction.atomic
def rebuild(since: datetime) -> None:
    """Delete the roll-ups from the local day of `since` on; the next `close` recomputes them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    ServiceHour.objects.filter(hour__gte=local_day(since)).delete()
    UsageDay.objects.filter(day__gte=local_day(since)).delete()


def forget(at: datetime) -> int:
    """Delete the sums whose retention has ended, one local day at a time; return the number of rows.

    Sums of calls that still exist are kept, because reconcile compares the two.
    """
    dropped_until = checkpoint.archived_until()
    if not settings.USAGE_KEPT_MONTHS or dropped_until is None:
        return 0
    until = min(months_before(at, settings.USAGE_KEPT_MONTHS), local_day(dropped_until))
    forgotten = 0
    while True:
        first = UsageHour.objects.aggregate(first=models.Min("hour"))["first"]
        if first is None or (day := local_day(first)) >= until:
            return forgotten
        forgotten += _forget_until(day + timedelta(days=1))


@transaction.atomic
def _forget_until(day: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    rows, _by_model = UsageHour.objects.filter(hour__lt=day).delete()
    ServiceHour.objects.filter(hour__lt=day).delete()
    UsageDay.objects.filter(day__lt=day).delete()
    return rows


def differences() -> Iterator[Difference]:
    """Yield each closed day whose sums differ from UsageHour; none, unless a call ended later than GRACE."""
    for model, column, until in (
        (UsageDay, "day", days_closed_until()),
        (ServiceHour, "hour", hours_closed_until()),
    ):
        if until is None:
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT day, coarse.calls, fine.calls, coarse.units, fine.units
                FROM (SELECT date_trunc('day', {column}, %s) AS day, sum(calls) AS calls, sum(units) AS units
                        FROM {model._meta.db_table} GROUP BY 1) coarse
                FULL JOIN (SELECT date_trunc('day', hour, %s) AS day, sum(calls) AS calls, sum(units) AS units
                        FROM faceapi_usagehour WHERE hour < %s GROUP BY 1) fine USING (day)
                WHERE (coarse.calls, coarse.units) IS DISTINCT FROM (fine.calls, fine.units)
                ORDER BY day""",  # noqa: S608 - names of our own tables
                [timezone.get_default_timezone_name(), timezone.get_default_timezone_name(), until],
            )
            for day, calls, fine_calls, units, fine_units in cursor.fetchall():
                yield Difference(
                    timezone.localtime(day),
                    model.__name__,
                    f"{timezone.localtime(day):%Y-%m-%d}: calls {calls} ≠ {fine_calls}, "
                    f"units {units} ≠ {fine_units}",
                )


def summed(histogram: str) -> str:
    """Return SQL that adds histograms slot by slot."""
    return "ARRAY[" + ", ".join(f"sum({histogram}[{slot}])" for slot in range(1, SLOTS + 1)) + "]::bigint[]"


def _write(
    model: type[models.Model], column: str, moment: str, since: datetime | None, until: datetime
) -> int:
    keys = ["region_id", "api", "code"] + (["app_id"] if model is UsageDay else [])
    into = ", ".join([column, *keys, *SUMS, *HISTOGRAMS])
    sums = ", ".join([f"sum({name})" for name in SUMS] + [summed(name) for name in HISTOGRAMS])
    parameters = [timezone.get_default_timezone_name()] if "%s" in moment else []
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {model._meta.db_table} ({into})
            SELECT {moment}, {", ".join(keys)}, {sums} FROM faceapi_usagehour
             WHERE hour >= %s AND hour < %s GROUP BY 1, {", ".join(keys)}""",  # noqa: S608 - our own names
            [*parameters, since or datetime(2000, 1, 1, tzinfo=until.tzinfo), until],
        )
        return int(cursor.rowcount)
