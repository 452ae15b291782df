"""Step 5 of a call: the pictures to the workers and the answers back (docs/decisions: replies and
re-dispatch).

A call's pictures go out in chunks through a window: no more chunks at once than there are slots, and a large
batch always leaves one slot free, so that a single picture behind it finds a worker at once. A chunk whose
worker stopped beating, or which nobody took, is sent once more; then the deadline ends the call (5004).
"""

import math
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import redis
from kombu.exceptions import OperationalError

from faceapi import admission, errors
from faceapi.errors import ApiError
from faceapi.spool import Span, Spool
from facecloud import broker, valkey
from inference import exchange
from inference.exchange import Chunk, Reply

TASK = "inference.infer"
CHUNK_IMAGES = 4
CHUNK_BYTES = 16 * 1024 * 1024
BATCH_IMAGES = 16  # a call of more pictures, or more bytes, is a batch and leaves a slot free
BATCH_BYTES = 32 * 1024 * 1024
TICK_S = 1.0
UNTAKEN_S = 5.0
SENDS = 2


@dataclass(slots=True)
class Sent:
    chunk: Chunk
    at: float
    times: int = 1


@dataclass(slots=True)
class Outcome:
    """A plain result for each picture; how long the slowest chunk waited, and how long all of them took."""

    results: list[dict[str, Any]]
    queue_ms: float = 0.0
    infer_ms: float = 0.0


@dataclass(slots=True)
class _Run:
    request_id: str
    operation: str
    spans: Sequence[Span]
    spool: Spool
    deadline: float
    sent: dict[str, Sent] = field(default_factory=dict)
    all_chunks: list[Chunk] = field(default_factory=list)
    sent_twice: bool = False
    is_clean: bool = False  # all was answered, and a worker removes what it answers


def cut(request_id: str, spans: Sequence[Span], at_once: int) -> list[Chunk]:
    """Chunks of neighbouring pictures: a few each, not too many bytes, and enough chunks to keep `at_once`
    cores busy.
    """
    most = min(CHUNK_IMAGES, math.ceil(len(spans) / at_once))
    chunks: list[Chunk] = []
    first = 0
    while first < len(spans):
        count, size = 1, spans[first].length
        while (
            count < most and first + count < len(spans) and size + spans[first + count].length <= CHUNK_BYTES
        ):
            size += spans[first + count].length
            count += 1
        chunks.append(Chunk(request_id, f"{request_id}.{len(chunks)}.{uuid.uuid4().hex[:8]}", first, count))
        first += count
    return chunks


def infer(
    *, request_id: str, operation: str, spans: Sequence[Span], spool: Spool, deadline: float
) -> Outcome:
    """The result of each picture. `deadline` in monotonic seconds.

    Raises ApiError with the code of a worker's failure and `index` set to the picture's position; 5003, 5004.
    """
    client = valkey.client()
    run = _Run(request_id, operation, spans, spool, deadline)
    try:
        available = admission.slots(client)
        is_batch = len(spans) > BATCH_IMAGES or sum(span.length for span in spans) > BATCH_BYTES
        cores = max(1, available - 1)
        window = cores if is_batch else available
        waiting = deque(cut(request_id, spans, cores))
        run.all_chunks = list(waiting)
        return _exchange(client, run, waiting, window)
    except (redis.RedisError, OperationalError) as error:
        raise ApiError(errors.OVERLOADED, "the broker is not available", retry_after_s=5) from error
    finally:
        if not run.is_clean:
            _clean(client, run)


def _exchange(client: redis.Redis, run: _Run, waiting: deque[Chunk], window: int) -> Outcome:
    found: dict[int, dict[str, Any]] = {}
    outcome = Outcome([])
    failure: tuple[int, int, str] | None = None  # position, code, detail of the first picture at fault
    while waiting or run.sent:
        while waiting and len(run.sent) < window:
            _send(client, run, Sent(waiting.popleft(), time.monotonic()))
        reply = _next_reply(client, run)
        if reply is None or reply.chunk_id not in run.sent:
            continue
        chunk = run.sent.pop(reply.chunk_id).chunk
        outcome.queue_ms = max(outcome.queue_ms, reply.queue_ms)
        outcome.infer_ms += reply.infer_ms
        found.update(zip(range(chunk.first, chunk.first + chunk.count), reply.results, strict=False))
        if reply.failure is not None:
            position = chunk.first + reply.failure.position
            if failure is None or position < failure[0]:
                failure = (position, reply.failure.code, reply.failure.detail)
            waiting.clear()  # all that waits comes later; what was sent before may still fail earlier
    run.is_clean = not (run.sent_twice or failure)
    if failure is not None:
        raise ApiError(failure[1], failure[2] if failure[1] < 5000 else "", index=failure[0])
    if len(found) != len(run.spans):
        raise ApiError(errors.INCOMPLETE_RESULT, f"{len(found)} results for {len(run.spans)} images")
    outcome.results = [found[position] for position in range(len(run.spans))]
    return outcome


def _send(client: redis.Redis, run: _Run, sent: Sent) -> None:
    """Lay the pictures down and put the task into the queue."""
    chunk = sent.chunk
    ttl_s = max(1, math.ceil(run.deadline - time.monotonic()) + 5)
    with ExitStack() as stack:
        views = [
            stack.enter_context(run.spool.view(span))
            for span in run.spans[chunk.first : chunk.first + chunk.count]
        ]
        exchange.put(client, chunk, views, ttl_s=ttl_s)
    run.sent[chunk.id] = sent
    args = (chunk.request_id, chunk.id, run.operation, chunk.count, time.time(), ttl_s)
    broker.publish(TASK, chunk.id, args, queue=exchange.QUEUE)


def _next_reply(client: redis.Redis, run: _Run) -> Reply | None:
    """Wait a moment for a reply; where none came, look after what may be lost. Raises ApiError 5004."""
    left_s = run.deadline - time.monotonic()
    if left_s <= 0:
        raise ApiError(errors.NO_ANSWER)
    reply = exchange.wait(client, run.request_id, timeout_s=max(0.01, min(TICK_S, left_s)))
    if reply is None:
        _send_lost_again(client, run)
    return reply


def _send_lost_again(client: redis.Redis, run: _Run) -> None:
    """A chunk is lost when its worker stopped beating, or when nobody has it though the queue is empty."""
    now = time.monotonic()
    candidates = [sent for sent in run.sent.values() if sent.times < SENDS and now - sent.at >= TICK_S]
    if not candidates:
        return
    alive = {worker.id for worker in exchange.workers(client, now_s=time.time())}
    claims = exchange.claimed_by(client, [sent.chunk.id for sent in candidates])
    queue_is_empty = client.llen(exchange.QUEUE) == 0
    for sent, claim in zip(candidates, claims, strict=True):
        untaken = claim is None and queue_is_empty and now - sent.at >= UNTAKEN_S
        if untaken or (claim is not None and claim not in alive):
            run.sent_twice = True
            _send(client, run, Sent(sent.chunk, now, sent.times + 1))


def _clean(client: redis.Redis, run: _Run) -> None:
    if run.all_chunks:
        try:
            exchange.remove(client, run.request_id, run.all_chunks)
        except redis.RedisError:
            return  # every key has an expiry of its own
