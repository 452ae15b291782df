"""Step 5 of a call: send the pictures to the workers and collect the answers (docs/decisions/0101).

A call's pictures go out in chunks through a window: no more chunks at once than there are slots. A chunk is a
few pictures, with at most CHUNK_WORK_MS of estimated work unless one picture alone takes more
(limits/work.py). A batch, which is a call of many pictures or of much work, always leaves one slot free, so
that a single picture behind it finds a worker at once.

If a worker dies, all its chunks are lost, of this call and of others. Their pictures are suspects then, as
are those of chunks that no worker claimed: they are sent again one at a time, and a worker processes nothing
else meanwhile. If a worker dies again, this picture is the cause, and the call ends with 5001 and its index;
all others are served. One picture can kill at most two workers. The deadline ends the call in any case
(5004).
"""

import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import redis
from django.conf import settings
from kombu.exceptions import OperationalError

from common import clock, valkey
from common.celery import broker, queues
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import admission, turns, unpaid, work
from faceapi.limits.turns import Lane
from faceapi.request.spool import Spool, SpoolSlice
from inference.images.formats.common import Header
from inference.worker import exchange
from inference.worker.exchange import Chunk, Failure, Reply

TASK = "inference.infer"
CHUNK_IMAGES = 4
CHUNK_BYTES = 16 * 1024 * 1024
CHUNK_WORK_MS = 160.0  # four small pictures of face_analyse; others may wait for this much
# A call of more pictures, bytes or work is a batch and leaves a slot free: another customer's picture waits
# for a slot no longer than an ordinary chunk takes.
BATCH_IMAGES = 16
BATCH_BYTES = 32 * 1024 * 1024
BATCH_WORK_MS = CHUNK_WORK_MS
TICK_S = 1.0
UNTAKEN_S = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    chunk: Chunk
    at: float
    lane: Lane  # in which it holds a turn


@dataclass(slots=True)
class Outcome:
    """The result of each picture, the longest wait of a chunk, and the inference time of all chunks."""

    results: list[dict[str, Any]]
    queue_ms: float = 0.0
    infer_ms: float = 0.0


@dataclass(slots=True)
class Run:
    """The dispatch of one call: the chunks that were sent, and the pictures that are still to be sent."""

    request_id: str
    operation: str
    spans: Sequence[SpoolSlice]
    spool: Spool
    deadline: float
    lane: Lane  # of the chunks that wait
    work_ms: Sequence[float]  # estimates, by position
    suspects: deque[Chunk] = field(default_factory=deque)  # by position; sent before new chunks
    cut_to: int = 0  # the first picture that is in no chunk yet
    most_images: int = CHUNK_IMAGES  # of a chunk
    sent: dict[str, Sent] = field(default_factory=dict)
    all_chunks: list[Chunk] = field(default_factory=list)
    slots: int = 1
    infer_ms: float = 0.0
    waits_for_turn: bool = False
    first_sent_after_ms: float | None = None
    started: float = field(default_factory=time.monotonic)
    looked_at: float = field(default_factory=time.monotonic)  # last check of client and leases
    has_lost: bool = False
    is_clean: bool = False  # every chunk was answered, and its worker deleted its keys

    @property
    def has_more(self) -> bool:
        """Whether a chunk is still to be sent."""
        return bool(self.suspects) or self.cut_to < len(self.spans)

    def next_chunk(self) -> Chunk:
        """Return the chunk to send next: a suspect, or the next few pictures, at least one.

        A chunk is formed when there is a turn for it; its size depends on how long earlier chunks took.
        """
        if self.suspects:
            return self.suspects[0]
        factor = work.experience.factor(self.lane.customer, self.operation)
        size, work_ms, count = 0, 0.0, 0
        for position in range(self.cut_to, min(self.cut_to + self.most_images, len(self.spans))):
            size += self.spans[position].length
            work_ms += self.work_ms[position] * (factor or 1.0)
            if count and (factor is None or size > CHUNK_BYTES or work_ms > CHUNK_WORK_MS):
                break
            count += 1
        return _chunk(self.request_id, self.cut_to, count)

    def start(self, chunk: Chunk) -> None:
        """Remove the chunk from the pictures that are still to be sent."""
        if chunk.is_suspect:
            self.suspects.popleft()
        else:
            self.cut_to += chunk.count

    def drop_from(self, position: int) -> None:
        """Drop the pictures from `position` on that were not sent yet."""
        self.suspects = deque(chunk for chunk in self.suspects if chunk.first < position)
        if self.cut_to >= position:
            self.cut_to = len(self.spans)


def _chunk(request_id: str, first: int, count: int, *, is_suspect: bool = False) -> Chunk:
    return Chunk(request_id, f"{request_id}.{first}.{uuid.uuid4().hex[:8]}", first, count, is_suspect)


def infer(
    *,
    request_id: str,
    operation: str,
    spans: Sequence[SpoolSlice],
    spool: Spool,
    deadline: float,
    customer_pk: int,
    queue: str = queues.INFERENCE,
    headers: Sequence[Header] = (),
    check_client: Callable[[], None] = lambda: None,
) -> Outcome:
    """Return the result of each picture.

    `queue` is that of the App's region. `deadline` is in monotonic seconds. The work is estimated from
    `headers`, those of the pictures.

    Raises ApiError with the code of a worker's failure and `index` set to the picture's position; 5003, 5004;
    and what `check_client` raises, which is called each second to stop work for a client that hung up.
    """
    client = valkey.client()
    work_ms = [work.estimate_ms(header, operation) for header in headers] or [0.0] * len(spans)
    is_batch = len(spans) > BATCH_IMAGES or sum(span.length for span in spans) > BATCH_BYTES
    lane = Lane(customer_pk, request_id, is_batch, queue)
    run = Run(request_id, operation, spans, spool, deadline, lane, work_ms)
    try:
        available = run.slots = admission.slots(client, queue)
        cores = max(1, available - 1)
        window = cores if is_batch else available
        run.most_images = min(CHUNK_IMAGES, math.ceil(len(spans) / cores))  # so that all cores have work
        return _exchange(client, run, window, check_client)
    except ApiError as error:
        if error.code != errors.OVERLOADED:
            _note_unpaid(client, run, with_work_in_progress=error.code < 5000)
        raise
    except (redis.RedisError, OperationalError) as error:
        raise ApiError(errors.OVERLOADED, "the broker is not available", retry_after_s=5) from error
    finally:
        if not run.is_clean:
            _clean(client, run)


def _exchange(
    client: redis.Redis, run: Run, window: int, check_client: Callable[[], None] = lambda: None
) -> Outcome:
    found: dict[int, dict[str, Any]] = {}
    outcome = Outcome([])
    failure: Failure | None = None  # of the first picture that failed
    while _send_allowed(client, run, window, failure):
        left_s = run.deadline - time.monotonic()
        if left_s <= 0:
            break
        if time.monotonic() - run.looked_at >= turns.RENEW_EVERY_S:
            run.looked_at = time.monotonic()
            check_client()
            for lane, chunk_ids in _by_lane(run).items():
                lane.renew(client, chunk_ids)
        reply = exchange.wait(
            client,
            run.request_id,
            timeout_s=max(0.01, min(TICK_S, left_s)),
            tokens=run.lane.tokens if run.waits_for_turn else None,
        )
        reply = reply or _resend_lost(client, run)
        if reply is None or reply.chunk_id not in run.sent:
            continue
        sent = run.sent.pop(reply.chunk_id)
        chunk = sent.chunk
        wants_more = run.has_more and not run.suspects and sent.lane == run.lane
        sent.lane.give_back(client, [chunk.id], wants_more=wants_more)
        outcome.queue_ms = max(outcome.queue_ms, reply.queue_ms, run.first_sent_after_ms or 0.0)
        run.infer_ms += reply.infer_ms
        found.update(zip(range(chunk.first, chunk.first + chunk.count), reply.results, strict=False))
        if reply.failure is None:
            _learn(run, chunk, reply)
        else:
            position = chunk.first + reply.failure.position
            if failure is None or position < failure.position:
                failure = Failure(position, reply.failure.code, reply.failure.detail)
    run.is_clean = not (run.sent or run.has_more or run.has_lost or failure)
    if failure is not None:  # even if the deadline has passed for earlier pictures
        detail = failure.detail if failure.code < 5000 else ""
        raise ApiError(failure.code, detail, index=failure.position)
    if run.sent or run.has_more:
        raise ApiError(errors.NO_ANSWER)
    if len(found) != len(run.spans):
        raise ApiError(errors.INCOMPLETE_RESULT, f"{len(found)} results for {len(run.spans)} images")
    outcome.infer_ms = run.infer_ms
    outcome.results = [found[position] for position in range(len(run.spans))]
    return outcome


def _send_allowed(client: redis.Redis, run: Run, window: int, failure: Failure | None) -> bool:
    """Send chunks while the window and the customer's turns allow it; suspects one at a time.

    Returns whether there is anything to wait for.
    """
    run.waits_for_turn = False
    if failure is not None:  # an earlier picture may fail too
        run.drop_from(failure.position)
    while run.has_more:
        has_suspects = bool(run.suspects) or any(sent.chunk.is_suspect for sent in run.sent.values())
        if len(run.sent) >= (1 if has_suspects else window):
            break
        if not run.suspects:
            _become_batch(client, run)
        chunk = run.next_chunk()
        if not chunk.is_suspect and not run.lane.take(client, chunk.id, run.slots):
            run.waits_for_turn = True
            break
        run.start(chunk)
        _send(client, run, chunk)
    return bool(run.sent or run.has_more)


def _become_batch(client: redis.Redis, run: Run) -> None:
    """Move to the bulk lane if the rest of the call is too much work for the single lane."""
    factor = work.experience.factor(run.lane.customer, run.operation) or 1.0
    if not run.lane.is_bulk and sum(run.work_ms[run.cut_to :]) * factor > BATCH_WORK_MS:
        run.lane.give_back(client, [], wants_more=False)
        run.lane = replace(run.lane, is_bulk=True)


def _learn(run: Run, chunk: Chunk, reply: Reply) -> None:
    estimated_ms = sum(run.work_ms[chunk.first : chunk.first + chunk.count])
    work.experience.learn(run.lane.customer, run.operation, estimated_ms=estimated_ms, took_ms=reply.infer_ms)


def _by_lane(run: Run) -> dict[Lane, list[str]]:
    """Return the ids of the chunks that are under way, by the lane of their turn."""
    found: dict[Lane, list[str]] = {}
    for chunk_id, sent in run.sent.items():
        found.setdefault(sent.lane, []).append(chunk_id)
    return found


def _send(client: redis.Redis, run: Run, chunk: Chunk) -> None:
    """Store the pictures in Valkey and put the task into the queue."""
    ttl_s = max(1, math.ceil(run.deadline - time.monotonic()) + 5)
    run.all_chunks.append(chunk)
    with ExitStack() as stack:
        views = [
            stack.enter_context(run.spool.view(span))
            for span in run.spans[chunk.first : chunk.first + chunk.count]
        ]
        exchange.store(client, chunk, views, ttl_s=ttl_s)
    run.sent[chunk.id] = Sent(chunk, time.monotonic(), run.lane)
    if run.first_sent_after_ms is None:
        run.first_sent_after_ms = (time.monotonic() - run.started) * 1000
    args = (
        chunk.request_id,
        chunk.id,
        run.operation,
        chunk.count,
        clock.estimate_s(),
        ttl_s,
        chunk.is_suspect,
    )
    broker.publish(TASK, chunk.id, args, queue=run.lane.queue)


def _resend_lost(client: redis.Redis, run: Run) -> Reply | None:
    """Send lost chunks again: their worker died, or no worker has them although the queue is empty.

    If the worker of a suspect died, nothing is sent again: returns a Reply with this failure.
    """
    now = time.monotonic()
    candidates = [sent for sent in run.sent.values() if now - sent.at >= TICK_S]
    if not candidates:
        return None
    claims = exchange.claimed_by(client, [sent.chunk.id for sent in candidates])
    alive = {
        worker.id for worker in exchange.beating(client, now_s=clock.now_s(client))
    }  # workers send a heartbeat before they claim
    queue_is_empty = client.llen(run.lane.queue) == 0
    for sent, claim in zip(candidates, claims, strict=True):
        if claim in alive or (claim is None and not (queue_is_empty and now - sent.at >= UNTAKEN_S)):
            continue
        chunk = sent.chunk
        run.has_lost = True
        extra = {"chunk": chunk.id, "worker": claim, "alone": chunk.is_suspect}
        logger.warning("a chunk is lost", extra=extra)
        if claim is not None and chunk.is_suspect:
            return Reply(chunk.id, [], Failure(0, errors.INTERNAL, "its worker died"), 0.0, 0.0)
        del run.sent[chunk.id]
        exchange.drop(client, chunk)
        sent.lane.give_back(client, [chunk.id], wants_more=False)  # a suspect needs no turn
        positions = range(chunk.first, chunk.first + chunk.count)
        suspects = [_chunk(run.request_id, position, 1, is_suspect=True) for position in positions]
        run.suspects = deque(sorted([*suspects, *run.suspects], key=attrgetter("first")))
    return None


def _note_unpaid(client: redis.Redis, run: Run, *, with_work_in_progress: bool) -> None:
    """Add the work done for a failed call to its customer's unpaid work.

    Work in progress is included only if the caller caused the failure, because a hung worker does no work.
    """
    with suppress(redis.RedisError):
        claims = exchange.claimed_by(client, list(run.sent)) if run.sent and with_work_in_progress else []
        now = time.monotonic()
        in_progress_s = sum(
            now - sent.at for sent, claim in zip(run.sent.values(), claims, strict=False) if claim
        )
        unpaid.add(client, run.lane.customer, run.infer_ms + in_progress_s * 1000)


def _clean(client: redis.Redis, run: Run) -> None:
    """Delete the call's keys in Valkey. Chunks that a worker is still processing keep their turns."""
    lease_s = turns.LEASE_S + run.most_images * settings.PICTURE_MAX_S  # if the worker dies
    sent = _by_lane(run)
    held = {chunk_id: lane.turn(chunk_id) for lane, chunk_ids in sent.items() for chunk_id in chunk_ids}
    with suppress(redis.RedisError):  # every key has an expiry of its own, and every turn is a lease
        in_progress: set[str] = set()
        if run.all_chunks:
            in_progress = exchange.remove(client, run.request_id, run.all_chunks, held, lease_s=lease_s)
        for lane in {run.lane, *sent}:
            chunk_ids = sent.get(lane, [])
            lane.renew(client, [one for one in chunk_ids if one in in_progress], lease_s)
            free = [one for one in chunk_ids if one not in in_progress]
            lane.give_back(client, free, wants_more=False)
