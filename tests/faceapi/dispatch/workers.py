"""Helpers for workers: the live ones, and their keys in Valkey."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from common import valkey
from embedded.services.managed_process import Process
from faceapi.limits import admission
from inference.worker import exchange
from inference.worker.exchange import Failure, Reply
from tests.conftest import wait_until
from tests.faceapi.conftest import Answer, Caller, encode, inline


def alive() -> list[exchange.Worker]:
    return exchange.workers(valkey.client(), now_s=time.time())


@contextmanager
def frozen(worker: Process) -> Iterator[None]:
    """Suspend the worker, as in a long pause of its machine."""
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)
        wait_until(lambda: bool(alive()), timeout_s=20, what="the worker's heartbeat")
        time.sleep(admission.LOOK_EVERY_S)  # until the site has replaced its last snapshot


@contextmanager
def silent(worker: Process) -> Iterator[None]:
    """Suspend the worker, and wait until the site has noticed."""
    with frozen(worker):
        wait_until(lambda: not alive(), timeout_s=10, what="the heartbeat is over")
        time.sleep(admission.LOOK_EVERY_S)
        yield


def chunks(request_id: str = "*") -> list[str]:
    """Return the ids of the chunks whose pictures are in Valkey, in order."""
    keys = valkey.client().scan_iter(f"inference:image:{request_id}.*:0")
    return sorted(key.decode().removeprefix("inference:image:").removesuffix(":0") for key in keys)


def claims() -> list[bytes]:
    """Return the claims of chunks that a worker is processing."""
    return list(valkey.client().scan_iter("inference:claim:*"))


@contextmanager
def counted_alive(played: str) -> Iterator[None]:
    """Keep sending heartbeats for the live workers, even frozen ones, and for one simulated by the test.

    The simulated worker has no slots.
    """
    client, played = valkey.client(), f"{played} 0"
    members = [*(f"{one.id} {one.slots}" for one in alive()), played]
    client.zadd(exchange.WORKERS_KEY, dict.fromkeys(members, time.time() + 600))
    try:
        yield
    finally:
        client.zrem(exchange.WORKERS_KEY, played)
        client.zadd(exchange.WORKERS_KEY, dict.fromkeys(members[:-1], time.time()), xx=True)


def left_behind(request_id: str = "") -> list[bytes]:
    """Return the keys of the pictures, claims and replies of one request, or of all."""
    patterns = (f"inference:{kind}:{request_id}*" for kind in ("image", "claim", "reply"))
    return [key for pattern in patterns for key in valkey.client().scan_iter(pattern)]


def in_its_place(worker: Process, caller: Caller, failure: int) -> Answer:
    """Process the chunks in place of the frozen worker, and report a failure of the second picture."""
    client = valkey.client()
    with frozen(worker), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.call, [inline(encode())] * 2)
        wait_until(lambda: len(chunks()) == 2, timeout_s=10, what="a chunk for each picture")
        for chunk_id in chunks():
            request_id, number, _ = chunk_id.split(".")
            assert exchange.claim(client, chunk_id, 1, worker_id="test", ttl_s=10)
            result = {"faces": [], "quality": {"score": 0.0, "reasons": ["no_face"]}}
            reply = Reply(chunk_id, [result], None, 0.0, 1.0)
            if number == "1":
                reply = Reply(chunk_id, [], Failure(0, failure, "broken"), 0.0, 1.0)
            exchange.answer(client, request_id, reply, count=1, ttl_s=10)
        return waiting.result()
