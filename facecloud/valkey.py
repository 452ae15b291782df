"""The one client of Valkey (or Redis) that a process shares. Values are bytes."""

from functools import lru_cache

import redis
from django.conf import settings


def now_s(client: redis.Redis) -> float:
    """Return the time of Valkey's clock (Unix seconds), the one that everything in Valkey goes by."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1_000_000


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """A thread-safe client on settings.REDIS_URL with a pool of its own."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5, health_check_interval=30)
