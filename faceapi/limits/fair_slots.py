"""Places for work that keeps a core of PostgreSQL or of this process busy, shared evenly among customers.

Scans of the face gallery (faceapi/gallery/views.py) and comparisons with stored faces take one each. The
first come, first served order of a semaphore would let a customer who sends many searches delay all others.
"""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator

MAX_REMEMBERED = 10_000  # customers, by when they were served


class FairSlots:
    """So many places of this process. Thread-safe.

    A place that becomes free goes to the waiting customer who holds the fewest, of those to the one who was
    served longest ago; a customer's own calls are served in their order. A customer alone has all places.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._held: Counter[int] = Counter()
        self._waiting: dict[int, deque[threading.Event]] = {}
        self._served_at: dict[int, float] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take(self, customer: int, *, timeout_s: float) -> Iterator[None]:
        """Hold a place during the block. Raises TimeoutError if none was free in time."""
        turn = threading.Event()
        with self._lock:
            self._waiting.setdefault(customer, deque()).append(turn)
            self._grant()
        if not turn.wait(max(0.0, timeout_s)):
            with self._lock:
                if not turn.is_set():
                    self._forget(customer, turn)
                    raise TimeoutError
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._held[customer] -= 1
                if not self._held[customer]:
                    del self._held[customer]
                self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            customer = min(self._waiting, key=lambda one: (self._held[one], self._served_at.get(one, -1.0)))
            turn = self._waiting[customer][0]
            self._free -= 1
            self._held[customer] += 1
            self._served_at[customer] = time.monotonic()
            self._forget(customer, turn)
            turn.set()
        if len(self._served_at) > MAX_REMEMBERED:
            self._served_at.clear()

    def _forget(self, customer: int, turn: threading.Event) -> None:
        self._waiting[customer].remove(turn)
        if not self._waiting[customer]:
            del self._waiting[customer]
