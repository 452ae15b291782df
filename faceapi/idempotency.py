"""Idempotency-Key: the same key and body within 24 hours is charged once.

The row in PostgreSQL says that the key was charged, in the transaction that settles the call. The answer
itself stays in Valkey's memory for some minutes; after that a repeat is worked out again, and costs nothing.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection

from billing.errors import HoldLost
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.models import IdempotencyKey

HEADER = "HTTP_IDEMPOTENCY_KEY"
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_FORM = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Hold:
    """A call's grip on a key. `is_charged`: an earlier call with the same body has paid already."""

    row: int
    call_id: UUID
    is_charged: bool


_TAKE = """
INSERT INTO faceapi_idempotencykey AS held
    (app_id, key_sha256, api, body_sha1, call_id, created_at, lease_until, charged_at)
VALUES (%(app)s, %(key)s, %(api)s, %(body)s, %(call)s, %(at)s, %(lease_until)s, NULL)
ON CONFLICT (app_id, key_sha256) DO UPDATE SET
    api = excluded.api, body_sha1 = excluded.body_sha1, call_id = excluded.call_id,
    created_at = excluded.created_at, lease_until = excluded.lease_until, charged_at = NULL
WHERE held.created_at <= %(forgotten)s
   OR (held.charged_at IS NULL AND held.lease_until <= %(at)s
       AND held.api = excluded.api AND held.body_sha1 = excluded.body_sha1)
RETURNING id
"""


def take(
    header: str, *, app_pk: int, api: str, body_sha1: str, call_id: UUID, at: datetime, lease_until: datetime
) -> Hold:
    """Hold the key for this call. Raises ApiError 4018 (another request's key), 4292 (its first call still
    runs).
    """
    if not _FORM.fullmatch(header):
        raise ApiError(errors.IDEMPOTENCY_MISMATCH, "Idempotency-Key must be 1-128 visible ASCII characters")
    key = hashlib.sha256(header.encode()).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "app": app_pk,
                "key": key,
                "api": api,
                "body": body_sha1,
                "call": call_id,
                "at": at,
                "lease_until": lease_until,
                "forgotten": at - timedelta(hours=settings.IDEMPOTENCY_HOURS),
            },
        )
        if taken := cursor.fetchone():
            return Hold(taken[0], call_id, is_charged=False)
    row = IdempotencyKey.objects.filter(app_id=app_pk, key_sha256=key).first()
    if row is not None and (row.api, row.body_sha1) != (api, body_sha1):
        raise ApiError(errors.IDEMPOTENCY_MISMATCH)
    if row is None or row.charged_at is None:  # its call ended this very moment, or still runs
        raise ApiError(errors.IDEMPOTENCY_BUSY, retry_after_s=1)
    return Hold(row.pk, call_id, is_charged=True)


def keep(hold: Hold, at: datetime) -> None:
    """The call succeeds: from now on the key is charged. Inside the transaction that settles it.

    Raises HoldLost where another call took the key when this one's lease was over: one of them may charge.
    """
    if hold.is_charged:
        return
    if not IdempotencyKey.objects.filter(pk=hold.row, call_id=hold.call_id).update(charged_at=at):
        raise HoldLost(call_id=hold.call_id)


def release(hold: Hold) -> None:
    """The call failed and cost nothing: a retry is a first attempt again."""
    if not hold.is_charged:
        IdempotencyKey.objects.filter(pk=hold.row, call_id=hold.call_id, charged_at=None).delete()


def forget(at: datetime) -> int:
    """Delete the keys whose day is over; how many."""
    deleted, _ = IdempotencyKey.objects.filter(
        created_at__lte=at - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    ).delete()
    return deleted


# --- the answer, in memory -------------------------------------------------------


def remember_answer(valkey: redis.Redis, hold: Hold, answer: bytes) -> None:
    """Keep the answer for a retry of the next minutes."""
    if not hold.is_charged and len(answer) <= MAX_ANSWER_BYTES:
        valkey.set(f"faceapi:answer:{hold.row}", answer, ex=settings.IDEMPOTENCY_ANSWER_S)


def answer_of(valkey: redis.Redis, hold: Hold) -> bytes | None:
    """The answer of the call that was charged, while it is remembered."""
    if not hold.is_charged:
        return None
    answer = valkey.get(f"faceapi:answer:{hold.row}")
    return answer if isinstance(answer, bytes) else None
