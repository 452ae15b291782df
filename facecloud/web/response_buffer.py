"""Buffered replies for slow clients: the bytes that the socket does not accept at once stay in memory.

The event loop of the web worker sends them, so that no thread waits for a client. Only if the process has
used up its budget for buffers does a thread wait, up to the client's deadline.
"""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from common import watchdog

BUDGET_BYTES = 64 * 1024 * 1024  # of one web process
GRACE_S = 30.0
MIN_BYTES_PER_S = 16 * 1024
LONGEST_S = 180.0


def longest_s(size: int) -> float:
    """Return the maximum time in seconds that a client may take to read `size` bytes.

    It is well below the time within which an answer must be confirmed (billing.quota.CONFIRM_WITHIN_S);
    otherwise the units would be returned while the answer is still being read.
    """
    return min(GRACE_S + size / MIN_BYTES_PER_S, LONGEST_S)


class Budget:
    """Limits the bytes of buffered replies. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._lock = threading.Lock()

    def take(self, amount: int) -> bool:
        with self._lock:
            if amount > self._left:
                return False
            self._left -= amount
            return True

    def give(self, amount: int) -> None:
        with self._lock:
            self._left += amount


class Outbox:
    """Wraps a client's socket; `sendall` buffers instead of waiting for the client, within the budget."""

    def __init__(self, sock: socket.socket, budget: Budget) -> None:
        self.sock = sock
        self._budget = budget
        self._waiting = bytearray()
        self._sent: Callable[[], None] | None = None
        self._lost: Callable[[], None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def sendall(self, data: bytes) -> None:
        if not self._waiting:
            data = data[_send_now(self.sock, data) :]
        if not data:
            return
        if self._budget.take(len(data)):
            self._waiting += data
            return
        waiting = bytes(self._waiting)
        self.close()
        self.sock.sendall(waiting + data)

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting)

    def when_sent(self, sent: Callable[[], None], lost: Callable[[], None]) -> None:
        """Call `sent` once the buffer is empty, or `lost` if it is discarded."""
        if self._waiting:
            self._sent, self._lost = sent, lost
        else:
            sent()

    def flush(self) -> bool:
        """Send what the socket accepts; return whether the buffer is empty. Raises OSError."""
        sent = _send_now(self.sock, self._waiting)
        del self._waiting[:sent]
        self._budget.give(sent)
        if not self._waiting:
            self._end(self._sent)
        return not self._waiting

    def close(self) -> None:
        """Discard the buffer."""
        self._budget.give(len(self._waiting))
        self._waiting.clear()
        self._end(self._lost)

    def _end(self, call: Callable[[], None] | None) -> None:
        self._sent = self._lost = None
        if call is not None:
            call()


def _send_now(sock: socket.socket, data: bytes | bytearray) -> int:
    """Send without waiting and return the number of bytes sent. The socket's timeout is preserved."""
    sent = 0
    timeout_s = sock.gettimeout()
    sock.settimeout(0)  # with a timeout, send() waits even with MSG_DONTWAIT
    try:
        with memoryview(data) as rest:
            while sent < len(data):
                sent += sock.send(rest[sent:])
    except BlockingIOError:
        pass
    finally:
        sock.settimeout(timeout_s)
    return sent


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def bounded(application: Application, guard_of: Callable[[], watchdog.Guard]) -> Application:
    """Return a WSGI application whose clients must read the reply in time.

    Only the time spent waiting for the client counts, because a reply may be generated piece by piece.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        guard = guard_of()
        reply = application(environ, start_response)
        guard.deadline, guard.how = math.inf, socket.SHUT_RDWR
        return _watched(reply, guard)

    return serve


def _watched(reply: Iterable[bytes], guard: watchdog.Guard) -> Iterator[bytes]:
    sent, waited_s = 0, 0.0
    try:
        for piece in reply:
            sent += len(piece)
            started = time.monotonic()
            guard.deadline = started + longest_s(sent) - waited_s
            yield piece
            waited_s += time.monotonic() - started
            guard.deadline = math.inf
        guard.deadline = time.monotonic() + GRACE_S  # for the end of a chunked reply
    finally:
        if hasattr(reply, "close"):
            reply.close()
