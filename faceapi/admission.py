"""Who may start a call now: the limits of an App, and the room that this process and the workers have.

Checked before the body is read. Over its own limit an App gets 4291; where there is no room for anybody,
5003. Both say when to come back, so a queue that would only grow is refused at once.
"""

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from django.conf import settings

from accounts.models import App
from faceapi import errors
from faceapi.errors import ApiError
from inference import exchange

LEASE_S = 300  # a concurrency slot of a process that died is free again after this
LOOK_EVERY_S = 0.25  # the queue and the workers are looked at this often

# GCRA: one key holds the time at which the next call would be in step. Burst: one second's worth.
_RATE = """
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local step_us = 1000000 / tonumber(ARGV[1])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now_us), now_us)
local wait_us = due - now_us - (1000000 - step_us)
if wait_us > 0 then return math.ceil(wait_us) end
redis.call('SET', KEYS[1], string.format('%.0f', due + step_us), 'PX', 2000)
return 0
"""
_ENTER = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class Gate:
    """At most `limit` at once in this process; who finds it full is turned away, not queued."""

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)

    @contextlib.contextmanager
    def pass_through(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise ApiError(errors.OVERLOADED, "too many calls at once", retry_after_s=1)
        try:
            yield
        finally:
            self._free.release()


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of the queue and the workers, good for a moment."""

    at: float
    waiting: int
    slots: int


_gate: Gate | None = None
_lock = threading.Lock()
_seen = _Look(-math.inf, 0, 0)


@contextlib.contextmanager
def admit(valkey: redis.Redis, app: App, call_id: str) -> Iterator[None]:
    """Hold this call's place while it runs. Raises ApiError 4291, 5003."""
    global _gate
    if _gate is None:
        with _lock:
            _gate = _gate or Gate(settings.CALLS_AT_ONCE)
    with _gate.pass_through(), contextlib.ExitStack() as stack:
        check_queue(valkey)
        if app.rate_per_s:
            _check_rate(valkey, app.pk, app.rate_per_s)
        if app.concurrency:
            stack.enter_context(_concurrency(valkey, app.pk, app.concurrency, call_id))
        yield


def check_queue(valkey: redis.Redis) -> None:
    """Raises ApiError 5003 where no worker lives, or too many chunks wait."""
    slots(valkey)
    if _seen.waiting >= settings.QUEUE_MAX_CHUNKS:
        raise ApiError(errors.OVERLOADED, f"{_seen.waiting} chunks are waiting", retry_after_s=2)


def slots(valkey: redis.Redis) -> int:
    """How many chunks the live workers work on at once. Raises ApiError 5003 where there is no worker."""
    global _seen
    now = time.monotonic()
    if now - _seen.at > LOOK_EVERY_S:
        alive = exchange.workers(valkey, now_s=time.time())
        waiting = int(valkey.llen(exchange.QUEUE))
        _seen = _Look(now, waiting, sum(worker.slots for worker in alive))
    if not _seen.slots:
        raise ApiError(errors.OVERLOADED, "no worker is ready", retry_after_s=5)
    return _seen.slots


def _check_rate(valkey: redis.Redis, app_pk: int, per_s: int) -> None:
    wait_us = int(valkey.eval(_RATE, 1, f"faceapi:rate:{app_pk}", per_s))
    if wait_us:
        retry_after_s = max(1, math.ceil(wait_us / 1_000_000))
        raise ApiError(errors.RATE, f"over {per_s} calls a second", retry_after_s=retry_after_s)


@contextlib.contextmanager
def _concurrency(valkey: redis.Redis, app_pk: int, limit: int, call_id: str) -> Iterator[None]:
    name = f"faceapi:running:{app_pk}"
    if not valkey.eval(_ENTER, 1, name, limit, call_id, LEASE_S):
        raise ApiError(errors.RATE, f"over {limit} calls at once", retry_after_s=1)
    try:
        yield
    finally:
        with contextlib.suppress(redis.RedisError):  # the lease ends by itself
            valkey.zrem(name, call_id)
