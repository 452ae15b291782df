"""A worker that dies is recorded; one that signs off, or returns in time, is not."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from inference.worker import exchange
from inference.worker.exchange import DEAD_AFTER_S, Worker

AT = time.time()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """Yield a separate database of Valkey, since other tests' workers record deaths too."""
    client = redis.Redis.from_url(settings.REDIS_URL, db=7)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


def dead(client: redis.Redis, now_s: float) -> list[tuple[str, float]]:
    return [(one.worker_id, one.seen_at_s) for one in exchange.deaths(client, now_s=now_s)]


def beating(client: redis.Redis, seen_at_s: float = AT, slots: int = 3) -> Worker:
    worker = Worker(f"test:{uuid4().hex[:8]}", slots, seen_at_s)
    exchange.beat(client, worker, {})
    return worker


def test_a_heartbeat_that_stops_is_recorded_once_as_a_death(client: redis.Redis) -> None:
    count = exchange.death_count(client)
    worker = beating(client)
    assert worker.id not in dict(dead(client, AT + DEAD_AFTER_S - 1))
    assert dict(dead(client, AT + DEAD_AFTER_S + 1))[worker.id] == pytest.approx(AT)
    assert worker.id in dict(dead(client, AT + DEAD_AFTER_S + 2))
    assert exchange.death_count(client) == count + 1
    assert worker.id not in dict(dead(client, AT + exchange.DEATHS_KEPT_S + 1))


def test_a_worker_that_signs_off_has_not_died(client: redis.Redis) -> None:
    worker = beating(client)
    exchange.beat(client, Worker(worker.id, 0, AT), {})
    exchange.leave(client, worker)
    assert worker.id not in dict(dead(client, AT + 60))


def test_the_next_worker_of_the_same_id_does_not_hide_a_death(client: redis.Redis) -> None:
    worker = beating(client)
    again = Worker(worker.id, 3, AT + 30)
    exchange.beat(client, again, {})
    assert worker.id in dict(dead(client, AT + 30))
    exchange.leave(client, again)


def test_a_child_that_dies_with_a_chunk_is_recorded(client: redis.Redis) -> None:
    exchange.abandon(client, uuid4().hex, Worker("test:parent", 0, AT))
    assert ("test:parent (child)", AT) in [(name, pytest.approx(at)) for name, at in dead(client, AT)]
