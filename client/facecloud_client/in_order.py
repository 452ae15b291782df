"""Concurrent requests whose results are delivered in order, until later ones would be rejected too."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from facecloud_client.errors import ApiError, AuthenticationError, FaceCloudError, QuotaError
from facecloud_client.request.retry import RETRIED_STATUSES

MAX_REJECTED_IN_A_ROW = 3  # requests, after which the service is considered to be down
# Missing group, full gallery, no consent, other model: the next picture of the same group is rejected too.
FINAL_CODES = (4301, 4303, 4306, 4307)
T = TypeVar("T")
R = TypeVar("R")


def in_order(
    send: Callable[[T], R],
    parts: Iterable[T],
    refusal: Callable[[R], FaceCloudError | None],
    *,
    jobs: int,
) -> Iterator[R]:
    """Yield `send(part)` for each part in order, with `jobs` concurrent requests and few results ahead.

    `refusal` returns the error if a request was rejected as a whole. If the run ends early, the last result
    has that error, and parts that were not sent appear in none.
    """
    left = iter(parts)
    pool = ThreadPoolExecutor(jobs)
    ahead: deque[Future[R]] = deque()
    rejected_in_a_row, ended_by = 0, None
    try:
        while True:
            while len(ahead) < 2 * jobs and (part := next(left, None)) is not None:
                ahead.append(pool.submit(send, part))
            if not ahead:
                break
            done = ahead.popleft().result()
            error = refusal(done)
            rejected_in_a_row = rejected_in_a_row + 1 if error else 0
            if is_final(error) or rejected_in_a_row == MAX_REJECTED_IN_A_ROW:
                ended_by = done
                break
            yield done
        # Requests in progress may succeed and be charged, so their results are delivered too.
        for pending in [future for future in ahead if not future.cancel()]:
            if not refusal(done := pending.result()):
                yield done
        if ended_by is not None:
            yield ended_by
    finally:
        # After Ctrl-C, do not wait for the requests in progress.
        pool.shutdown(wait=False, cancel_futures=True)


def is_final(error: FaceCloudError | None) -> bool:
    """Return whether all later requests would be rejected too: for the keys, the quota or the group."""
    if isinstance(error, QuotaError):
        return error.http_status not in RETRIED_STATUSES
    if isinstance(error, AuthenticationError):
        return True
    return isinstance(error, ApiError) and error.code in FINAL_CODES
