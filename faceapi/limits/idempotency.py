"""Idempotency-Key: a key is charged at most once in 24 hours.

The row in PostgreSQL records that the key was charged, in the transaction that settles the call. The answer
stays in Valkey for some minutes and is returned to repeats, a limited number of times. When it has expired, a
repeat is refused (errors.IDEMPOTENCY_SPENT). There is no inference for a key that was already charged:
otherwise a client could replace the pictures behind unchanged URLs and have them processed free of charge.

A free call of the face gallery uses up its key in the same way: the key counts as charged once the call was
carried out.

While a call runs, it holds a lease on its key, which expires within LEASE_S if its web process dies. The row
is authoritative: a call whose key was taken by another call cannot be settled.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection

from billing.errors import HoldLost
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits.leases import Leases
from faceapi.models import IdempotencyKey

HEADER = "HTTP_IDEMPOTENCY_KEY"
LEASE_S = 10.0
MAX_REPEATS = 20
MAX_ANSWER_BYTES = 4 * 1024 * 1024  # stored compressed, usually to less than a fifth
_FORM = re.compile(r"[!-~]{1,128}")

leases = Leases(LEASE_S)


@dataclass(frozen=True, slots=True)
class Hold:
    """A call's hold on a key. `charged_call`: the earlier call of the same request that was charged."""

    row: int
    call_id: UUID
    lease: str = ""
    charged_call: UUID | None = None


_TAKE = """
INSERT INTO faceapi_idempotencykey AS held
    (app_id, key_sha256, api, body_sha1, call_id, created_at, lease_until, charged_at)
VALUES (%(app)s, %(key)s, %(api)s, %(body)s, %(call)s, %(at)s, %(at)s, NULL)
ON CONFLICT (app_id, key_sha256) DO UPDATE SET
    api = excluded.api, body_sha1 = excluded.body_sha1, call_id = excluded.call_id,
    created_at = excluded.created_at, lease_until = excluded.lease_until, charged_at = NULL
WHERE held.created_at <= %(expired)s OR held.charged_at IS NULL
RETURNING id
"""


def take(
    valkey: redis.Redis,
    header: str,
    *,
    app_pk: int,
    api: str,
    body_sha1: str,
    call_id: UUID,
    at: datetime,
) -> Hold:
    """Take the key for this call, or return a hold with the earlier call that was charged.

    Raises ApiError IDEMPOTENCY_MISMATCH (the key was used for another request) and IDEMPOTENCY_BUSY (the
    first call with the key is still running). `end_lease` must be called when the call has ended.
    """
    key = _digest(header)
    lease = _lease_name(app_pk, key)
    if not leases.acquire(valkey, lease, str(call_id)):
        return _earlier(app_pk, key, api, body_sha1, call_id)
    try:
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
                    "expired": _expired_before(at),
                },
            )
            if taken := cursor.fetchone():
                return Hold(taken[0], call_id, lease)
    except BaseException:
        leases.release(valkey, lease, str(call_id))
        raise
    leases.release(valkey, lease, str(call_id))
    return _earlier(app_pk, key, api, body_sha1, call_id)


def find(
    valkey: redis.Redis,
    header: str,
    *,
    app_pk: int,
    api: str,
    body_sha1: str,
    call_id: UUID,
    at: datetime,
) -> Hold | None:
    """Return a hold with the call that was charged, or None if the key is free; take nothing.

    For a replayed request, which must not become a new call. Raises like `take`.
    """
    key = _digest(header)
    row = IdempotencyKey.objects.filter(app_id=app_pk, key_sha256=key).first()
    if row is None or row.created_at <= _expired_before(at):
        return None
    if row.charged_at is None and not valkey.exists(_lease_name(app_pk, key)):  # its process died
        return None
    return _earlier(app_pk, key, api, body_sha1, call_id)


def _earlier(app_pk: int, key: str, api: str, body_sha1: str, call_id: UUID) -> Hold:
    row = IdempotencyKey.objects.filter(app_id=app_pk, key_sha256=key).first()
    if row is not None and (row.api, row.body_sha1) != (api, body_sha1):
        raise ApiError(errors.IDEMPOTENCY_MISMATCH)
    if row is None or row.charged_at is None:  # its call has just ended, or is still running
        raise ApiError(errors.IDEMPOTENCY_BUSY, retry_after_s=1)
    return Hold(row.pk, call_id, charged_call=row.call_id)


def _lease_name(app_pk: int, key: str) -> str:
    return f"faceapi:key:{app_pk}:{key}"


def _digest(header: str) -> str:
    if not _FORM.fullmatch(header):
        raise ApiError(errors.IDEMPOTENCY_MISMATCH, "Idempotency-Key must be 1-128 visible ASCII characters")
    return hashlib.sha256(header.encode()).hexdigest()


def _expired_before(at: datetime) -> datetime:
    return at - timedelta(hours=settings.IDEMPOTENCY_HOURS)


def mark_charged(hold: Hold, at: datetime) -> None:
    """Mark the key as charged, inside the transaction that settles its call.

    Raises HoldLost if another call took the key after this one's lease had expired: only one may be charged.
    """
    if hold.charged_call is not None:
        return
    if not IdempotencyKey.objects.filter(pk=hold.row, call_id=hold.call_id).update(charged_at=at):
        raise HoldLost(call_id=hold.call_id)


def release(hold: Hold) -> None:
    """Free the key: its call failed and cost nothing, so a retry is a first attempt again."""
    if hold.charged_call is None:
        IdempotencyKey.objects.filter(pk=hold.row, call_id=hold.call_id).delete()


def release_unconfirmed(app_pk: int, call_id: UUID) -> None:
    """Free the key that this call took: its answer was not confirmed, so it is not charged."""
    IdempotencyKey.objects.filter(app_id=app_pk, call_id=call_id).delete()


def end_lease(valkey: redis.Redis, hold: Hold) -> None:
    """Release the lease of a call that has ended."""
    if hold.lease:
        leases.release(valkey, hold.lease, str(hold.call_id))


def forget(at: datetime) -> int:
    """Delete expired keys and return their number."""
    deleted, _ = IdempotencyKey.objects.filter(created_at__lte=_expired_before(at)).delete()
    return deleted


# --- the answer, in memory -------------------------------------------------------


def remember_answer(valkey: redis.Redis, hold: Hold, answer: bytes, *, listed_in: str = "") -> None:
    """Store the answer for repeats. Call this before the settle, so that no charged answer is lost.

    Its name is added to the set `listed_in`, if one is given, so that the answer can be deleted early. The
    answer of a call that is not settled afterwards is unreachable, because no charged key names that call.
    """
    if hold.charged_call is not None:
        return
    stored = zlib.compress(answer, 1)
    if len(stored) <= MAX_ANSWER_BYTES:
        name = _answer_name(hold.call_id)
        if listed_in:
            valkey.sadd(listed_in, name)
            valkey.expire(listed_in, settings.IDEMPOTENCY_ANSWER_S)
        valkey.set(name, stored, ex=settings.IDEMPOTENCY_ANSWER_S)


def forget_answer(valkey: redis.Redis, hold: Hold) -> None:
    """Delete the answer that this call has stored."""
    if hold.charged_call is None:
        valkey.delete(_answer_name(hold.call_id))


def answer_of(valkey: redis.Redis, hold: Hold, *, listed_in: str = "") -> bytes | None:
    """Return the answer of the call that was charged, or None if none was charged.

    Raises ApiError IDEMPOTENCY_SPENT if the answer is no longer stored, is missing from the given set
    `listed_in`, or was repeated too often.
    """
    if hold.charged_call is None:
        return None
    name = _answer_name(hold.charged_call)
    is_valid = not listed_in or valkey.sismember(listed_in, name)
    stored = valkey.get(name) if is_valid else None
    if not isinstance(stored, bytes):
        raise ApiError(
            errors.IDEMPOTENCY_SPENT,
            "the answer of the first request is no longer stored",
            "首次请求的应答已不再保存",
        )
    with valkey.pipeline(transaction=True) as pipeline:
        pipeline.incr(f"{name}:repeats")
        pipeline.expire(f"{name}:repeats", settings.IDEMPOTENCY_ANSWER_S)
        repeats, _ = pipeline.execute()
    if repeats > MAX_REPEATS:
        raise ApiError(
            errors.IDEMPOTENCY_SPENT,
            f"the answer was repeated {MAX_REPEATS} times already",
            f"应答已重复返回 {MAX_REPEATS} 次",
        )
    return zlib.decompress(stored)


def _answer_name(call_id: UUID) -> str:
    return f"faceapi:answer:{call_id}"
