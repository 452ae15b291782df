"""The life of one call as the database sees it: its id, its end, its record. The only writer of Call and
UsageHour.

A call ends in one place, `_end`: success settles the debit, failure gives it back, and either writes the
Call and adds it to its UsageHour in the same transaction, so a roll-up is the sum of its calls at any moment.
"""

import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from accounts.models import AppKey
from billing import quota
from billing.errors import HoldLost
from billing.models import Debit
from faceapi import errors, idempotency, refusals
from faceapi.errors import ApiError
from faceapi.histogram import SLOTS, slot
from faceapi.models import Call

logger = logging.getLogger("faceapi.call")

CONNECTION_LOST = (OperationalError, InterfaceError)
RECONNECT_AFTER_S = (0.0, 0.5, 1.5, 4.0)  # a restart of PostgreSQL takes some seconds


def new_id(at: datetime) -> UUID:
    """A version 7 UUID: the time first, so that rows written together lie together."""
    millis = int(at.timestamp() * 1000)
    bits = (millis << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return UUID(int=bits)


@dataclass(slots=True)
class LiveCall:
    """What is known of a call while it runs. `key` is None until the AppKey was found; `is_authentic` once
    its signature was verified.
    """

    id: UUID
    api: str
    at: datetime
    address: str | None
    started: float = field(default_factory=time.perf_counter)
    key: AppKey | None = None
    is_authentic: bool = False
    images: int = 0
    body_bytes: int = 0
    queue_ms: float = 0.0
    infer_ms: float = 0.0
    debit: Debit | None = None
    hold: idempotency.Hold | None = None

    @property
    def caller(self) -> AppKey:
        """The AppKey of the call, once it was found."""
        if self.key is None:
            raise LookupError("the AppKey of this call is not known yet")
        return self.key

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000


def succeed(call: LiveCall, at: datetime) -> int:
    """The call is answered with code 0: its units are spent. How many.

    Raises ApiError 5004 where the units went back already (the call took longer than its hold).
    """
    units = call.debit.units if call.debit is not None else 0
    try:
        try:
            _settle(call, units, at)
        except CONNECTION_LOST:
            _settle_anew(call, units, at)
    except HoldLost:
        raise ApiError(errors.NO_ANSWER, "the call took longer than its hold") from None
    return units


def _settle(call: LiveCall, units: int, at: datetime) -> None:
    with transaction.atomic():
        if call.debit is not None:
            quota.settle(call.id, at)
        if call.hold is not None:
            idempotency.keep(call.hold, at)
        _end(call, errors.OK, 200, units=units)


def _settle_anew(call: LiveCall, units: int, at: datetime) -> None:
    """The connection broke: on a new one, see whether it was committed all the same, or do it again.

    Without that a caller could be told 5003 and be charged. The hold outlives these attempts.
    """
    for pause_s in RECONNECT_AFTER_S:
        time.sleep(pause_s)
        connection.close()
        with contextlib.suppress(*CONNECTION_LOST):
            if not Call.objects.filter(pk=call.id).exists():
                _settle(call, units, at)
            return
    raise OperationalError("no new connection to the database")


def fail(call: LiveCall, error: ApiError, at: datetime) -> None:
    """The call is answered with another code: what it took is given back, before the reply is sent.

    A request that was never authentic is only counted; so is a refusal before any work (faceapi/refusals).
    """
    is_idle = call.debit is None and call.hold is None
    if not call.is_authentic or (is_idle and error.code in refusals.CHEAP):
        refusals.log(call, error)
        if call.is_authentic:
            refusals.count(call, error)
        else:
            refusals.note(error.code)
        return
    with transaction.atomic():
        if call.debit is not None:
            quota.give_back(call.id, at)
        if call.hold is not None:
            idempotency.release(call.hold)
        _end(call, error.code, error.row.http, fault_index=error.index)


_RECORD = """
SELECT faceapi_record_call(
    %(id)s, %(app)s, %(app_key)s, %(region)s, %(api)s, %(at)s, %(code)s::smallint, %(http_status)s::smallint,
    %(images)s, %(units)s, %(body_bytes)s, %(latency_ms)s, %(queue_ms)s, %(infer_ms)s, %(address)s::inet,
    %(fault_index)s, %(slots)s, %(latency_slot)s, %(queue_slot)s, %(infer_slot)s)
"""


def _end(call: LiveCall, code: int, http: int, *, units: int = 0, fault_index: int | None = None) -> None:
    """The one place where a call ends: its record, its share of the roll-up, and its line in the log."""
    latency_ms, queue_ms, infer_ms = round(call.elapsed_ms), round(call.queue_ms), round(call.infer_ms)
    if call.key is not None:
        app = call.key.app
        with connection.cursor() as cursor:
            cursor.execute(
                _RECORD,
                {
                    "id": call.id,
                    "app": app.pk,
                    "app_key": call.key.pk,
                    "region": app.region_id,
                    "api": call.api,
                    "at": call.at,
                    "code": code,
                    "http_status": http,
                    "images": call.images,
                    "units": units,
                    "body_bytes": call.body_bytes,
                    "latency_ms": latency_ms,
                    "queue_ms": queue_ms,
                    "infer_ms": infer_ms,
                    "address": str(ip_address(call.address)) if call.address else None,
                    "fault_index": fault_index,
                    "slots": SLOTS,
                    "latency_slot": slot(latency_ms),
                    "queue_slot": slot(queue_ms),
                    "infer_slot": slot(infer_ms),
                },
            )
    transaction.on_commit(
        lambda: logger.info(
            "call",
            extra={
                "app": call.key.app.app_id if call.key else None,
                "address": call.address,
                "api": call.api,
                "code": code,
                "status": http,
                "images": call.images,
                "units": units,
                "body_bytes": call.body_bytes,
                "latency_ms": latency_ms,
                "queue_ms": queue_ms,
                "infer_ms": infer_ms,
            },
        )
    )
