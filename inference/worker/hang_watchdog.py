"""Ends a worker that hangs: only the end of its process stops a native decoder that never returns.

The picture in hand is named to its call, and the process ends at once, for its supervisor to start it again.
The chunks beside it are lost with it, as with any worker that dies (docs/decisions: replies and re-dispatch).
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
TOGETHER_S = 1.0  # what began so shortly after a picture that hangs, and is not through either, hangs too

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Work:
    """A chunk in the hands of the thread that makes this."""

    request_id: str
    chunk_id: str
    count: int
    ttl_s: int
    position: int | None = None  # of the picture in hand; None where several are
    began_at_s: float = 0.0
    thread_id: int = field(default_factory=threading.get_ident)


class Watchdog(threading.Thread):
    """Watches the chunks of its process. Its clock stands still with the process: a pause is no hang."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._limit_s = limit_s
        self._clock_s = 0.0
        self._works: set[Work] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, work: Work) -> Iterator[Callable[[int | None], None]]:
        """Inside, say which picture is begun, or None for all of the chunk: each may take `limit_s`."""
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
            with self._lock:  # held to the end: what hangs is not answered twice
                if hung := self._hung():
                    end_process(hung)

    def _hung(self) -> list[Work]:
        oldest_s = min((work.began_at_s for work in self._works), default=self._clock_s)
        if self._clock_s - oldest_s <= self._limit_s:
            return []
        return [work for work in self._works if work.began_at_s <= oldest_s + TOGETHER_S]


def end_process(hung: list[Work]) -> None:
    """Name each picture that hangs to its call, where it is known which of a chunk, and end."""
    for work in hung:
        with request_id_in_logs(work.request_id):
            stack = traceback.format_list(traceback.extract_stack(sys._current_frames()[work.thread_id]))
            extra = {"chunk": work.chunk_id, "position": work.position, "stack": stack[-8:]}
            logger.error("a picture hangs: this worker ends", extra=extra)
            if work.position is not None:
                reply = Reply(work.chunk_id, [], Failure(work.position, errors.FAILED, "it hangs"), 0.0, 0.0)
                with suppress(redis.RedisError):  # its call hears of this death as of any other, then
                    exchange.answer(
                        valkey.client(), work.request_id, reply, count=work.count, ttl_s=work.ttl_s
                    )
    os._exit(1)
