"""Count refusals in memory and write them in batches: a flood of them costs one transaction a second.

There are two kinds. A request that was not authentic (no key, an unknown key, a wrong signature, a replay, a
body that did not arrive) belongs to no App: it is counted by code in Valkey, for operators (/metrics), and
stored in no table. An authentic call that was refused before any work (CHEAP: rate and concurrency, overload)
belongs to its App: the App's hourly roll-up counts every one of them, at most FLUSH_EVERY_S late, and the
call log keeps one row a flush for each App, API and code as a sample (docs/decisions/0102).

A process that is killed loses what it counted since its last flush; no unit depends on it.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from uuid import UUID

import redis
from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction

from common import valkey
from common.postgresql.clock import now
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.usage.histogram import SLOTS

if TYPE_CHECKING:
    from faceapi.calls import CallContext

KEY = "faceapi:refused"
RECENT_KEY = "faceapi:refused-recent"  # by code, the refusals without a row; a hash for each RECENT_STEP_S
RECENT_STEP_S = 5
RECENT_KEPT_S = 600
CHEAP = frozenset({errors.RATE, errors.OVERLOADED})
FLUSH_EVERY_S = 1.0
LINES_PER_FLUSH = 20  # log lines of one process; one more line has the number of the others
MAX_GROUPS = 10_000  # Apps, APIs and codes that wait for a flush while the database is unavailable

logger = logging.getLogger("faceapi.call")


@dataclass(frozen=True, slots=True)
class Group:
    """The key by which refusals are counted: a row of the hourly roll-up."""

    app: int
    region: int
    api: str
    hour: datetime
    code: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The refused call that represents its group in the call log until the next flush."""

    id: UUID
    app_key: int
    at: datetime
    http_status: int
    images: int
    body_bytes: int
    latency_ms: int
    address: str | None


@dataclass(slots=True)
class Pending:
    """Refusals of one group that are not written yet: their number, and the first of them."""

    sample: Sample
    calls: int


_lock = threading.Lock()
_wake = threading.Event()
_thread: threading.Thread | None = None
_flushing = threading.Lock()
_unauthentic: Counter[int] = Counter()
_by_group: dict[Group, Pending] = {}
_lines = 0


def note(code: int) -> None:
    """Count a request that was not authentic."""
    with _lock:
        _unauthentic[code] += 1
    _start()


def count(call: "CallContext", error: ApiError) -> None:
    """Count an authentic call that was refused with one of CHEAP before any work was done for it."""
    app = call.caller.app
    hour = call.at.replace(minute=0, second=0, microsecond=0)
    group = Group(app.pk, app.region_id, call.api, hour, error.code)
    with _lock:
        if (pending := _by_group.get(group)) is not None:
            pending.calls += 1
        elif len(_by_group) < MAX_GROUPS:
            _by_group[group] = Pending(_sample(call, error), 1)
    _start()


def _sample(call: "CallContext", error: ApiError) -> Sample:
    return Sample(
        id=call.id,
        app_key=call.caller.pk,
        at=call.at,
        http_status=error.row.http,
        images=call.images,
        body_bytes=call.body_bytes,
        latency_ms=round(call.elapsed_ms),
        address=str(ip_address(call.address)) if call.address else None,
    )


def log(call: "CallContext", error: ApiError) -> None:
    """Log the call, unless LINES_PER_FLUSH calls were logged since the last flush."""
    global _lines
    with _lock:
        _lines += 1
        if _lines > LINES_PER_FLUSH:
            return
    logger.info(
        "call",
        extra={
            "app": call.key.app.app_id if call.key else None,
            "authentic": call.is_authentic,
            "address": call.address,
            "api": call.api,
            "code": error.code,
            "status": error.row.http,
            "body_bytes": call.body_bytes,
            "latency_ms": round(call.elapsed_ms),
        },
    )


def counts() -> dict[int, int]:
    """Return the number of unauthentic requests by code since Valkey started. Raises redis.RedisError."""
    with _flushing:
        _flush_unauthentic()
    return {int(code): int(count) for code, count in valkey.client().hgetall(KEY).items()}


def unrecorded(since_s: float, until_s: float) -> Counter[int]:
    """Return the authentic calls refused without a row, by code, written between two Unix times.

    The resolution is RECENT_STEP_S, and the last RECENT_KEPT_S are kept. Raises redis.RedisError.
    """
    first, last = int(since_s // RECENT_STEP_S) + 1, int(until_s // RECENT_STEP_S)
    pipe = valkey.client().pipeline(transaction=False)
    for step in range(first, last + 1):
        pipe.hgetall(f"{RECENT_KEY}:{step}")
    found: Counter[int] = Counter()
    for by_code in pipe.execute():
        found.update({int(code): int(number) for code, number in by_code.items()})
    return found


# --- writing ---------------------------------------------------------------------


def flush() -> None:
    """Write the counts. Those that cannot be written now are kept for the next flush."""
    global _lines
    with _lock:
        unlogged, _lines = max(0, _lines - LINES_PER_FLUSH), 0
    if unlogged:
        logger.info("further refusals, which are not logged one by one", extra={"calls": unlogged})
    with _flushing:
        with contextlib.suppress(redis.RedisError):
            _flush_unauthentic()
        _flush_apps()


def _flush_unauthentic() -> None:
    with _lock:
        taken = Counter(_unauthentic)
        _unauthentic.clear()
    if not taken:
        return
    try:
        pipe = valkey.client().pipeline(transaction=False)
        for code, number in taken.items():
            pipe.hincrby(KEY, str(code), number)
        pipe.execute()
    except redis.RedisError:
        with _lock:
            _unauthentic.update(taken)
        raise


def _flush_apps() -> None:
    with _lock:
        taken = dict(_by_group)
        _by_group.clear()
    if not taken:
        return
    try:
        _write(taken)
        _note_unrecorded(taken)
    except IntegrityError:  # an App was deleted: write the others without it
        for group, pending in taken.items():
            try:
                _write({group: pending})
                _note_unrecorded({group: pending})
            except IntegrityError:
                logger.warning("refusals of a deleted App were dropped", extra={"calls": pending.calls})
            except (DatabaseError, InterfaceError) as error:
                _keep({group: pending}, error)
    except (DatabaseError, InterfaceError) as error:
        _keep(taken, error)


def _note_unrecorded(taken: dict[Group, Pending]) -> None:
    """Count the refusals without a row for the live page, which shows the last minute."""
    by_code: Counter[int] = Counter()
    for group, pending in taken.items():
        by_code[group.code] += pending.calls - 1
    key = f"{RECENT_KEY}:{int(now().timestamp() // RECENT_STEP_S)}"
    with contextlib.suppress(redis.RedisError):
        pipe = valkey.client().pipeline(transaction=False)
        for code, number in by_code.items():
            pipe.hincrby(key, str(code), number)
        pipe.expire(key, RECENT_KEPT_S)
        pipe.execute()


def _keep(taken: dict[Group, Pending], error: Exception) -> None:
    logger.warning("refusals could not be written yet: %s", type(error).__name__)
    connection.close()
    lost = 0
    with _lock:
        for group, pending in taken.items():
            newer = _by_group.get(group)
            if newer is None and len(_by_group) >= MAX_GROUPS:
                lost += pending.calls
                continue
            _by_group[group] = Pending(pending.sample, pending.calls + (newer.calls if newer else 0))
    if lost:
        logger.warning("refusals were dropped: too many groups are waiting", extra={"calls": lost})


_SAMPLE = """
INSERT INTO faceapi_call (id, app_id, app_key_id, region_id, api, at, code, http_status, images, units,
    body_bytes, latency_ms, queue_ms, infer_ms, address, fault_index)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, 0, 0, %s::inet, NULL)
"""
# Refusals are counted in the lowest slot of each histogram: no report uses the times of refused calls.
_ROLL_UP = """
INSERT INTO faceapi_usagehour AS hour (app_id, region_id, api, hour, code, calls, unrecorded, images, units,
    latency_sum_ms, queue_sum_ms, infer_sum_ms, latency_histogram, queue_histogram, infer_histogram)
SELECT %(app)s, %(region)s, %(api)s, %(hour)s, %(code)s, %(calls)s, %(calls)s - 1, %(images)s, 0,
       %(latency)s, 0, 0, counts, counts, counts
  FROM (SELECT ARRAY[%(calls)s::integer] || array_fill(0, ARRAY[%(slots)s - 1]) AS counts) AS lowest
ON CONFLICT (app_id, api, hour, code, region_id) DO UPDATE SET
    calls = hour.calls + excluded.calls,
    unrecorded = hour.unrecorded + excluded.unrecorded,
    images = hour.images + excluded.images,
    latency_sum_ms = hour.latency_sum_ms + excluded.latency_sum_ms,
    latency_histogram[1] = hour.latency_histogram[1] + excluded.calls,
    queue_histogram[1] = hour.queue_histogram[1] + excluded.calls,
    infer_histogram[1] = hour.infer_histogram[1] + excluded.calls
"""


def _write(taken: dict[Group, Pending]) -> None:
    # Use one order in all processes, so that two flushes never deadlock.
    groups = sorted(taken, key=lambda group: (group.app, group.api, group.hour, group.code, group.region))
    with transaction.atomic(), connection.cursor() as cursor:
        for group in groups:
            sample, calls = taken[group].sample, taken[group].calls
            cursor.execute(
                _SAMPLE,
                [
                    sample.id,
                    group.app,
                    sample.app_key,
                    group.region,
                    group.api,
                    sample.at,
                    group.code,
                    sample.http_status,
                    sample.images,
                    sample.body_bytes,
                    sample.latency_ms,
                    sample.address,
                ],
            )
            cursor.execute(
                _ROLL_UP,
                {
                    "app": group.app,
                    "region": group.region,
                    "api": group.api,
                    "hour": group.hour,
                    "code": group.code,
                    "calls": calls,
                    "images": sample.images,
                    "latency": sample.latency_ms,
                    "slots": SLOTS,
                },
            )


def _start() -> None:
    global _thread
    if _wake.is_set():
        return
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_flush_regularly, name="refusals", daemon=True)
            _thread.start()
    _wake.set()


def _flush_regularly() -> None:
    """Flush while there is something to write; hold no connection otherwise."""
    while True:
        _wake.wait()
        _wake.clear()
        time.sleep(FLUSH_EVERY_S)
        try:
            flush()
        except Exception as error:  # the thread must survive any error of a flush
            logger.error("a flush of refusals failed: %s", type(error).__name__)
        with _lock:
            if _by_group or _unauthentic:
                _wake.set()
        if not _wake.is_set():
            connection.close()
