"""The calls of all customers, newest first, one page at a time, for operators.

Keyset pagination by the request id, a version 7 UUID, which begins with the time of its call. The primary key
serves the list of all calls, and the index of failed calls serves a filter by code. For the calls of one
customer, see usage/call_log.py.
"""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from accounts.models import App
from common import time_ids
from faceapi import errors
from faceapi.models import Call
from faceapi.usage.call_log import BATCH, FAILED, Filter

FAILURES = [row.number for row in errors.TABLE.values()]


def find(wanted: Filter, limit: int, after: UUID | None = None, *, region: int | None = None) -> list[Call]:
    """Return up to `limit` calls, each with its App and customer; `wanted.slow_ms` is ignored."""
    conditions, values = _conditions(wanted, after, region)
    rows = f"SELECT * FROM faceapi_call WHERE {conditions} ORDER BY id DESC LIMIT %s"  # noqa: S608 - ours
    values.append(limit)
    if wanted.code == FAILED:  # the first rows of each code, merged
        rows = f"""SELECT call.* FROM unnest(%s::smallint[]) AS wanted (code), LATERAL (
            {rows.replace("WHERE", "WHERE code = wanted.code AND code <> 0 AND")}
        ) AS call ORDER BY id DESC LIMIT %s"""  # noqa: S608 - ours
        values = [FAILURES, *values, limit]
    calls = list(Call.objects.raw(rows, values))
    apps = App.objects.select_related("customer").in_bulk({call.app_id for call in calls})
    for call in calls:
        call.app = apps[call.app_id]
    return calls


def each(wanted: Filter, limit: int, *, region: int | None = None) -> Iterator[Call]:
    """Yield up to `limit` calls, newest first, reading BATCH at a time."""
    after = None
    while limit > 0:
        calls = find(wanted, min(BATCH, limit), after, region=region)
        yield from calls
        limit -= len(calls)
        if len(calls) < BATCH:
            return
        after = calls[-1].pk


def _conditions(wanted: Filter, after: UUID | None, region: int | None) -> tuple[str, list[object]]:
    """Return the SQL conditions of a filter and a cursor, and their values."""
    texts = ["id >= %s", "id < %s", "at >= %s", "at < %s"]
    values: list[object] = [
        time_ids.first(wanted.since),
        after or time_ids.first(wanted.until + timedelta(milliseconds=1)),
        wanted.since,
        wanted.until,
    ]
    if wanted.api:
        texts.append("api = %s")
        values.append(wanted.api)
    if region is not None:
        texts.append("region_id = %s")
        values.append(region)
    if wanted.code and wanted.code != FAILED:
        texts.append("code = %s" if int(wanted.code) == errors.OK else "code = %s AND code <> 0")
        values.append(int(wanted.code))
    return " AND ".join(texts), values
