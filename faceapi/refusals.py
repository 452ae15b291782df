"""Refusals that belong to no App (no AppKey, an unknown one, a wrong method): counted in Valkey, by code.

They are no calls of a customer, so they are in no table; the count is for operators (/metrics).
"""

import contextlib

import redis

from facecloud import valkey

KEY = "faceapi:refused"


def note(code: int) -> None:
    """Counts one. A Valkey that does not answer loses the count, never the reply."""
    with contextlib.suppress(redis.RedisError):
        valkey.client().hincrby(KEY, str(code), 1)


def counts() -> dict[int, int]:
    """How many by code, since Valkey started."""
    return {int(code): int(count) for code, count in valkey.client().hgetall(KEY).items()}
