"""Total deadlines for sockets: a socket's timeout bounds one recv(), a deadline bounds all of them together.

One thread per process checks the guarded sockets twice a second and shuts down those past their deadline: the
reading side, or both sides while a reply is sent. Then a read returns the end of the stream, and a write
fails.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Protocol

TICK_S = 0.5


class Shutdown(Protocol):
    """The part of a socket's interface that is used here."""

    def shutdown(self, how: int, /) -> None: ...


class Guard:
    """A socket and its deadline in monotonic seconds; `expired` is set when it is shut down.

    `how` is the side to shut down: socket.SHUT_RD or SHUT_RDWR.
    """

    def __init__(self, sock: Shutdown, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.how = socket.SHUT_RD
        self.expired = False


_guards: set[Guard] = set()
_wake = threading.Condition()
_thread: threading.Thread | None = None


@contextlib.contextmanager
def guard(sock: Shutdown, deadline: float) -> Iterator[Guard]:
    """Shut `sock` down for reading at `deadline`, which may be moved through the yielded Guard."""
    watched = Guard(sock, deadline)
    with _wake:
        _start()
        _guards.add(watched)
        _wake.notify()
    try:
        yield watched
    finally:
        with _wake:
            _guards.discard(watched)


def _start() -> None:
    global _thread
    if _thread is None or not _thread.is_alive():
        _thread = threading.Thread(target=_watch, name="watchdog", daemon=True)
        _thread.start()


def _watch() -> None:
    while True:
        with _wake:
            while not _guards:
                _wake.wait()
            now = time.monotonic()
            late = [watched for watched in _guards if watched.deadline <= now and not watched.expired]
            for watched in late:
                watched.expired = True
                with contextlib.suppress(OSError):  # already closed
                    watched.sock.shutdown(watched.how)
        time.sleep(TICK_S)
