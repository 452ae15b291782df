"""Exchange of pictures and replies between web processes and workers, through Valkey.

A request is split into chunks of a few pictures. Each picture has its own key with an expiry; the Celery task
carries only ids. The worker claims the chunk, takes the pictures, pushes one reply to the request's list and
deletes the pictures. A task that is delivered twice, or after the request has ended, finds no pictures and
does nothing. A request that ends deletes the claims too, so that late replies are dropped
(docs/decisions/0101-replies-and-redispatch.md).

    inference:image:<chunk>:<i>   bytes of picture i                      written by the web process
    inference:claim:<chunk>       id of the worker that has claimed it    written by the worker
    inference:reply:<request>     list of replies, one for each chunk     written by the worker
    inference:workers             zset "<id> <slots>" by last heartbeat   written by the worker once warm
    inference:about:<worker>      JSON: versions, models, start, queues   written with each heartbeat
    inference:queues              zset of queues by last heartbeat of     written with each heartbeat
                                  a worker that takes from them
    inference:deaths              zset of dead workers by last heartbeat  by the process that detects a death
    inference:death-count         deaths since Valkey started             written with inference:deaths
    inference:left:<chunk>        "<key> <member>" of the turn (zset) of  written by the web process, deleted
                                  a chunk whose request has ended         by the worker, which ends the turn
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from common.celery import queues

WORKERS_KEY = "inference:workers"
QUEUES_KEY = "inference:queues"
DEATHS_KEY = "inference:deaths"
DEATH_COUNT_KEY = "inference:death-count"
DEATHS_KEPT_S = 24 * 3600
QUEUE = queues.INFERENCE
HEARTBEAT_S = 1.0
DEAD_AFTER_S = 5.0

Picture = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pictures `first` … `first + count - 1` of a request.

    `is_suspect` marks a chunk whose worker died, possibly because of one of its pictures.
    """

    request_id: str
    id: str
    first: int
    count: int
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why picture `position` of a chunk has no result.

    For a `code` 4xxx, `detail` is part of the reply to the caller.
    """

    position: int
    code: int
    detail: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's reply: a plain dict for each picture up to the first failure, and that failure if any."""

    chunk_id: str
    results: list[dict[str, Any]]
    failure: Failure | None
    queue_ms: float
    infer_ms: float

    def to_json(self) -> str:
        failure = asdict(self.failure) if self.failure else None
        return json.dumps([self.chunk_id, self.results, failure, self.queue_ms, self.infer_ms])

    @classmethod
    def from_json(cls, text: str | bytes) -> "Reply":
        chunk_id, results, failure, queue_ms, infer_ms = json.loads(text)
        return cls(chunk_id, results, Failure(**failure) if failure else None, queue_ms, infer_ms)


@dataclass(frozen=True, slots=True)
class Worker:
    """A warm worker, with its last heartbeat in Unix seconds.

    `slots` is the number of chunks that it processes in parallel; 0 if it is shutting down and takes no more.
    """

    id: str
    slots: int
    seen_at_s: float


def _images(chunk_id: str, count: int) -> list[str]:
    return [f"inference:image:{chunk_id}:{i}" for i in range(count)]


def _claim(chunk_id: str) -> str:
    return f"inference:claim:{chunk_id}"


def _left(chunk_id: str) -> str:
    return f"inference:left:{chunk_id}"


def _replies(request_id: str) -> str:
    return f"inference:reply:{request_id}"


# --- used by the web processes ---------------------------------------------------


def store(valkey: redis.Redis, chunk: Chunk, pictures: Sequence[Picture], *, ttl_s: int) -> None:
    """Store the chunk's pictures for `ttl_s` seconds."""
    pipe = valkey.pipeline(transaction=False)
    for key, picture in zip(_images(chunk.id, chunk.count), pictures, strict=True):
        pipe.set(key, picture, ex=ttl_s)
    pipe.execute()


def wait(
    valkey: redis.Redis, request_id: str, *, timeout_s: float, tokens: str | None = None
) -> Reply | None:
    """Return the next reply to the request.

    Returns None after `timeout_s`, or if an entry of the list `tokens` arrives first.
    """
    replies = _replies(request_id)
    popped = valkey.blpop([replies, tokens] if tokens else [replies], timeout=timeout_s)
    return Reply.from_json(popped[1]) if popped is not None and popped[0] == replies.encode() else None


def claimed_by(valkey: redis.Redis, chunk_ids: Sequence[str]) -> list[str | None]:
    """Return for each chunk the id of the worker that claimed it, or None."""
    claims: list[Any] = valkey.mget([_claim(chunk_id) for chunk_id in chunk_ids])
    return [claim.decode() if claim else None for claim in claims]


def remove(
    valkey: redis.Redis,
    request_id: str,
    chunks: Sequence[Chunk],
    turns: Mapping[str, str] | None = None,
    *,
    lease_s: float = 60.0,
) -> set[str]:
    """Delete all keys of the request; its queued tasks will do nothing.

    `turns` maps chunk ids to "<key> <member>" of the turns that the request holds. Returns the ids of the
    chunks that a worker has claimed: it completes them, its reply is dropped, and then it ends their turns.
    If it dies, the turns expire after `lease_s`.
    """
    claims = [_claim(chunk.id) for chunk in chunks]
    pipe = valkey.pipeline(transaction=False)
    for chunk_id, turn in (turns or {}).items():
        pipe.set(_left(chunk_id), turn, px=round(lease_s * 1000))
    pipe.unlink(*[key for chunk in chunks for key in _images(chunk.id, chunk.count)])
    pipe.mget(claims)  # after the pictures, because a worker claims a chunk before it reads them
    pipe.unlink(_replies(request_id), *claims)
    *_, claimed_by, _ = pipe.execute()
    claimed = {chunk.id for chunk, claim in zip(chunks, claimed_by, strict=True) if claim is not None}
    if free := [_left(chunk_id) for chunk_id in turns or () if chunk_id not in claimed]:
        valkey.unlink(*free)
    return claimed


def drop(valkey: redis.Redis, chunk: Chunk) -> None:
    """Delete the pictures of a chunk that is sent again. If its task was only late, it will do nothing."""
    valkey.unlink(*_images(chunk.id, chunk.count))


def workers(valkey: redis.Redis, *, now_s: float) -> list[Worker]:
    """Return the workers that are warm and accept work."""
    return [worker for worker in beating(valkey, now_s=now_s) if worker.slots]


def queues_of(description: dict[str, Any]) -> list[str]:
    """Return the queues in a worker's description; a worker of an older version consumes only QUEUE."""
    return list(description.get("queues") or [QUEUE])


def serving(valkey: redis.Redis, queue: str, *, now_s: float) -> list[Worker]:
    """Return the workers that are warm and consume `queue`."""
    alive = workers(valkey, now_s=now_s)
    described = about(valkey, [worker.id for worker in alive])
    return [worker for worker, one in zip(alive, described, strict=True) if queue in queues_of(one)]


def seen_at_s(valkey: redis.Redis, queue: str = QUEUE) -> float:
    """Return the last heartbeat of a worker of `queue`, including one that signed off or died; 0 if none."""
    seen: Any = valkey.zscore(QUEUES_KEY, queue)
    if seen is None and queue == QUEUE and not valkey.exists(QUEUES_KEY):
        last: Any = valkey.zrange(WORKERS_KEY, -1, -1, withscores=True)  # workers of the previous version
        seen = last[0][1] if last else None
    return float(seen or 0.0)


def beating(valkey: redis.Redis, *, now_s: float) -> list[Worker]:
    """Return the workers that are alive, including those that are shutting down."""
    alive: Any = valkey.zrangebyscore(WORKERS_KEY, now_s - DEAD_AFTER_S, "+inf", withscores=True)
    found = []
    for member, seen_at_s in alive:
        worker_id, _, slots = member.decode().rpartition(" ")
        found.append(Worker(worker_id, int(slots), float(seen_at_s)))
    return found


@dataclass(frozen=True, slots=True)
class Death:
    """A worker whose heartbeat stopped without a sign-off: killed, crashed, hung or disconnected.

    `seen_at_s` is its last heartbeat (Unix seconds).
    """

    worker_id: str
    seen_at_s: float


# A worker that shuts down first sends a heartbeat with 0 slots, so a stale entry with slots is a death.
_RECORD_DEATHS = """
local stale = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES')
for i = 1, #stale, 2 do
    local id, slots = string.match(stale[i], '^(.*) (%d+)$')
    redis.call('ZREM', KEYS[1], stale[i])
    if slots ~= '0' then
        redis.call('ZADD', KEYS[2], stale[i + 1], id)
        redis.call('INCR', KEYS[3])
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
return redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
"""


def deaths(valkey: redis.Redis, *, now_s: float) -> list[Death]:
    """Record the workers that died since the last call; return the deaths of the last day, oldest first."""
    bounds = (now_s - DEAD_AFTER_S, now_s - DEATHS_KEPT_S)
    found: Any = valkey.eval(_RECORD_DEATHS, 3, WORKERS_KEY, DEATHS_KEY, DEATH_COUNT_KEY, *bounds)
    pairs = zip(found[::2], found[1::2], strict=True)
    return [Death(worker_id.decode(), float(seen_at_s)) for worker_id, seen_at_s in pairs]


def death_count(valkey: redis.Redis) -> int:
    """Return the number of worker deaths since Valkey started."""
    return int(valkey.get(DEATH_COUNT_KEY) or 0)


# --- used by the workers ---------------------------------------------------------


_ANSWER = """
local is_wanted = redis.call('UNLINK', KEYS[2]) == 1
if is_wanted then
    redis.call('RPUSH', KEYS[1], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
redis.call('UNLINK', unpack(KEYS, 3))
return is_wanted and 1 or 0
"""


def claim(
    valkey: redis.Redis, chunk_id: str, count: int, *, worker_id: str, ttl_s: int
) -> list[bytes] | None:
    """Claim the chunk and return its pictures.

    Returns None if they no longer exist: replied to, cancelled or expired.
    """
    pipe = valkey.pipeline(transaction=False)
    # Claim before reading, so that `remove` also deletes the claim of a chunk that is being read.
    pipe.set(_claim(chunk_id), worker_id, ex=ttl_s)
    pipe.mget(_images(chunk_id, count))
    _, pictures = pipe.execute()
    if any(picture is None for picture in pictures):
        valkey.unlink(_claim(chunk_id))
        _end_turn(valkey, chunk_id)
        return None
    return list(pictures)


def answer(valkey: redis.Redis, request_id: str, reply: Reply, *, count: int, ttl_s: int) -> None:
    """Push the reply and delete the chunk's pictures.

    If the claim no longer exists, the request has ended: the reply is dropped, and the turn that the request
    left to the chunk ends.
    """
    keys = [_replies(request_id), _claim(reply.chunk_id), *_images(reply.chunk_id, count)]
    if not valkey.eval(_ANSWER, len(keys), *keys, reply.to_json(), ttl_s):
        _end_turn(valkey, reply.chunk_id)


def _end_turn(valkey: redis.Redis, chunk_id: str) -> None:
    """End the turn of a chunk whose request has ended."""
    left: Any = valkey.getdel(_left(chunk_id))
    if left is not None:
        key, _, member = left.decode().partition(" ")
        valkey.zrem(key, member)


def abandon(valkey: redis.Redis, chunk_id: str, worker: Worker) -> None:
    """Mark the chunk as abandoned and record the death of the child process that claimed it."""
    valkey.set(_claim(chunk_id), "a child that died", xx=True, keepttl=True)
    pipe = valkey.pipeline(transaction=False)
    pipe.zadd(DEATHS_KEY, {f"{worker.id} (child)": worker.seen_at_s})
    pipe.incr(DEATH_COUNT_KEY)
    pipe.execute()


def about(valkey: redis.Redis, worker_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the description of each worker (see `beat`); an empty dict if it has expired."""
    if not worker_ids:
        return []
    found = valkey.mget([f"inference:about:{worker_id}" for worker_id in worker_ids])
    return [json.loads(text) if text else {} for text in found]


def beat(valkey: redis.Redis, worker: Worker, description: dict[str, Any]) -> None:
    """Send a heartbeat with the worker's description, a dict of JSON types, and record deaths."""
    # Record deaths first: a worker that restarts under its old id would hide the death of its predecessor.
    deaths(valkey, now_s=worker.seen_at_s)
    pipe = valkey.pipeline(transaction=False)
    pipe.set(f"inference:about:{worker.id}", json.dumps(description), ex=60)
    pipe.zadd(QUEUES_KEY, dict.fromkeys(queues_of(description), worker.seen_at_s))
    pipe.zremrangebyscore(QUEUES_KEY, "-inf", worker.seen_at_s - DEATHS_KEPT_S)
    pipe.zadd(WORKERS_KEY, {f"{worker.id} {worker.slots}": worker.seen_at_s})
    pipe.execute()


def leave(valkey: redis.Redis, worker: Worker) -> None:
    """Remove the worker's last heartbeat, so that it is not considered dead."""
    valkey.zrem(WORKERS_KEY, f"{worker.id} {worker.slots}")
