"""Admission control: the limits of an App, and the capacity of this process and of the workers.

A call is admitted after its signature is verified. An AppKey is visible in every request, so unsigned
requests must not use up the limits of its owner (bodies being read: faceapi/request/uploads.py). An App above
its own limit gets 4291, as does a customer above its share of the capacity; if there is no capacity left at
all, the call gets 5003. Both carry Retry-After: calls are refused at once instead of filling a queue.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from django.conf import settings

from accounts.models import App
from common import clock
from common.celery import queues
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import unpaid
from inference.worker import exchange

LEASE_S = 60  # a lease is free again this long after its process died
LOOK_EVERY_S = 0.25  # how long a snapshot of the queue and the workers is used
CALM_AFTER_S = 2.0  # overload ends this long after the last refusal
LEAST_OPEN = 2  # the lowest limit of one process under overload
QUEUE_GOAL_MS = 20.0  # a wait up to this is acceptable, however short the inference
CUT_EVERY_S = 0.1  # the limit shrinks at most this often

# GCRA: one key holds the theoretical arrival time of the next call. Burst: the calls of one second.
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
_STAY = """
redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class ProcessLimiter:
    """Limit the verified calls of this process to `limit`, and those of a customer to three quarters of it.

    A call above the limit is rejected, not queued. A customer's first call may use any free slot. Once the
    limiter was full, it admits only as many calls as keep the workers busy, until none was rejected for
    CALM_AFTER_S: a longer queue would serve no more calls, but each would wait longer. That number follows
    additive increase and multiplicative decrease, as in TCP: it grows by one while calls find a free worker
    at once, and shrinks by a tenth when they wait longer than half of their inference time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = float(limit)  # the limit under overload
        self._overloaded_until = -math.inf
        self._cut_at = -math.inf
        self._inside: Counter[int] = Counter()
        self._total = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def pass_through(self, customer_pk: int) -> Iterator[None]:
        """Admit a call during the block. Raises ApiError 4291 above the customer's share, 5003 if full."""
        with self._lock:
            self._refuse(customer_pk, time.monotonic())
            self._inside[customer_pk] += 1
            self._total += 1
        try:
            yield
        finally:
            with self._lock:
                self._total -= 1
                self._inside[customer_pk] -= 1
                if not self._inside[customer_pk]:
                    del self._inside[customer_pk]

    def is_overloaded(self) -> bool:
        """Return whether a call was refused here within CALM_AFTER_S."""
        return time.monotonic() < self._overloaded_until

    def check(self, customer_pk: int) -> None:
        """Raise what `pass_through` would raise now."""
        with self._lock:
            self._refuse(customer_pk, time.monotonic())

    def _refuse(self, customer_pk: int, now: float) -> None:
        is_overloaded = now < self._overloaded_until
        limit = min(self._limit, math.floor(self._open)) if is_overloaded else self._limit
        share = math.ceil(limit * 3 / 4)
        mine = self._inside.get(customer_pk, 0)
        if (mine < share and self._total < limit) or (not mine and self._total < self._limit):
            return
        if not is_overloaded:
            self._open = float(LEAST_OPEN)
        self._overloaded_until = now + CALM_AFTER_S
        if self._total >= limit:
            raise ApiError(errors.OVERLOADED, "too many concurrent calls", retry_after_s=1)
        raise ApiError(
            errors.RATE,
            f"more than {share} concurrent calls of one customer",
            f"同一客户同时进行的调用超过 {share} 个",
            retry_after_s=1,
        )

    def learn(self, *, queue_ms: float, infer_ms: float) -> None:
        """Adapt the limit to a served call's wait for a worker and its inference time."""
        now = time.monotonic()
        with self._lock:
            if now >= self._overloaded_until:
                return
            if queue_ms <= max(infer_ms / 2, QUEUE_GOAL_MS):
                self._open = min(float(self._limit), self._open + 1 / self._open)
            elif now - self._cut_at > CUT_EVERY_S:
                self._open = max(float(LEAST_OPEN), self._open * 0.9)
                self._cut_at = now


class ConcurrencyLeases:
    """The leases of this process, each on one of the concurrent calls that an App may make.

    A thread renews the leases, because a call with a large, slow body may take hours. Only the leases of a
    process that died expire.
    """

    def __init__(self, lease_s: int) -> None:
        self._lease_s = lease_s
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()
        self._renewing: threading.Thread | None = None

    @contextlib.contextmanager
    def hold(self, valkey: redis.Redis, app_pk: int, limit: int, call_id: str) -> Iterator[None]:
        """Hold a lease during the block. Raises ApiError 4291 if `limit` calls of the App run already."""
        name = f"faceapi:running:{app_pk}"
        if not valkey.eval(_ENTER, 1, name, limit, call_id, self._lease_s):
            raise ApiError(
                errors.RATE,
                f"more than {limit} concurrent calls",
                f"同时进行的调用超过 {limit} 个",
                retry_after_s=1,
            )
        with self._lock:
            self._held[call_id] = name
            if self._renewing is None:
                self._renewing = threading.Thread(target=self._renew, args=(valkey,), daemon=True)
                self._renewing.start()
        try:
            yield
        finally:
            with self._lock:
                del self._held[call_id]
            with contextlib.suppress(redis.RedisError):  # the lease expires
                valkey.zrem(name, call_id)

    def _renew(self, valkey: redis.Redis) -> None:
        while True:
            time.sleep(self._lease_s / 4)
            with self._lock:
                held = list(self._held.items())
            with contextlib.suppress(redis.RedisError):  # the leases last for two more attempts
                for call_id, name in held:
                    valkey.eval(_STAY, 1, name, call_id, self._lease_s)


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The state of a queue and its workers, used for LOOK_EVERY_S."""

    at: float
    waiting: int
    slots: int
    is_back_soon: bool = False  # no worker now, but there was one in the last WORKER_RETURN_S


_process_limiter: ProcessLimiter | None = None
_leases = ConcurrencyLeases(LEASE_S)
_lock = threading.Lock()
_seen: dict[str, QueueSnapshot] = {}  # by queue; at most one queue per region


def process_limiter() -> ProcessLimiter:
    """Return the limiter of this process."""
    global _process_limiter
    if _process_limiter is None:
        with _lock:
            _process_limiter = _process_limiter or ProcessLimiter(settings.CALLS_AT_ONCE)
    return _process_limiter


def check_room(valkey: redis.Redis, app: App, *, infers: bool = True) -> None:
    """Refuse a large body before it is read, if its call would be refused afterwards.

    It takes no slot, because the sender is not verified yet, and does not wait. Raises ApiError 4291, 5003.
    """
    process_limiter().check(app.customer_id)
    if infers:
        _check_queue(_snapshot(valkey, app.region.queue))


@contextlib.contextmanager
def admit(valkey: redis.Redis, app: App, call_id: str, *, infers: bool = True) -> Iterator[None]:
    """Hold a slot for a verified call while it runs. Raises ApiError 4291, 5003.

    The state of the workers and the customer's unpaid work matter only to a call that `infers`.
    """
    with process_limiter().pass_through(app.customer_id), contextlib.ExitStack() as stack:
        if infers:
            check_queue(valkey, app.region.queue)
            unpaid.check(valkey, app.customer_id)
        if app.rate_per_s:
            _check_rate(valkey, app.pk, app.rate_per_s)
        if app.concurrency:
            stack.enter_context(_leases.hold(valkey, app.pk, app.concurrency, call_id))
        yield


def check_queue(valkey: redis.Redis, queue: str = queues.INFERENCE) -> None:
    """Raise ApiError 5003 if no live worker takes from `queue` or too many chunks wait in it."""
    seen = _wait_for_worker(valkey, queue)
    if not seen.slots:
        raise _no_worker()
    _check_queue(seen)


def slots(valkey: redis.Redis, queue: str = queues.INFERENCE) -> int:
    """Return the slots of the live workers of `queue`. Raises ApiError 5003 if there is no worker."""
    seen = _wait_for_worker(valkey, queue)
    if not seen.slots:
        raise _no_worker()
    return seen.slots


def _no_worker() -> ApiError:
    return ApiError(errors.OVERLOADED, "no worker is ready", retry_after_s=5)


def _check_queue(seen: QueueSnapshot) -> None:
    if not seen.slots and not seen.is_back_soon:
        raise _no_worker()
    if seen.waiting >= settings.QUEUE_MAX_CHUNKS:
        raise ApiError(errors.OVERLOADED, f"{seen.waiting} chunks are waiting", retry_after_s=2)


def _wait_for_worker(valkey: redis.Redis, queue: str) -> QueueSnapshot:
    """Return a snapshot of the queue; if its last worker is being restarted, wait for it.

    A restart takes some seconds, and a slow call is better than a refused one. At most CALLS_AT_ONCE calls
    wait in this process.
    """
    deadline = time.monotonic() + settings.WORKER_RETURN_S
    seen = _snapshot(valkey, queue)
    while not seen.slots and seen.is_back_soon and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        seen = _snapshot(valkey, queue)
    return seen


def _snapshot(valkey: redis.Redis, queue: str) -> QueueSnapshot:
    now = time.monotonic()
    seen = _seen.get(queue)
    if seen is None or now - seen.at > LOOK_EVERY_S:
        now_s = clock.now_s(valkey)
        slots = sum(worker.slots for worker in exchange.serving(valkey, queue, now_s=now_s))
        waiting = int(valkey.llen(queue))
        is_back_soon = not slots and now_s - exchange.seen_at_s(valkey, queue) < settings.WORKER_RETURN_S
        seen = _seen[queue] = QueueSnapshot(now, waiting, slots, is_back_soon)
    return seen


def _check_rate(valkey: redis.Redis, app_pk: int, per_s: int) -> None:
    wait_us = int(valkey.eval(_RATE, 1, f"faceapi:rate:{app_pk}", per_s))
    if wait_us:
        retry_after_s = max(1, math.ceil(wait_us / 1_000_000))
        raise ApiError(
            errors.RATE,
            f"more than {per_s} calls per second",
            f"每秒的调用超过 {per_s} 个",
            retry_after_s=retry_after_s,
        )
