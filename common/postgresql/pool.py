"""A bounded pool of psycopg2 connections, shared by the threads of one web process.

A web thread holds a connection only while it needs one, and not while its call waits for inference. So a few
connections serve many threads, and connections opened by a burst are closed after `idle_s` without use.
Django's own pool requires psycopg 3.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2 import extensions

from common.postgresql.waits import is_usable

TAKE_S = 5.0  # how long a thread waits for a connection to become free


class Pool:
    """A pool of at most `size` connections, closed after `idle_s` without use."""

    def __init__(self, size: int, idle_s: float) -> None:
        self._idle_s = idle_s
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[tuple[float, Any]] = []  # (idle since, connection), used last in, first out
        self._lock = threading.Lock()
        self._closer: threading.Thread | None = None

    def take(self, connect: Callable[[], Any]) -> Any:
        """Return an idle connection, or a new one from `connect`.

        Raises psycopg2.OperationalError if none becomes free within TAKE_S.
        """
        if not self._free.acquire(timeout=TAKE_S):
            raise psycopg2.OperationalError("all database connections of this process are in use")
        try:
            while (found := self._pop()) is not None:
                if is_usable(found):
                    return found
                found.close()
            return connect()
        except BaseException:
            self._free.release()
            raise

    def put(self, connection: Any) -> None:
        """Return a connection to the pool, unless it is closed; close it if it is in a transaction."""
        try:
            if not connection.closed:
                if connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE:
                    self._push(connection)
                else:
                    connection.close()
        finally:
            self._free.release()

    def _pop(self) -> Any:
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def _push(self, connection: Any) -> None:
        with self._lock:
            self._idle.append((time.monotonic(), connection))
            if self._closer is None:
                self._closer = threading.Thread(target=self._close_idle, name="database pool", daemon=True)
                self._closer.start()

    def _close_idle(self) -> None:
        while True:
            time.sleep(self._idle_s / 2)
            until = time.monotonic() - self._idle_s
            with self._lock:
                old = [connection for since, connection in self._idle if since <= until]
                self._idle = [(since, connection) for since, connection in self._idle if since > until]
            for connection in old:
                connection.close()
