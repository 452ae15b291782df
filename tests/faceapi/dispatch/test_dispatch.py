"""A worker dies or stalls in the middle of a call; a batch leaves a slot for other calls."""

import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.books import reconcile
from common import valkey
from embedded.services.managed_process import Process
from embedded.site import worker_process
from faceapi import dispatch, errors
from faceapi.errors import ApiError
from faceapi.limits import work
from faceapi.limits.turns import Lane
from faceapi.request.spool import Budget, Spool, SpoolSlice
from inference.worker import exchange
from inference.worker.exchange import Failure, Reply
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.workers import alive, chunks, claims, counted_alive, frozen, left_behind


@pytest.fixture
def victim(worker: Process, product_environment: dict[str, str]) -> Iterator[Process]:
    """Yield a second worker, to be killed."""
    logs = settings.VAR_DIR / "log" / "victim"
    logs.mkdir(parents=True, exist_ok=True)
    before = {found.id for found in alive()}
    process = worker_process(product_environment, logs=logs)
    process.start()
    wait_until(
        lambda: len({found.id for found in alive()} - before) == 1, timeout_s=60, what="a second worker"
    )
    yield process
    process.stop()


def test_a_killed_worker_only_delays_the_call(
    caller: Caller, app: App, worker: Process, victim: Process
) -> None:
    victim_id = next(found.id for found in alive() if str(victim.pid) in found.id)
    client = valkey.client()

    def is_at_work() -> bool:
        return victim_id.encode() in client.mget(["-", *claims()])

    def is_stopped_at_work() -> bool:
        """Return whether the worker is suspended while it holds a chunk."""
        if is_at_work():
            os.kill(victim.pid, signal.SIGSTOP)
            if is_at_work():
                return True
            os.kill(victim.pid, signal.SIGCONT)
        return False

    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(caller.call, [inline(encode((1000, 1000)))] * 12)
        wait_until(is_stopped_at_work, timeout_s=30, what="a chunk in its hands")
        os.kill(victim.pid, signal.SIGKILL)
        answer = waiting.result()
    assert answer.code == 0
    assert len(answer.json["result"]) == 12
    assert time.monotonic() - started < 40
    assert app.debits.get().state in quota.SETTLING_OR_SETTLED
    assert [proof.breaks for proof in reconcile.run(timezone.now()) if proof.breaks] == []
    assert left_behind() == []


def test_5004_if_no_worker_answers_and_nothing_remains(worker: Process) -> None:
    picture = encode()
    with frozen(worker), Spool(Budget(10**8, 10**8)) as spool:
        spool.write(picture)
        started = time.monotonic()
        with pytest.raises(ApiError) as caught:
            dispatch.infer(
                request_id="nobody",
                operation="detect",
                customer_pk=1,
                spans=[SpoolSlice(0, len(picture))],
                spool=spool,
                deadline=started + 2,
            )
        assert 1.9 < time.monotonic() - started < 20
    assert caught.value.code == errors.NO_ANSWER
    assert left_behind("nobody") == []


def test_a_failure_known_at_the_deadline_is_returned(worker: Process) -> None:
    picture = encode()
    with frozen(worker), Spool(Budget(10**8, 10**8)) as spool, ThreadPoolExecutor(1) as pool:
        spool.write(picture)
        waiting = pool.submit(
            dispatch.infer,
            request_id="late",
            operation="detect",
            customer_pk=1,
            spans=[SpoolSlice(0, len(picture))] * 2,
            spool=spool,
            deadline=time.monotonic() + 4,
        )
        wait_until(lambda: len(chunks("late")) == 2, timeout_s=4, what="a chunk for each picture")
        second, failure = chunks("late")[1], Failure(0, errors.UNDECODABLE, "broken")
        assert exchange.claim(valkey.client(), second, 1, worker_id="test", ttl_s=5)
        exchange.answer(valkey.client(), "late", Reply(second, [], failure, 0.0, 0.0), count=1, ttl_s=5)
        with pytest.raises(ApiError) as caught:
            waiting.result()
    assert (caught.value.code, caught.value.index) == (errors.UNDECODABLE, 1)
    assert left_behind("late") == []


def test_results_after_the_end_of_a_call_are_discarded(worker: Process) -> None:
    """The call's deadline passes while a worker processes its picture."""
    client, picture = valkey.client(), encode()
    with frozen(worker), Spool(Budget(10**8, 10**8)) as spool, ThreadPoolExecutor(1) as pool:
        spool.write(picture)
        waiting = pool.submit(
            dispatch.infer,
            request_id="over",
            operation="embed",
            customer_pk=1,
            spans=[SpoolSlice(0, len(picture))],
            spool=spool,
            deadline=time.monotonic() + 4,
        )
        wait_until(lambda: len(chunks("over")) == 1, timeout_s=4, what="the chunk")
        (chunk_id,) = chunks("over")
        assert exchange.claim(client, chunk_id, 1, worker_id="test", ttl_s=5)
        with pytest.raises(ApiError) as caught:
            waiting.result()
        reply = Reply(chunk_id, [{"embedding": [0.0]}], None, 0.0, 0.0)
        exchange.answer(client, "over", reply, count=1, ttl_s=5)
    assert caught.value.code == errors.NO_ANSWER
    assert left_behind("over") == []


def test_a_chunk_that_is_sent_again_is_not_processed_twice(worker: Process) -> None:
    """The worker has taken the task and not begun; its slots may be busy for long."""
    client, request_id, picture = valkey.client(), uuid.uuid4().hex, encode()
    with (
        frozen(worker),
        counted_alive("test"),
        Spool(Budget(10**8, 10**8)) as spool,
        ThreadPoolExecutor(1) as pool,
    ):
        spool.write(picture)
        waiting = pool.submit(
            dispatch.infer,
            request_id=request_id,
            operation="detect",
            customer_pk=1,
            spans=[SpoolSlice(0, len(picture))],
            spool=spool,
            deadline=time.monotonic() + 60,
        )
        wait_until(lambda: bool(chunks(request_id)), timeout_s=20, what="the chunk")
        (late,) = chunks(request_id)
        client.delete(exchange.QUEUE)  # what the worker has not taken yet
        wait_until(lambda: chunks(request_id) not in ([], [late]), timeout_s=30, what="the next attempt")
        (again,) = chunks(request_id)
        assert exchange.claim(client, late, 1, worker_id="test", ttl_s=10) is None
        assert exchange.claim(client, again, 1, worker_id="test", ttl_s=10)
        exchange.answer(client, request_id, Reply(again, [{}], None, 0.0, 1.0), count=1, ttl_s=10)
        assert waiting.result().results == [{}]
    assert left_behind(request_id) == []


def test_5003_if_valkey_is_full_and_nothing_remains(worker: Process) -> None:
    """The first pictures of a chunk fit, the others do not."""
    client, size = valkey.client(), 2 * 1024 * 1024
    limit_before = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", client.info("memory")["used_memory"] + size)
    try:
        with Spool(Budget(10**8, 10**8)) as spool:
            spool.write(bytes(size))
            with pytest.raises(ApiError) as caught:
                dispatch.infer(
                    request_id="full",
                    operation="detect",
                    customer_pk=1,
                    spans=[SpoolSlice(0, size)] * 8,
                    spool=spool,
                    deadline=time.monotonic() + 5,
                )
    finally:
        client.config_set("maxmemory", limit_before)
    assert caught.value.code == errors.OVERLOADED
    assert left_behind("full") == []


def test_the_deadline_grows_with_the_number_of_images(caller: Caller, worker: Process) -> None:
    """DEADLINE_S is 6 here, and 2 more for each image."""

    def ends_after(images: int) -> float:
        started = time.monotonic()
        assert caller.call([inline(encode())] * images).code == errors.NO_ANSWER
        return time.monotonic() - started

    with frozen(worker), ThreadPoolExecutor(2) as pool:
        one, three = pool.map(ends_after, (1, 3))
    assert one >= 8
    assert three >= 12
    assert three - one > 2  # a busy machine delays both equally


def sizes(spans: list[SpoolSlice], most_images: int) -> list[tuple[int, int]]:
    """Return the first picture and the size of each chunk, for a customer whose pictures are known."""
    work.experience.learn(1, "detect", estimated_ms=1.0, took_ms=1.0)
    with Spool(Budget(10**8, 10**8)) as spool:
        run = dispatch.Run("r", "detect", spans, spool, 0.0, Lane(1, "r", False), [0.0] * len(spans))
        run.most_images = most_images
        found = []
        while run.has_more:
            chunk = run.next_chunk()
            found.append((chunk.first, chunk.count))
            run.start(chunk)
    return found


def test_a_chunk_is_cut_by_count_and_by_bytes() -> None:
    small = [SpoolSlice(i, 1000) for i in range(10)]
    assert sizes(small, 4) == [(0, 4), (4, 4), (8, 2)]
    assert sizes(small[:2], 1) == [(0, 1), (1, 1)]
    assert sizes([SpoolSlice(0, 9 * 1024 * 1024)] * 3, 4) == [(0, 1), (1, 1), (2, 1)]


def test_a_batch_leaves_a_slot_for_a_single_picture(caller: Caller, other_caller: Caller) -> None:
    """A picture behind a batch waits for its own work, not for the batch's."""
    single, batch = [inline(encode())], [inline(encode((800, 800)))] * 100

    def timed() -> float:
        started = time.monotonic()
        assert other_caller.call(single).code == 0
        return time.monotonic() - started

    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        running = pool.submit(caller.call, batch)
        wait_until(lambda: bool(claims()), timeout_s=20, what="work")
        beside = []
        while not running.done():
            beside.append(timed())
            assert valkey.client().llen(exchange.QUEUE) <= 2  # a batch does not fill the queue
        assert running.result().code == 0
    assert statistics.median(beside) < (time.monotonic() - started) / 3


def test_the_web_process_loads_no_model() -> None:
    """Importing the site must not load OpenCV or onnxruntime. The gallery needs numpy, so that is allowed."""
    code = (
        "import facecloud.wsgi, sys, django.urls; django.urls.get_resolver().url_patterns; "
        "print([name for name in ('cv2', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
