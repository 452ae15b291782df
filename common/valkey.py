"""The Valkey (or Redis) client that a process shares. Values are bytes."""

from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.connection import SSLConnection
from redis.sentinel import Sentinel, SentinelManagedConnection

from common import valkey_address

HEALTH_CHECK_S = 30


class SentinelConnection(SentinelManagedConnection):
    """A connection to Sentinel's master that is closed if a reply does not arrive in time.

    redis-py keeps its own Sentinel connections open after a timeout, unlike other connections, so that the
    next command would read the late reply to the previous one.
    """

    def read_response(
        self, disable_decoding: bool = False, *, disconnect_on_error: bool | None = True, **options: Any
    ) -> Any:
        return super().read_response(disable_decoding, disconnect_on_error=disconnect_on_error, **options)


class SentinelTlsConnection(SentinelConnection, SSLConnection):
    """A SentinelConnection with TLS."""


def now_s(client: redis.Redis) -> float:
    """Return the time of Valkey's clock (Unix seconds), the reference for all times in Valkey."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1_000_000


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """Return a thread-safe client for settings.REDIS_URL, with its own connection pool.

    Every wait is bounded.
    """
    address = valkey_address.parse(settings.REDIS_URL)
    common: dict[str, Any] = {
        "socket_timeout": settings.VALKEY_TIMEOUT_S,
        "socket_connect_timeout": settings.VALKEY_TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_S,
        "retry": valkey_address.RETRY,
        **address.login(),
    }
    if address.scheme == "unix":
        return redis.Redis(unix_socket_path=address.path, **common)
    tls = {"ssl": True, **address.tls()} if address.has_tls else {}
    common |= {"socket_keepalive": True, **tls}
    if address.is_sentinel:
        common.pop("ssl", None)  # replaced by the class of the connection
        sentinel = Sentinel(address.hosts, sentinel_kwargs=address.sentinel_options(), **common)
        found: redis.Redis = sentinel.master_for(
            address.service, connection_class=SentinelTlsConnection if tls else SentinelConnection
        )
        return found
    ((host, port),) = address.hosts
    return redis.Redis(host=host, port=port, **common)
