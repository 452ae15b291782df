"""A region with a separate queue: its Apps' pictures go to the workers of this queue, and to no others."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from pytest_django import Settings

from accounts.models import App, Region
from common import valkey
from embedded.services.managed_process import Process
from embedded.site import worker_process
from faceapi import errors
from faceapi.limits import admission
from faceapi.limits.turns import Lane
from inference.worker import exchange
from inference.worker.exchange import Worker
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.workers import alive, frozen

FAR, FARTHER = "inference.far", "inference.farther"


@pytest.fixture
def region(app: App) -> Region:
    """Return the App's region, which has a separate queue."""
    region, _ = Region.objects.get_or_create(code="far", name="远方1", name_en="Far 1", queue=FAR)
    App.objects.filter(pk=app.pk).update(region=region)
    return region


@pytest.fixture
def far_worker(worker: Process, product_environment: dict[str, str]) -> Iterator[Process]:
    """Yield a real worker for two places, in addition to the one for the common queue."""
    logs = settings.VAR_DIR / "log" / "far"
    process = worker_process({**product_environment, "WORKER_QUEUES": f"{FAR},{FARTHER}"}, logs=logs)
    process.start()
    wait_until(lambda: bool(serving(FAR)), timeout_s=60, what=f"a worker of {FAR} ({process.log})")
    yield process
    process.stop()
    for queue in (FAR, FARTHER):
        valkey.client().zrem(exchange.QUEUES_KEY, queue)  # later tests must not wait for its return


def serving(queue: str) -> list[Worker]:
    client = valkey.client()
    return exchange.serving(client, queue, now_s=valkey.now_s(client))


def ready(caller: Caller) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{caller.address}/readyz", timeout=10) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def worked(process: Process, request_id: str) -> bool:
    return request_id in process.log.read_text(encoding="utf-8")


def test_without_a_worker_of_the_region_only_its_calls_get_5003(
    caller: Caller, other_caller: Caller, app: App, region: Region, worker: Process
) -> None:
    assert not serving(FAR)
    refused = caller.call([inline(encode())])
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, errors.OVERLOADED, "5")
    assert not app.debits.exists()
    assert other_caller.call([inline(encode())]).code == 0  # its region is on the common queue
    assert ready(caller)["regions_without_worker"] == [region.code]


def test_the_pictures_go_to_the_workers_of_the_region(
    caller: Caller, other_caller: Caller, region: Region, worker: Process, far_worker: Process
) -> None:
    wait_until(lambda: not ready(caller)["regions_without_worker"], timeout_s=20, what="a served region")
    far = caller.call([inline(encode())] * 9)
    near = other_caller.call([inline(encode())])
    assert (far.code, near.code) == (0, 0)
    far_id, near_id = far.headers["X-Request-Id"], near.headers["X-Request-Id"]
    for process, request_id in ((far_worker, far_id), (worker, near_id)):  # logged after the answer
        wait_until(
            lambda p=process, r=request_id: worked(p, r), timeout_s=20, what=f"the call in {process.log}"
        )
    assert not worked(worker, far_id)
    assert not worked(far_worker, near_id)


def test_a_silent_place_delays_no_calls_elsewhere(
    caller: Caller, other_caller: Caller, region: Region, far_worker: Process
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with frozen(far_worker):
            waiting = pool.submit(caller.call, [inline(encode())] * 3)
            wait_until(lambda: bool(valkey.client().llen(FAR)), timeout_s=20, what="chunks of the far region")
            assert other_caller.call([inline(encode())]).code == 0
        assert waiting.result().code == 0


def test_a_heartbeat_contains_the_queues_of_the_worker(worker: Process, far_worker: Process) -> None:
    client = valkey.client()
    told = exchange.about(client, [found.id for found in alive()])
    assert sorted(exchange.queues_of(of_it) for of_it in told) == [[exchange.QUEUE], [FAR, FARTHER]]
    assert [found.id for found in serving(FAR)] == [found.id for found in serving(FARTHER)]
    assert {found.id for found in serving(FAR)}.isdisjoint(found.id for found in serving(exchange.QUEUE))


def test_a_call_does_not_wait_for_a_restart_elsewhere(settings: Settings) -> None:
    """A call waits for the return of the workers of its own queue only."""
    client = valkey.client()
    now_s = valkey.now_s(client)
    exchange.beat(client, Worker("far", 0, now_s), {"queues": [FAR]})  # it has signed off
    try:
        assert exchange.seen_at_s(client, FAR) == pytest.approx(now_s)
        assert exchange.seen_at_s(client, "inference.nowhere") == 0.0
        admission._seen.clear()
        assert admission._snapshot(client, FAR).is_back_soon
        assert not admission._snapshot(client, "inference.nowhere").is_back_soon
    finally:
        exchange.leave(client, Worker("far", 0, now_s))
        client.zrem(exchange.QUEUES_KEY, FAR)


def test_each_queue_has_separate_turns() -> None:
    client = valkey.client()
    lanes = [Lane(1, "r", False, FAR), Lane(2, "s", False, FAR), Lane(1, "t", False)]
    try:
        assert lanes[0].take(client, "a", 1)
        assert lanes[0].take(client, "b", 1)
        assert not lanes[1].take(client, "c", 1)  # all turns of this queue are taken
        assert lanes[2].take(client, "d", 1)  # another queue has one
    finally:
        for lane, chunk in zip([lanes[0], lanes[0], lanes[2]], "abd", strict=True):
            lane.give_back(client, [chunk], wants_more=False)
        lanes[1].give_back(client, [], wants_more=False)
