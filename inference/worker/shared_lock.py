"""A readers-writer lock for the chunks of a worker: many in parallel, or one on its own.

All chunks of a process that dies are lost, so its death does not show which one caused it. A picture that may
have killed a worker is therefore processed alone (docs/decisions/0101-replies-and-redispatch.md).
"""

import contextlib
import threading
from collections.abc import Iterator


class SharedExclusiveLock:
    """Readers-writer lock. Exclusive entry waits for current holders and blocks new ones."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_taken = False  # an exclusive holder is inside or waiting

    @contextlib.contextmanager
    def enter(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock in the `with` block: exclusively if `alone`, otherwise shared."""
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
