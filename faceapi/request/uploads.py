"""Limit the slow bodies that a web process reads at once, before their signature can be verified.

An AppKey is visible in every request, so anyone who has seen one can open connections with it and send a byte
now and then. So a body does not count against its App or its customer while it arrives. Instead, at most
`limit` slow bodies are read at once in this process. Above that, the slowest body of the address that has the
most of them is cancelled. A body that arrives at an ordinary rate is never cancelled because of such
connections, wherever they come from.
"""

import contextlib
import math
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

from faceapi import errors
from faceapi.errors import ApiError

SLOW_AFTER_S = 0.2  # a body that is complete by then is never cancelled
TICK_S = 0.1
_BYTES_RECEIVED = 128  # offset of tcpi_bytes_received in struct tcp_info (linux/tcp.h)


class Upload:
    """A body that is being read. `is_cancelled` is set before its socket is shut down for reading."""

    def __init__(self, sock: socket.socket, address: Hashable, at: float) -> None:
        self.sock = sock
        self.address = address
        self.started = at
        self.is_cancelled = False
        self._bytes_before = _bytes_received(sock)

    def rate(self, now: float) -> float:
        """Return its bytes per second. On a Unix socket they are unknown, and the oldest is the slowest."""
        received = _bytes_received(self.sock) - self._bytes_before
        return (received + 1) / max(now - self.started, 0.001)


def _bytes_received(sock: socket.socket) -> int:
    """Return the bytes that the kernel has received on a TCP connection; 0 for any other socket."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
        return int(struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0])
    except (OSError, struct.error):
        return 0


class Uploads:
    """The bodies that this process reads now, and the thread that cancels the slowest ones."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: set[Upload] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def receive(self, sock: Any, address: Hashable) -> Iterator[None]:
        """Register a body during the block. Raises ApiError 5003 if it was cancelled for being slow."""
        if not hasattr(sock, "getsockopt"):  # not under gunicorn
            yield
            return
        upload = Upload(sock, address, time.monotonic())
        with self._changed:
            self._running.add(upload)
            if len(self._running) > self._limit:
                self._watch()
        try:
            yield
        except ApiError:
            if upload.is_cancelled:
                raise ApiError(
                    errors.OVERLOADED, "too many slow uploads, of which this is the slowest", retry_after_s=5
                ) from None
            raise
        finally:
            with self._changed:
                self._running.discard(upload)

    def _watch(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._cancel_regularly, name="uploads", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _cancel_regularly(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._running) > self._limit)
                self.cancel_surplus(time.monotonic())
            time.sleep(TICK_S)

    def cancel_surplus(self, now: float) -> None:
        """Cancel the slowest bodies until at most `limit` slow ones are left."""
        by_address: dict[Hashable, list[Upload]] = defaultdict(list)
        for upload in self._running:
            if not upload.is_cancelled and now - upload.started >= SLOW_AFTER_S:
                by_address[upload.address].append(upload)
        surplus = sum(map(len, by_address.values())) - self._limit
        if surplus <= 0:
            return
        for uploads in by_address.values():
            uploads.sort(key=lambda upload: upload.rate(now), reverse=True)
        for _ in range(surplus):
            most = max(map(len, by_address.values()))
            ends = [uploads for uploads in by_address.values() if len(uploads) == most]
            slowest = min(ends, key=lambda uploads: uploads[-1].rate(now)).pop()
            slowest.is_cancelled = True
            with contextlib.suppress(OSError):  # it is closed already
                slowest.sock.shutdown(socket.SHUT_RD)


_uploads: Uploads | None = None
_lock = threading.Lock()


def of_this_process(limit: int) -> Uploads:
    """Return the uploads that this process reads."""
    global _uploads
    with _lock:
        if _uploads is None:
            _uploads = Uploads(max(1, math.floor(limit)))
        return _uploads
