"""Work that is not paid for: a budget for each customer.

A failed call is not charged, however much work it took: for example a batch whose last picture is broken, or
a client that hangs up during inference. So the time that workers, and scans of stored faces, spent on failed
calls is summed for each customer, and a customer above settings.UNPAID_S_PER_MINUTE gets 4291 until the sum
has decreased enough.
"""

import redis
from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import debt

WINDOW_MS = 60_000
MAX_MS = 5 * WINDOW_MS


def _key(customer_pk: int) -> str:
    return f"faceapi:unpaid:{customer_pk}"


def add(valkey: redis.Redis, customer_pk: int, worked_ms: float) -> None:
    """Add the time of inference or of scans that a failed call of this customer took."""
    amount_ms = worked_ms * 60 / settings.UNPAID_S_PER_MINUTE
    debt.add(valkey, _key(customer_pk), amount_ms, max_ms=MAX_MS)


def check(valkey: redis.Redis, customer_pk: int) -> None:
    """Raise ApiError 4291 if the customer is above the budget."""
    if over_s := debt.over_s(valkey, _key(customer_pk), free_ms=WINDOW_MS):
        limit = settings.UNPAID_S_PER_MINUTE
        raise ApiError(
            errors.RATE,
            f"more than {limit:g} s of work per minute for calls that failed or whose client hung up",
            f"失败或中途断开的调用每分钟占用的处理时间超过 {limit:g} 秒",
            retry_after_s=over_s,
        )
