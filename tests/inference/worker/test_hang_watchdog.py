"""If inference hangs on a picture, its call is informed, and the process ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from common import valkey
from inference import errors
from inference.worker import exchange
from inference.worker.hang_watchdog import LOOK_EVERY_S

LIMIT_S = 3.0
# Hangs like a native decoder: the thread never returns. Each chunk: name, pictures, current picture.
WORKER = f"""
import threading, time, django
django.setup()
from inference.worker.hang_watchdog import Watchdog, Work

watchdog = Watchdog({LIMIT_S})
watchdog.start()

def work(name, count, position, takes_s):
    with watchdog.watch(Work(name, "chunk-of-" + name, count, 60)) as begin:
        begin(position)
        time.sleep(takes_s)

def hang(*chunk):
    threading.Thread(target=work, args=(*chunk, 3600), daemon=True).start()
"""
STUCK = """
hang("hung", 4, 2)
hang("hung-beside", 4, 0)
hang("hung-batch", 4, None)
hang("hung-single", 1, None)
work("slow", 1, 0, 2.3)
hang("late", 4, 1)
print("works", flush=True)
time.sleep(30)
"""
BUSY = """
print("works", flush=True)
while True:
    with watchdog.watch(Work("busy", "busy", 20, 60)) as begin:
        for position in range(20):
            begin(position)
            time.sleep(0.5)
"""
PAUSED = f"""
with watchdog.watch(Work("paused", "paused", 20, 60)) as begin:
    begin(0)
    print("works", flush=True)
    time.sleep({LIMIT_S} + 2)
time.sleep(30)
"""


@contextmanager
def running(does: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER + does], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "works\n"
            yield process
        finally:
            process.kill()


def answer_of(request_id: str) -> exchange.Reply | None:
    return exchange.wait(valkey.client(), request_id, timeout_s=0.01)


@pytest.fixture
def claimed_chunks() -> Iterator[None]:
    """Yield the chunks of STUCK, each claimed by a worker."""
    client = valkey.client()
    counts = {"hung": 4, "hung-beside": 4, "hung-batch": 4, "hung-single": 1, "late": 4}
    chunks = [exchange.Chunk(name, f"chunk-of-{name}", 0, count) for name, count in counts.items()]
    for chunk in chunks:
        exchange.store(client, chunk, [b"picture"] * chunk.count, ttl_s=60)
        assert exchange.claim(client, chunk.id, chunk.count, worker_id="test", ttl_s=60)
    yield
    for chunk in chunks:
        exchange.remove(client, chunk.request_id, [chunk])


@pytest.mark.usefixtures("claimed_chunks")
def test_a_hanging_picture_is_named_and_the_process_ends() -> None:
    with running(STUCK) as process:
        _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    for name, position in (("hung", 2), ("hung-beside", 0), ("hung-single", 0)):
        answer = answer_of(name)
        assert answer is not None
        assert answer.failure is not None
        assert (answer.failure.position, answer.failure.code) == (position, errors.INTERNAL)
        assert f'"chunk": "chunk-of-{name}"' in said
    assert answer_of("hung-batch") is None  # it is unknown which of its pictures hangs
    assert answer_of("late") is None  # it has not hung for long
    assert answer_of("slow") is None


def test_many_pictures_do_not_count_as_a_hang() -> None:
    with running(BUSY) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(LIMIT_S + 3 * LOOK_EVERY_S)


def test_a_paused_process_does_not_count_as_a_hang() -> None:
    with running(PAUSED) as process:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(LIMIT_S + 1)
        os.kill(process.pid, signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4 * LOOK_EVERY_S)


def test_the_call_deadline_is_longer_than_the_picture_deadline() -> None:
    """Otherwise the call would get 5004 before the hanging picture is identified."""
    assert settings.PICTURE_MAX_S + 2 * LOOK_EVERY_S < settings.DEADLINE_S
