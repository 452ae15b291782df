"""Where a worker's threads do their chunks: many at once, or one alone.

A process that dies takes down every chunk in it, so its death says nothing of one of them. A picture that may
have killed a worker is therefore worked on alone (docs/decisions: replies and re-dispatch).
"""

import contextlib
import threading
from collections.abc import Iterator


class SharedExclusiveLock:
    """Who asks to be alone waits until the others are through; whoever comes meanwhile waits for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_taken = False  # by one who is alone, or will be

    @contextlib.contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            if alone:
                self._is_taken = True
                self._changed.wait_for(lambda: not self._inside)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if alone:
                    self._is_taken = False
                self._changed.notify_all()
