"""A restart of the workers or of a web process makes calls slow; none fails."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.conf import settings
from pytest_django import Settings

from accounts.models import App
from embedded.services.managed_process import Process
from faceapi.errors import ApiError
from faceapi.limits import admission
from inference.worker import exchange
from inference.worker.exchange import Worker
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline, running_site
from tests.faceapi.dispatch.workers import frozen


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Yield a database of Valkey without the workers of the other tests."""
    monkeypatch.setattr(admission, "_seen", {})
    client = redis.Redis.from_url(settings.REDIS_URL, db=5)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


def now_s(valkey: redis.Redis) -> float:
    seconds, microseconds = valkey.time()
    return float(seconds) + microseconds / 1e6


def test_a_call_waits_for_a_restarting_worker(valkey: redis.Redis) -> None:
    exchange.beat(valkey, Worker("old", 0, now_s(valkey)), {})  # it has signed off
    with ThreadPoolExecutor() as pool:
        call = pool.submit(admission.slots, valkey)
        time.sleep(3 * admission.LOOK_EVERY_S)
        assert not call.done()
        exchange.beat(valkey, Worker("new", 3, now_s(valkey)), {})
        assert call.result(timeout=20) == 3


def test_a_large_body_is_read_while_a_worker_restarts(valkey: redis.Redis, app: App) -> None:
    """Its sender is not verified yet, so admission does not wait."""
    exchange.beat(valkey, Worker("old", 0, now_s(valkey)), {})
    admission.check_room(valkey, app)


@pytest.mark.parametrize("last_seen_ago_s", [None, 60.0])
def test_a_call_is_refused_at_once_if_no_worker_was_there_for_long(
    valkey: redis.Redis, last_seen_ago_s: float | None
) -> None:
    if last_seen_ago_s is not None:
        valkey.zadd(exchange.WORKERS_KEY, {"old 3": now_s(valkey) - last_seen_ago_s})
    with pytest.raises(ApiError, match="no worker is ready"):
        admission.slots(valkey)


def test_the_wait_ends_if_the_only_worker_is_draining(valkey: redis.Redis, settings: Settings) -> None:
    settings.WORKER_RETURN_S = 1.0
    exchange.beat(valkey, Worker("old", 0, now_s(valkey) + 3600), {})  # as if it continued to send heartbeats
    with pytest.raises(ApiError, match="no worker is ready"):
        admission.slots(valkey)


def test_a_stopping_web_process_finishes_its_calls_and_accepts_no_more(
    caller: Caller, app: App, worker: Process, product_environment: dict[str, str]
) -> None:
    """Connections accepted by the kernel would wait until its last call ends, and then be reset."""
    with (
        running_site({**product_environment, "WEB_WORKERS": "2"}, "ending") as web,
        ThreadPoolExecutor() as pool,
    ):
        own = Caller(web.address, caller.key, caller.secret)
        with frozen(worker):
            call = pool.submit(own.call, [inline(encode())])
            wait_until(lambda: app.debits.filter(state="held").exists(), timeout_s=20, what="a call inside")
            ending = pool.submit(web.stop, 60)
            wait_until(lambda: refuses(web.address), timeout_s=20, what="a refused connection")
            assert web.is_running()
        assert call.result(timeout=60).code == 0
        ending.result(timeout=60)
        own.close()


def refuses(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
