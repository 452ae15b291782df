"""The calls of a customer's Apps, newest first, one page at a time.

Keyset pagination: the last page takes as long as the first. A request id is a version 7 UUID and begins with
the time of its call, so every query states its time range twice: by `at` for the indexes, and by id for the
partitions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import App
from common import time_ids
from faceapi.errors import OK
from faceapi.models import SLOW_MS, Call

FAILED = "failed"  # Filter.code: every code but 0
SLOWEST_MS = (SLOW_MS, 3_000, 10_000, 30_000)  # the minimum durations that can be searched for
BATCH = 1_000


@dataclass(frozen=True)
class Filter:
    """Selects the calls that arrived in [since, until). `code`: "" for all, FAILED, or a number.

    `slow_ms` is 0 or one of SLOWEST_MS, which the index of slow calls covers.
    """

    since: datetime
    until: datetime
    api: str = ""
    code: str = ""
    slow_ms: int = 0


@dataclass(frozen=True)
class Cursor:
    """The last call of a page: the next page begins after it."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """Return the cursor in an address, or None if it is malformed."""
        at, _, call_id = text.partition("_")
        try:
            cursor = cls(datetime.fromisoformat(at), UUID(call_id))
        except ValueError:
            return None
        return cursor if cursor.at.tzinfo else None

    @classmethod
    def of(cls, call: Call) -> "Cursor":
        """Return the cursor of `call`."""
        return cls(call.at, call.pk)


def find(apps: Sequence[App], wanted: Filter, limit: int, after: Cursor | None = None) -> list[Call]:
    """Return up to `limit` calls of the Apps, newest first, by one index scan per App."""
    conditions, values = _conditions(wanted, after)
    found = Call.objects.raw(
        f"""SELECT call.* FROM unnest(%s::bigint[]) AS wanted (app_id), LATERAL (
               SELECT * FROM faceapi_call WHERE app_id = wanted.app_id AND {conditions}
                ORDER BY at DESC, id DESC LIMIT %s
           ) AS call ORDER BY at DESC, id DESC LIMIT %s""",  # noqa: S608 - the conditions are ours
        [[app.pk for app in apps], *values, limit, limit],
    )
    by_pk = {app.pk: app for app in apps}
    calls = list(found)
    for call in calls:
        call.app = by_pk[call.app_id]
    return calls


def each(apps: Sequence[App], wanted: Filter, limit: int) -> Iterator[Call]:
    """Yield up to `limit` calls, newest first, reading BATCH at a time."""
    after = None
    while limit > 0:
        calls = find(apps, wanted, min(BATCH, limit), after)
        yield from calls
        limit -= len(calls)
        if len(calls) < BATCH:
            return
        after = Cursor.of(calls[-1])


def one(apps: Sequence[App], request_id: str) -> Call | None:
    """Return the call with this request id, or None if it is not a call of these Apps."""
    try:
        call_id = UUID(request_id.strip())
    except ValueError:
        return None
    return (
        Call.objects.filter(pk=call_id, app__in=[app.pk for app in apps])
        .select_related("app", "app_key", "region")
        .first()
    )


def _conditions(wanted: Filter, after: Cursor | None) -> tuple[str, list[object]]:
    """Return the SQL conditions of a filter and a cursor, and their values."""
    texts = ["at >= %s", "at < %s", "id >= %s", "id < %s"]
    values: list[object] = [
        wanted.since,
        wanted.until,
        time_ids.first(wanted.since),
        time_ids.first(wanted.until + timedelta(milliseconds=1)),
    ]
    if after is not None:
        texts += ["at <= %s", "(at, id) < (%s, %s)"]
        values += [after.at, after.at, after.id]
    if wanted.api:
        texts.append("api = %s")
        values.append(wanted.api)
    if wanted.code == FAILED:
        texts.append("code <> %s")
        values.append(OK)
    elif wanted.code:
        texts.append("code = %s")
        values.append(int(wanted.code))
        if int(wanted.code) != OK:
            texts.append("code <> 0")  # lets the planner use the partial index of failed calls
    if wanted.slow_ms:
        texts += [f"latency_ms >= {SLOW_MS}", "latency_ms >= %s"]
        values.append(wanted.slow_ms)
    return " AND ".join(texts), values
