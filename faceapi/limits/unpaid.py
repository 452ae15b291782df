"""Work that nobody paid for: a budget for each customer.

A call that fails costs nothing, whatever it took: a batch whose last picture is broken, a client that hangs
up while its pictures are worked on. So the time that workers spent on failed calls is added up for each
customer, and a customer over settings.UNPAID_S_PER_MINUTE gets 4291 until enough of it is forgotten.

The sum is the time to live of one key of Valkey, which runs down by itself.
"""

import math

import redis
from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError

WINDOW_MS = 60_000
_ADD = """
local left = math.max(0, redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], '', 'PX', math.min(left + tonumber(ARGV[1]), tonumber(ARGV[2])))
"""


def _key(customer_pk: int) -> str:
    return f"faceapi:unpaid:{customer_pk}"


def add(valkey: redis.Redis, customer_pk: int, worked_ms: float) -> None:
    """Workers spent `worked_ms` on a call of this customer that failed."""
    forgotten_after_ms = math.ceil(worked_ms * 60 / settings.UNPAID_S_PER_MINUTE)
    if forgotten_after_ms > 0:
        valkey.eval(_ADD, 1, _key(customer_pk), forgotten_after_ms, 5 * WINDOW_MS)


def check(valkey: redis.Redis, customer_pk: int) -> None:
    """Raise ApiError 4291 for a customer above the budget."""
    over_ms = int(valkey.pttl(_key(customer_pk))) - WINDOW_MS
    if over_ms > 0:
        limit = settings.UNPAID_S_PER_MINUTE
        raise ApiError(
            errors.RATE,
            f"over {limit:g} s of work a minute for calls that failed or whose client hung up",
            f"失败或中途断开的调用每分钟占用的处理时间超过 {limit:g} 秒",
            retry_after_s=math.ceil(over_ms / 1000),
        )
