"""A supervised worker ends: it is killed by a picture, hangs, or is stopped."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.books import reconcile
from billing.models import Api
from common import valkey
from embedded.paths import REPOSITORY
from embedded.services.managed_process import Process
from embedded.site import worker_environment
from embedded.supervisor import LOOK_EVERY_S, Supervisor
from inference.worker import exchange
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.hostile_engine import HANGS, KILLS, TAKES_2_S
from tests.faceapi.dispatch.workers import alive, claims, left_behind

PICTURE_MAX_S = 4  # a picture that takes longer counts as a hang


class Supervised:
    """A worker with the hostile engine, as bin/start keeps it alive."""

    def __init__(self, environment: dict[str, str], pool: str) -> None:
        self.pool = pool
        logs = settings.VAR_DIR / "log" / "supervised"
        logs.mkdir(parents=True, exist_ok=True)
        options = [
            "--without-gossip",
            "--without-mingle",
            "--include",
            "tests.faceapi.dispatch.hostile_engine",
        ]
        self.process = Process(
            "worker",
            [sys.executable, "-m", "celery", "--app", "inference", "worker", *options],
            log=logs / "worker.log",
            cwd=REPOSITORY,
            env={**worker_environment(environment), "OMP_NUM_THREADS": "1"},
        )
        self.said: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._supervise)

    @contextmanager
    def running(self) -> Iterator["Supervised"]:
        self._thread.start()
        try:
            wait_until(lambda: bool(alive()), timeout_s=60, what="a supervised worker")
            yield self
        finally:
            self._ended.set()
            self._thread.join()

    def _supervise(self) -> None:
        supervisor = Supervisor(self.said.append)
        supervisor.start(self.process)
        while not self._ended.wait(LOOK_EVERY_S):
            supervisor.look(time.monotonic())
        supervisor.stop()

    @property
    def deaths(self) -> int:
        return sum("worker ended" in line for line in self.said)


@pytest.fixture(scope="module", params=["threads", "prefork"])
def supervised(
    worker: Process, product_environment: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Supervised]:
    """Yield a worker in place of the session's one, which is restarted afterwards."""
    worker.stop()
    wait_until(lambda: not alive(), timeout_s=10, what="the end of the worker")
    environment = product_environment | {
        "WORKER_POOL": request.param,
        "WORKER_CONCURRENCY": "3",
        "PICTURE_MAX_S": str(PICTURE_MAX_S),
    }
    with Supervised(environment, request.param).running() as started:
        yield started
    worker.start()
    wait_until(lambda: bool(alive()), timeout_s=60, what="the session's worker")


def is_served(caller: Caller) -> bool:
    return caller.call([inline(encode())]).code == 0


def test_5001_names_a_picture_that_kills_and_concurrent_calls_are_served(
    supervised: Supervised, caller: Caller, other_caller: Caller, app: App
) -> None:
    innocent, slow, deadly = (inline(encode() + end) for end in (b"", TAKES_2_S, KILLS))
    beside = [slow, *[innocent] * 5, slow, *[innocent] * 5]
    died_before = supervised.deaths
    with ThreadPoolExecutor(2) as pool:
        started = time.monotonic()
        waiting = pool.submit(other_caller.call, beside)
        wait_until(lambda: len(claims()) >= 2, timeout_s=10, what="work")
        guilty = caller.call([*[innocent] * 6, deadly, *[innocent] * 3])
        served = waiting.result()
        took_s = time.monotonic() - started
    assert (guilty.code, guilty.status, guilty.json["index"]) == (5001, 500, 6)
    assert (served.code, len(served.json["result"])) == (0, len(beside))
    if supervised.pool == "threads":  # all chunks of the process are lost with it
        assert supervised.deaths - died_before == 2
        assert took_s > exchange.DEAD_AFTER_S
    else:
        assert supervised.deaths == 0
    assert app.debits.get().state == "returned"
    assert guilty.headers["X-Billed-Units"] == "0"
    assert quota.remaining(app, Api.FACE_DETECT, timezone.now()) == 1000
    assert [proof.breaks for proof in reconcile.run(timezone.now()) if proof.breaks] == []
    wait_until(lambda: is_served(caller), timeout_s=30, what="the worker's return")
    assert left_behind() == []


def test_a_batch_of_killing_pictures_ends_only_two_workers(supervised: Supervised, caller: Caller) -> None:
    died_before = supervised.deaths
    answer = caller.call([inline(encode() + KILLS)] * 20)
    assert (answer.code, answer.json["index"]) == (5001, 0)
    wait_until(lambda: is_served(caller), timeout_s=30, what="the worker's return")
    assert supervised.deaths - died_before == (2 if supervised.pool == "threads" else 0)
    assert left_behind() == []


def test_5001_names_a_picture_that_hangs_and_concurrent_calls_are_served(
    supervised: Supervised, caller: Caller, other_caller: Caller, app: App
) -> None:
    innocent, slow, hanging = (inline(encode() + end) for end in (b"", TAKES_2_S, HANGS))
    beside = [*[slow] * 3, *[innocent] * 9]  # enough work until the worker ends
    died_before = supervised.deaths
    with ThreadPoolExecutor(2) as pool:
        started = time.monotonic()
        waiting = pool.submit(other_caller.call, beside)
        wait_until(lambda: bool(claims()), timeout_s=10, what="work")
        guilty = caller.call([*[innocent] * 6, hanging, *[innocent] * 3])
        took_s = time.monotonic() - started
        served = waiting.result()
    assert (guilty.code, guilty.status, guilty.json["index"]) == (5001, 500, 6)
    assert (
        PICTURE_MAX_S < took_s < PICTURE_MAX_S + exchange.DEAD_AFTER_S
    )  # reported at once, and not detected by a missing heartbeat
    assert (served.code, len(served.json["result"])) == (0, len(beside))
    assert guilty.headers["X-Billed-Units"] == "0"
    assert quota.remaining(app, Api.FACE_DETECT, timezone.now()) == 1000
    deaths = 1 if supervised.pool == "threads" else 0
    wait_until(lambda: supervised.deaths - died_before >= deaths, timeout_s=20, what="the supervisor's look")
    assert supervised.deaths - died_before == deaths
    wait_until(lambda: is_served(caller), timeout_s=30, what="the worker's return")
    assert left_behind() == []


def test_a_worker_that_is_stopped_finishes_its_chunks(supervised: Supervised, caller: Caller) -> None:
    wait_until(lambda: is_served(caller), timeout_s=30, what="a worker")
    wait_until(lambda: len(alive()) == 1, timeout_s=60, what="the end of other tests' workers")
    (before,) = alive()
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(caller.call, [inline(encode() + TAKES_2_S)])
        wait_until(lambda: bool(claims()), timeout_s=10, what="work")
        os.kill(supervised.process.pid, signal.SIGTERM)
        wait_until(lambda: before.id not in {found.id for found in alive()}, timeout_s=5, what="its farewell")
        client, now_s = valkey.client(), time.time()
        assert before.id in {found.id for found in exchange.beating(client, now_s=now_s)}
        assert waiting.result().code == 0
        assert time.monotonic() - started < exchange.DEAD_AFTER_S  # sent again, it would take longer
    wait_until(lambda: is_served(caller), timeout_s=30, what="the next worker")
