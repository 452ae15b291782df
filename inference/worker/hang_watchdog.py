"""End a worker that hangs: a native decoder that never returns can only be stopped by ending its process.

The call gets a failure for the picture that hangs, and the process exits at once, to be restarted by its
supervisor. Other chunks in the process are lost, as with any worker that dies
(docs/decisions/0101-replies-and-redispatch.md).
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import redis

from common import valkey
from common.logs import request_id_in_logs
from inference import errors
from inference.worker import exchange
from inference.worker.exchange import Failure, Reply

LOOK_EVERY_S = 0.5
# Unfinished pictures that were started at most this long after a hanging one are considered hanging too.
TOGETHER_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Work:
    """A chunk that the thread which creates this object is processing."""

    request_id: str
    chunk_id: str
    count: int
    ttl_s: int
    position: int | None = None  # the current picture; None if several are processed at once
    began_at_s: float = 0.0
    thread_id: int = field(default_factory=threading.get_ident)


class Watchdog(threading.Thread):
    """Watches the chunks of its process.

    It uses its own clock, which stops while the process is suspended, so that a suspended process is not
    considered hanging.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._limit_s = limit_s
        self._clock_s = 0.0
        self._works: set[Work] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, work: Work) -> Iterator[Callable[[int | None], None]]:
        """Watch `work` in the `with` block, which receives a function to mark progress.

        Call it with the position of each picture when work on it starts, or with None for the whole chunk;
        each may take `limit_s`.
        """
        begin = partial(self._begin, work)
        begin(None)
        with self._lock:
            self._works.add(work)
        try:
            yield begin
        finally:
            with self._lock:
                self._works.discard(work)

    def _begin(self, work: Work, position: int | None) -> None:
        work.position = 0 if work.count == 1 else position
        work.began_at_s = self._clock_s

    def run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            self._clock_s += LOOK_EVERY_S
            with self._lock:  # held until the process ends, so that a hanging chunk gets no second reply
                if hung := self._hung():
                    end_process(hung)

    def _hung(self) -> list[Work]:
        oldest_s = min((work.began_at_s for work in self._works), default=self._clock_s)
        if self._clock_s - oldest_s <= self._limit_s:
            return []
        return [work for work in self._works if work.began_at_s <= oldest_s + TOGETHER_S]


def end_process(hung: list[Work]) -> None:
    """Send a failure for each hanging picture, if its position is known, and exit."""
    for work in hung:
        with request_id_in_logs(work.request_id):
            stack = traceback.format_list(traceback.extract_stack(sys._current_frames()[work.thread_id]))
            extra = {"chunk": work.chunk_id, "position": work.position, "stack": stack[-8:]}
            logger.error("picture timed out, ending this worker", extra=extra)
            if work.position is not None:
                reply = Reply(
                    work.chunk_id, [], Failure(work.position, errors.INTERNAL, "timed out"), 0.0, 0.0
                )
                with suppress(redis.RedisError):  # the missing heartbeat still shows the death
                    exchange.answer(
                        valkey.client(), work.request_id, reply, count=work.count, ttl_s=work.ttl_s
                    )
    os._exit(1)
