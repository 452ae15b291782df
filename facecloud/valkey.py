"""The one client of Valkey (or Redis) that a process shares. Values are bytes."""

from functools import lru_cache

import redis
from django.conf import settings


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """A thread-safe client on settings.REDIS_URL with a pool of its own."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5, health_check_interval=30)
