"""A bounded pool of psycopg2 connections, shared by the threads of one web process.

A web thread holds a connection while it needs one, and not while its call waits for inference. So a few
connections serve many threads, and a burst leaves nothing behind: what is idle is closed after `idle_s`.
Django's own pool needs psycopg 3.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2 import extensions

from common.postgresql.waits import is_usable

TAKE_S = 5.0  # how long a thread waits for a connection that others hold


class Pool:
    """At most `size` connections; raises psycopg2.OperationalError if none comes free within TAKE_S."""

    def __init__(self, size: int, idle_s: float) -> None:
        self._idle_s = idle_s
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[tuple[float, Any]] = []  # since when; the latest last, and taken first
        self._lock = threading.Lock()
        self._closer: threading.Thread | None = None

    def take(self, connect: Callable[[], Any]) -> Any:
        """Return an idle connection, or a new one."""
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
        """Take a connection back. One that is closed, or in a transaction, is not kept."""
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
