"""The inference pool: the Celery task, and the life cycle of a worker.

The task carries ids, not pictures. A worker loads every model and runs it once before it takes work; from
then on it sends a heartbeat to Valkey each second (exchange.beat). A worker whose heartbeat stops is
considered dead, and its pictures are dispatched again.
"""

import logging
import os
import platform
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from celery import shared_task, signals
from celery.exceptions import WorkerLostError
from celery.worker import state
from django.conf import settings

import common
from common import clock, valkey
from common.logs import request_id_in_logs
from inference import errors
from inference.calibration import tables
from inference.errors import InferenceError
from inference.models import registry, session
from inference.pipeline.engine import Engine, engine
from inference.results import AnalyseResult, DetectResult, IdentifyResult, Template
from inference.worker import exchange
from inference.worker.exchange import Failure, Reply
from inference.worker.hang_watchdog import Watchdog, Work
from inference.worker.shared_lock import SharedExclusiveLock

logger = logging.getLogger(__name__)
_lock = SharedExclusiveLock()
_watchdog = Watchdog(settings.PICTURE_MAX_S)


class Operation(NamedTuple):
    """The two steps of an operation on a chunk.

    `prepare` processes picture by picture; `finish` runs the networks on the faces of all of them together.
    """

    prepare: Callable[[Engine, bytes], Any]
    finish: Callable[[Engine, list[Any]], Iterable[DetectResult | AnalyseResult | Template | IdentifyResult]]


OPERATIONS = {
    "detect": Operation(Engine.detect, lambda _, results: results),
    "analyse": Operation(Engine.prepare_analysis, Engine.finish_analyses),
    "embed": Operation(Engine.prepare_embedding, Engine.finish_embeddings),
    "identify": Operation(Engine.prepare_largest, Engine.finish_identifications),
    "identify_all": Operation(Engine.prepare_people, Engine.finish_identifications),
}


def shared_engine() -> Engine:
    """Return the engine of this process, with the calibration set of the settings."""
    if tables.directory() != settings.CALIBRATION_DIR:
        tables.use(settings.CALIBRATION_DIR)
    return engine(settings.MODELS_DIR, settings.INFERENCE_PROVIDERS)


def worker_id() -> str:
    """Return the id of this worker in claims and heartbeats; children of a prefork worker share it.

    It is new for each process. In a container that is restarted, host name and pid stay the same, so the
    chunks of the process that died would seem to be claimed by a live worker.
    """
    new = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"
    return os.environ.setdefault("FACECLOUD_WORKER_ID", new)


@shared_task(name="inference.infer", ignore_result=True, acks_late=False)
def infer(
    request_id: str,
    chunk_id: str,
    operation: str,
    count: int,
    sent_at_s: float,
    ttl_s: int,
    is_suspect: bool = False,
) -> None:
    """Process one chunk and push one reply.

    Idempotent: a chunk whose pictures are gone is skipped. A suspect runs while nothing else runs in this
    process, so that if the process dies, the suspect is known to be the cause.
    """
    with request_id_in_logs(request_id), _lock.enter(alone=is_suspect):
        queue_ms = max(0.0, clock.estimate_s() - sent_at_s) * 1000
        started = time.perf_counter()
        client = valkey.client()
        pictures = exchange.claim(client, chunk_id, count, worker_id=worker_id(), ttl_s=ttl_s)
        if pictures is None:
            logger.info("chunk skipped, its pictures no longer exist", extra={"chunk": chunk_id})
            return
        with _watchdog.watch(Work(request_id, chunk_id, count, ttl_s)) as begin:
            results, failure = run(OPERATIONS[operation], shared_engine(), pictures, begin)
        infer_ms = (time.perf_counter() - started) * 1000
        reply = Reply(chunk_id, results, failure, queue_ms, infer_ms)
        exchange.answer(client, request_id, reply, count=count, ttl_s=ttl_s)
        logger.info(
            "chunk done",
            extra={
                "chunk": chunk_id,
                "operation": operation,
                "images": count,
                "queue_ms": round(queue_ms, 1),
                "infer_ms": round(infer_ms, 1),
                "failure": failure.code if failure else 0,
            },
        )


def run(
    operation: Operation,
    engine: Engine,
    pictures: list[bytes],
    begin: Callable[[int | None], None] = lambda position: None,
) -> tuple[list[dict[str, Any]], Failure | None]:
    """Return the plain results up to the first failure, and that failure if there is one.

    `pictures` is emptied on the way, to free memory early. `begin` is called with the position of each
    picture before it is prepared, then with None before all of them are finished together.
    """
    prepared: list[Any] = []
    results: list[dict[str, Any]] = []
    failure = None
    pictures.reverse()
    try:
        while pictures:
            begin(len(prepared))
            prepared.append(operation.prepare(engine, pictures.pop()))
    except Exception as error:  # native decoders raise all kinds of errors, and the caller must get a reply
        failure = _failure(len(prepared), error)
    begin(None)
    try:
        for result in operation.finish(engine, prepared):
            results.append(result.to_dict())
    except Exception as error:  # likewise for the networks
        failure = _failure(len(results), error)
    return results, failure


def _failure(position: int, error: Exception) -> Failure:
    if isinstance(error, InferenceError):
        return Failure(position, error.code, error.detail)
    # The message of the error is not logged, because it could quote the picture; the stack is only code.
    stack = traceback.format_list(traceback.extract_tb(error.__traceback__))
    logger.error("inference failed", extra={"error": type(error).__name__, "stack": stack})
    return Failure(position, errors.INTERNAL, type(error).__name__)


# --- life cycle of a worker ------------------------------------------------------


def about(started_at_s: float, queues: Iterable[str]) -> dict[str, Any]:
    """Return the description of this worker: queues, versions, and the models with their hash prefixes."""
    return {
        "started_at_s": started_at_s,
        "queues": sorted(queues),
        "version": common.__version__,
        "python": platform.python_version(),
        "onnxruntime": session.VERSION,
        "providers": list(settings.INFERENCE_PROVIDERS),
        "models": {model.name: model.sha256[:12] for model in registry.FILES if model.file.endswith(".onnx")},
    }


class Pool:
    """Detects a stuck pool: all slots busy with the same chunks for a long time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._busy: frozenset[str] = frozenset()
        self._since = time.monotonic()

    def stuck_s(self) -> float:
        """Return for how many seconds all slots have been busy with the same chunks; call it each second."""
        try:
            busy = frozenset(request.id for request in list(state.active_requests))
        except RuntimeError:  # a thread of the pool has just added or removed one
            return time.monotonic() - self._since
        if busy != self._busy or len(busy) < self._slots:
            self._busy, self._since = busy, time.monotonic()
        return time.monotonic() - self._since


class Heartbeat(threading.Thread):
    """Sends the heartbeat of this worker each second."""

    def __init__(self, slots: int, queues: Iterable[str]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._slots = slots
        self._about = about(clock.estimate_s(), queues)
        self._pool = Pool(slots)

    def run(self) -> None:
        while True:
            time.sleep(exchange.HEARTBEAT_S)
            try:
                self.beat()
            except Exception:  # a worker without a heartbeat counts as dead, although it takes chunks
                logger.exception("heartbeat failed")

    def beat(self) -> None:
        try:
            about = {**self._about, "stuck_s": round(self._pool.stuck_s(), 1)}
            exchange.beat(valkey.client(), self._state(), about)
        except redis.RedisError as error:
            logger.warning("heartbeat failed: %s", type(error).__name__)

    def retire(self) -> None:
        """Stop taking work, but keep the heartbeat until the current work is done."""
        last_slots, self._slots = self._slots, 0
        self.beat()  # before `leave`, so that the worker is registered without a gap
        try:
            last = exchange.Worker(worker_id(), last_slots, 0.0)
            exchange.leave(valkey.client(), last)
        except redis.RedisError as error:
            logger.warning("sign-off failed: %s", type(error).__name__)

    def _state(self) -> exchange.Worker:
        return exchange.Worker(worker_id(), self._slots, clock.now_s(valkey.client()))


class _Lifecycle:
    """The Celery worker of this process and its heartbeat, shared by the signal handlers below."""

    worker: Any = None  # celery's stubs declare neither pool_cls nor concurrency
    heartbeat: Heartbeat | None = None


def _is_prefork(worker: Any) -> bool:
    return "prefork" in str(worker.pool_cls)


@signals.worker_init.connect
def warm_up_threads(sender: Any, **_: object) -> None:
    """Warm up the engine of a threads worker; children of a prefork worker must not inherit one."""
    _Lifecycle.worker = sender
    worker_id()
    if not _is_prefork(sender):
        _warm_up()


@signals.worker_process_init.connect
def warm_up_child(**_: object) -> None:
    """Give a child of a prefork worker its own Valkey connection and engine."""
    valkey.client.cache_clear()
    _warm_up()


def _warm_up() -> None:
    shared_engine().warm_up()
    _watchdog.start()


@signals.worker_ready.connect
def start_heartbeat(**_: object) -> None:
    worker = _Lifecycle.worker
    if worker is not None:
        queues = list(worker.app.amqp.queues.consume_from)  # WORKER_QUEUES, or those of --queues
        _Lifecycle.heartbeat = Heartbeat(worker.concurrency, queues)
        # Before the first claim: a claim by an unregistered worker counts as abandoned.
        _Lifecycle.heartbeat.beat()
        _Lifecycle.heartbeat.start()
        extra = {"worker": worker_id(), "slots": worker.concurrency, "queues": queues}
        logger.info("worker ready", extra=extra)


@signals.worker_shutting_down.connect
def retire(**_: object) -> None:
    if _Lifecycle.heartbeat is not None:
        _Lifecycle.heartbeat.retire()


@signals.task_failure.connect(sender=infer)
def abandon_chunk(task_id: str, exception: BaseException, **_: object) -> None:
    """Record the death of a child process, which the heartbeat of its parent does not show."""
    if isinstance(exception, WorkerLostError):
        exchange.abandon(
            valkey.client(), task_id, exchange.Worker(worker_id(), 0, valkey.now_s(valkey.client()))
        )
