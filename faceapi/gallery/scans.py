"""Limit the concurrent scans of stored faces: each keeps a core of PostgreSQL or of this process busy."""

import contextlib
from collections.abc import Iterator

from accounts.models import App
from common.postgresql.base import release
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits.fair_slots import FairSlots

SLOTS = FairSlots(4)


@contextlib.contextmanager
def scanning(app: App, timeout_s: float) -> Iterator[None]:
    """Hold one of the slots. Raises ApiError 5004 if none becomes free in time.

    A thread that waits holds no database connection: there are fewer of these than threads, and the other
    calls of this process need them.
    """
    release()
    with contextlib.ExitStack() as stack:
        try:
            if timeout_s <= 0:
                raise TimeoutError
            stack.enter_context(SLOTS.take(app.customer_id, timeout_s=timeout_s))
        except TimeoutError:
            raise ApiError(errors.NO_ANSWER) from None
        yield
