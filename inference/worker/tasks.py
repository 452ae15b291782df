"""The inference pool: one task, which carries ids and no pictures, and the life of a worker around it.

A worker loads and runs every model once before it takes work; then it says so in Valkey, each second
(exchange.beat). A worker that stops beating is taken for dead, and its pictures are sent again.
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
from inference.results import AnalyseResult, DetectResult, Template
from inference.worker import exchange
from inference.worker.exchange import Failure, Reply
from inference.worker.hang_watchdog import Watchdog, Work
from inference.worker.shared_lock import SharedExclusiveLock

logger = logging.getLogger(__name__)
_room = SharedExclusiveLock()
_watchdog = Watchdog(settings.PICTURE_MAX_S)


class Operation(NamedTuple):
    """What is done with a chunk: `show` picture after picture, then `answer` for all that they show, whose
    faces go through the networks together.
    """

    show: Callable[[Engine, bytes], Any]
    answer: Callable[[Engine, list[Any]], Iterable[DetectResult | AnalyseResult | Template]]


OPERATIONS = {
    "detect": Operation(Engine.detect, lambda _, results: results),
    "analyse": Operation(Engine.show_faces, Engine.analyse_shown),
    "embed": Operation(Engine.show_face, Engine.embed_shown),
}


def shared_engine() -> Engine:
    """The engine of this process, with the calibration set of the settings."""
    if tables.directory() != settings.CALIBRATION_DIR:
        tables.use(settings.CALIBRATION_DIR)
    return engine(settings.MODELS_DIR, settings.INFERENCE_PROVIDERS)


def worker_id() -> str:
    """The name under which this worker claims chunks and beats; the children of a prefork worker share it."""
    return os.environ.setdefault("FACECLOUD_WORKER_ID", f"{socket.gethostname()}:{os.getpid()}")


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
    """Work on one chunk and push one reply. Idempotent: a chunk whose pictures are gone is left alone.

    A suspect is claimed when nothing else is worked on in this process: if it dies now, that was the one.
    """
    with request_id_in_logs(request_id), _room.enter(alone=is_suspect):
        queue_ms = max(0.0, clock.estimate_s() - sent_at_s) * 1000
        started = time.perf_counter()
        client = valkey.client()
        pictures = exchange.take(client, chunk_id, count, worker_id=worker_id(), ttl_s=ttl_s)
        if pictures is None:
            logger.info("chunk is gone", extra={"chunk": chunk_id})
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
    """The plain results up to the first failure. `pictures` is emptied on the way, to free memory early.

    `begin` is told the position of each picture that is shown, then None: all of them are answered together.
    """
    shown: list[Any] = []
    results: list[dict[str, Any]] = []
    failure = None
    pictures.reverse()
    try:
        while pictures:
            begin(len(shown))
            shown.append(operation.show(engine, pictures.pop()))
    except Exception as error:  # whatever a native decoder raises: the caller must get an answer
        failure = _failure(len(shown), error)
    begin(None)
    try:
        for result in operation.answer(engine, shown):
            results.append(result.to_dict())
    except Exception as error:  # the same of the networks
        failure = _failure(len(results), error)
    return results, failure


def _failure(position: int, error: Exception) -> Failure:
    if isinstance(error, InferenceError):
        return Failure(position, error.code, error.detail)
    # No message: it could quote the picture. The stack names files and lines only.
    stack = traceback.format_list(traceback.extract_tb(error.__traceback__))
    logger.error("inference failed", extra={"error": type(error).__name__, "stack": stack})
    return Failure(position, errors.FAILED, type(error).__name__)


# --- the life of a worker --------------------------------------------------------


def about(started_at_s: float) -> dict[str, Any]:
    """What operators see of this worker: versions, and the models with the start of their SHA-256."""
    return {
        "started_at_s": started_at_s,
        "version": common.__version__,
        "python": platform.python_version(),
        "onnxruntime": session.VERSION,
        "providers": list(settings.INFERENCE_PROVIDERS),
        "models": {model.name: model.sha256[:12] for model in registry.FILES if model.file.endswith(".onnx")},
    }


class Pool:
    """Notices that all slots have held the same chunks for long, whatever it is that they wait for."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._busy: frozenset[str] = frozenset()
        self._since = time.monotonic()

    def stuck_s(self) -> float:
        """Return the seconds for which no slot has been free and none has changed; call it each second."""
        busy = frozenset(request.id for request in list(state.active_requests))
        if busy != self._busy or len(busy) < self._slots:
            self._busy, self._since = busy, time.monotonic()
        return time.monotonic() - self._since


class Heartbeat(threading.Thread):
    """Says each second that this worker is warm and alive."""

    def __init__(self, slots: int) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._slots = slots
        self._about = about(clock.estimate_s())
        self._pool = Pool(slots)

    def run(self) -> None:
        while True:
            time.sleep(exchange.HEARTBEAT_S)
            self.beat()

    def beat(self) -> None:
        try:
            about = {**self._about, "stuck_s": round(self._pool.stuck_s(), 1)}
            exchange.beat(valkey.client(), self._state(), about)
        except redis.RedisError as error:
            logger.warning("no heartbeat: %s", type(error).__name__)

    def retire(self) -> None:
        """Take no more work. What is in hand is finished: until then the worker is alive."""
        last_slots, self._slots = self._slots, 0
        self.beat()  # first: at no moment is it taken for dead
        try:
            last = exchange.Worker(worker_id(), last_slots, 0.0)
            exchange.leave(valkey.client(), last)
        except redis.RedisError as error:
            logger.warning("could not sign off: %s", type(error).__name__)

    def _state(self) -> exchange.Worker:
        return exchange.Worker(worker_id(), self._slots, clock.now_s(valkey.client()))


class _Life:
    worker: Any = None  # celery's stubs know neither its pool nor its concurrency
    heartbeat: Heartbeat | None = None


def _is_prefork(worker: Any) -> bool:
    return "prefork" in str(worker.pool_cls)


@signals.worker_init.connect
def warm_up_threads(sender: Any, **_: object) -> None:
    """A threads worker: one engine, warm before the first task is taken. A fork must not inherit it."""
    _Life.worker = sender
    worker_id()
    if not _is_prefork(sender):
        _warm_up()


@signals.worker_process_init.connect
def warm_up_child(**_: object) -> None:
    """A child of a prefork worker: an engine of its own, and a Valkey connection of its own."""
    valkey.client.cache_clear()
    _warm_up()


def _warm_up() -> None:
    shared_engine().warm_up()
    _watchdog.start()


@signals.worker_ready.connect
def start_heartbeat(**_: object) -> None:
    worker = _Life.worker
    if worker is not None:
        _Life.heartbeat = Heartbeat(worker.concurrency)
        _Life.heartbeat.beat()  # before the first claim, which would be a dead worker's
        _Life.heartbeat.start()
        logger.info("worker is ready", extra={"worker": worker_id(), "slots": worker.concurrency})


@signals.worker_shutting_down.connect
def retire(**_: object) -> None:
    if _Life.heartbeat is not None:
        _Life.heartbeat.retire()


@signals.task_failure.connect(sender=infer)
def disown_chunk(task_id: str, exception: BaseException, **_: object) -> None:
    """A prefork worker outlives its children, so it has to say that one died with a chunk."""
    if isinstance(exception, WorkerLostError):
        exchange.disown(
            valkey.client(), task_id, exchange.Worker(worker_id(), 0, valkey.now_s(valkey.client()))
        )
