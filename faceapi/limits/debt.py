"""Budgets in Valkey that recover by time (leaky bucket): the amount used is the time to live of a key."""

import math

import redis

_ADD = """
local left = math.max(0, redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], '', 'PX', math.min(left + tonumber(ARGV[1]), tonumber(ARGV[2])))
"""


def add(valkey: redis.Redis, key: str, amount_ms: float, *, max_ms: int) -> None:
    """Add to the debt, up to `max_ms`; it decreases by one millisecond per millisecond."""
    if amount_ms > 0:
        valkey.eval(_ADD, 1, key, math.ceil(amount_ms), max_ms)


def over_s(valkey: redis.Redis, key: str, *, free_ms: int) -> int:
    """Return the seconds until the debt is `free_ms` or less, rounded up; 0 if it already is."""
    return max(0, math.ceil((int(valkey.pttl(key)) - free_ms) / 1000))
