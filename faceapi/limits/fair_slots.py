"""A semaphore that is fair among customers, for work that keeps a core of a host busy.

Searches of the face gallery (faceapi/gallery/views.py) and comparisons with stored faces take one slot each.
With an ordinary semaphore, which is first come, first served, a customer who sends many searches would delay
all others.
"""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator

MAX_REMEMBERED = 10_000  # customers, with the time at which they were last served


class FairSlots:
    """A fixed number of slots of this process. Thread-safe.

    A free slot goes to the waiting customer who holds the fewest slots; of several, to the one served longest
    ago. A customer's own calls are served in order. If nobody else waits, a customer may use all slots.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._held: Counter[int] = Counter()
        self._waiting: dict[int, deque[threading.Event]] = {}
        self._served_at: dict[int, float] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take(self, customer: int, *, timeout_s: float) -> Iterator[None]:
        """Hold a slot during the block. Raises TimeoutError if none becomes free in time."""
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
