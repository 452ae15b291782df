"""A call in the database: its id, its end and its record. The only writer of Call and UsageHour.

A call ends in one place, `_end`: success settles the debit, failure withdraws it, and either writes the Call
and adds it to its UsageHour in the same transaction, so a roll-up is the sum of its calls at any moment.

A settled call is not charged yet: its answer is sent first and then confirmed (faceapi/answers.py). If it
ends otherwise, `fail` replaces its record; if it is not confirmed in time, `withdraw_unconfirmed` does.

Lock order: the Debit, its Periods, the Idempotency-Key, the App (for enrolled faces), the UsageHour.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from accounts.models import AppKey
from billing import overdue, quota
from billing.errors import HoldLost
from billing.models import Api, Debit, DebitState
from common import time_ids
from common.postgresql.clock import now
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import idempotency
from faceapi.models import Call
from faceapi.usage import unattributed
from faceapi.usage.histogram import SLOTS, slot
from gallery import enrolment

logger = logging.getLogger("faceapi.call")

CONNECTION_LOST = (OperationalError, InterfaceError)
RECONNECT_AFTER_S = (0.0, 0.5, 1.5, 4.0)  # a restart of PostgreSQL takes some seconds
RECONNECT_WITHIN_S = 8.0  # no attempt begins later than this


def new_id(at: datetime) -> UUID:
    """Return a version 7 UUID, which begins with the time, so that rows are stored in order of time."""
    return time_ids.new(at)


@dataclass(slots=True)
class CallContext:
    """The state of a call while it runs.

    `key` is None until the AppKey was found; `is_authentic` is True once the signature was verified.
    """

    id: UUID
    api: str
    at: datetime
    address: str | None
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None
    key: AppKey | None = None
    is_signed: bool = False  # the signature is right, even if the request was seen before
    is_authentic: bool = False
    images: int = 0
    body_bytes: int = 0
    queue_ms: float = 0.0
    infer_ms: float = 0.0
    debit: Debit | None = None
    may_be_settled: bool = False  # a settle was started, and may have been committed
    hold: idempotency.Hold | None = None
    effect: Callable[[datetime], None] | None = None  # what the transaction of the settle also writes

    @property
    def caller(self) -> AppKey:
        """The AppKey of the call. Raises LookupError if it has not been looked up yet."""
        if self.key is None:
            raise LookupError("the AppKey of this call was not looked up yet")
        return self.key

    @property
    def elapsed_ms(self) -> float:
        return ((self.ended or time.perf_counter()) - self.started) * 1000


def succeed(call: CallContext, at: datetime) -> int:
    """Settle the call's units, so that its answer with code 0 may be sent. Return their number.

    Raises ApiError 5004 if the units were returned already, because the call took longer than its hold.
    """
    units = call.debit.units if call.debit is not None else 0
    call.may_be_settled = True
    try:
        _settle_with_retries(call, units, at)
    except HoldLost:
        raise ApiError(errors.NO_ANSWER, "the call took longer than its hold") from None
    return units


def _settle_with_retries(call: CallContext, units: int, at: datetime) -> None:
    """Settle, and retry on a new connection while the database restarts.

    Retries are safe: each step of `_settle` is idempotent. If the last attempt fails too, the call may be
    settled or not; it is not charged, because it is never confirmed.
    """
    give_up = time.monotonic() + RECONNECT_WITHIN_S
    for pause_s in (*RECONNECT_AFTER_S, None):
        try:
            _settle(call, units, at)
            return
        except CONNECTION_LOST:
            if pause_s is None or time.monotonic() + pause_s > give_up:
                raise
        time.sleep(pause_s)
        connection.close()


def _settle(call: CallContext, units: int, at: datetime) -> None:
    if call.debit is not None and call.hold is None and call.effect is None:  # nothing else is written
        ended = _ended(call, errors.OK, 200, units=units)
        quota.settle(call.id, at, record=_RECORD, values=_values(ended))
        _log(call, ended)
        return
    with transaction.atomic():
        # If the call was settled before, its effect was written then. Writing it again could restore rows
        # that were deleted since.
        is_first = quota.settle(call.id, at) if call.debit is not None else not _is_recorded(call)
        if call.hold is not None:
            idempotency.mark_charged(call.hold, at)
        if call.effect is not None and is_first:
            call.effect(at)
        _end(call, errors.OK, 200, units=units)


def _is_recorded(call: CallContext) -> bool:
    """Return whether the call succeeded, and its effect was written, in an earlier transaction."""
    return call.effect is not None and Call.objects.filter(pk=call.id, code=errors.OK).exists()


def fail(call: CallContext, error: ApiError, at: datetime) -> None:
    """End a call with an error: return its units, and replace a record of success.

    A request that is not authentic or was refused before any work is only counted (usage/unattributed.py).
    """
    is_idle = call.debit is None and call.hold is None
    if is_idle and (not call.is_authentic or error.code in unattributed.CHEAP):
        unattributed.log(call, error)
        if call.is_authentic:
            unattributed.count(call, error)
        else:
            unattributed.note(error.code)
        return
    with transaction.atomic():
        if call.debit is not None and not quota.withdraw(call.id, at) and is_charged(call.id):
            return  # a repeat of the request was answered in the meantime
        if call.hold is not None:
            idempotency.release(call.hold)
        if call.may_be_settled:
            _unrecord(call.id)
        _end(call, error.code, error.row.http, fault_index=error.index)


def is_charged(call_id: UUID) -> bool:
    """Return whether the call's answer was confirmed."""
    return Debit.objects.filter(pk=call_id, state=DebitState.SETTLED).exists()


def charge_repeated(call_id: UUID) -> bool:
    """Confirm a settled call whose answer goes out to a repeat of its request; return whether it is charged.

    Call this before the repeat is answered. Otherwise the call, and the faces that it enrolled, could still
    be withdrawn because its own answer was not sent.
    """
    units = Debit.objects.filter(pk=call_id).values_list("units", flat=True).first()
    return units is None or quota.confirm({call_id: units})[call_id] == DebitState.SETTLED


def withdraw_unconfirmed(at: datetime) -> int:
    """Give back the units of calls that were settled but not confirmed in time; return the number of calls.

    Their web processes died, or could not reach the database. They are recorded with code 5003, the reply to
    a caller whose answer could not be sent. Raises DatabaseError at the end if any could not be withdrawn.
    """
    return overdue.end_each(DebitState.SETTLING, at, lambda debit: _withdraw(debit, at))


def _withdraw(debit: Debit, at: datetime) -> int:
    """Withdraw one unconfirmed call; return its units, or 0 if it was confirmed meanwhile."""
    units = quota.withdraw(debit.call_id, at)
    if units:
        idempotency.release_unconfirmed(debit.app_id, debit.call_id)
        recorded = _unrecord(debit.call_id)
        if recorded is not None:
            error = ApiError(errors.OVERLOADED)
            recorded.code, recorded.http_status, recorded.units = error.code, error.row.http, 0
            _record(recorded)
    return units


def _unrecord(call_id: UUID) -> Call | None:
    """Remove a call that was recorded with code 0, also from its hour's sums.

    Returns the call, or None if it was not recorded.
    """
    call = Call.objects.filter(pk=call_id, code=errors.OK).first()
    if call is None:
        return None
    if call.api == Api.FACE_SEARCH:  # before the hour is locked: an enrolment locks in this order
        enrolment.withdraw(call.app, call_id, now())
    slots = [slot(call.latency_ms), slot(call.queue_ms), slot(call.infer_ms)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT faceapi_unrecord_call(%s, %s, %s, %s)", [call_id, *slots])
        (was_there,) = cursor.fetchone()
    return call if was_there else None


_RECORD = """faceapi_record_call(
    %(id)s, %(app)s, %(app_key)s, %(region)s, %(api)s, %(at)s, %(code)s::smallint, %(http_status)s::smallint,
    %(images)s, %(units)s, %(body_bytes)s, %(latency_ms)s, %(queue_ms)s, %(infer_ms)s, %(address)s::inet,
    %(fault_index)s, %(slots)s, %(latency_slot)s, %(queue_slot)s, %(infer_slot)s)
"""


def _record(call: Call) -> None:
    """Write the Call and add it to its UsageHour, unless it is recorded already."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_RECORD}", _values(call))


def _values(call: Call) -> dict[str, Any]:
    """Return the values of _RECORD."""
    return {
        "id": call.pk,
        "app": call.app_id,
        "app_key": call.app_key_id,
        "region": call.region_id,
        "api": call.api,
        "at": call.at,
        "code": call.code,
        "http_status": call.http_status,
        "images": call.images,
        "units": call.units,
        "body_bytes": call.body_bytes,
        "latency_ms": call.latency_ms,
        "queue_ms": call.queue_ms,
        "infer_ms": call.infer_ms,
        "address": call.address,
        "fault_index": call.fault_index,
        "slots": SLOTS,
        "latency_slot": slot(call.latency_ms),
        "queue_slot": slot(call.queue_ms),
        "infer_slot": slot(call.infer_ms),
    }


def _end(call: CallContext, code: int, http: int, *, units: int = 0, fault_index: int | None = None) -> None:
    """End a call: write its record, add it to the roll-up, and log it."""
    ended = _ended(call, code, http, units=units, fault_index=fault_index)
    if call.key is not None:
        _record(ended)
    _log(call, ended)


def _ended(call: CallContext, code: int, http: int, *, units: int, fault_index: int | None = None) -> Call:
    """Return the record of a call that ends now."""
    ended = Call(
        pk=call.id,
        api=call.api,
        at=call.at,
        code=code,
        http_status=http,
        images=call.images,
        units=units,
        body_bytes=call.body_bytes,
        latency_ms=round(call.elapsed_ms),
        queue_ms=round(call.queue_ms),
        infer_ms=round(call.infer_ms),
        address=str(ip_address(call.address)) if call.address else None,
        fault_index=fault_index,
    )
    if call.key is not None:
        ended.app_id, ended.app_key_id = call.key.app_id, call.key.pk
        ended.region_id = call.key.app.region_id
    return ended


def _log(call: CallContext, ended: Call) -> None:
    """Log the end of a call once it is committed."""
    transaction.on_commit(
        lambda: logger.info(
            "call",
            extra={
                "app": call.key.app.app_id if call.key else None,
                "address": call.address,
                "api": call.api,
                "code": ended.code,
                "status": ended.http_status,
                "images": ended.images,
                "units": ended.units,
                "body_bytes": ended.body_bytes,
                "latency_ms": ended.latency_ms,
                "queue_ms": ended.queue_ms,
                "infer_ms": ended.infer_ms,
            },
        )
    )
