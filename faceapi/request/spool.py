"""One unnamed file per request for its picture files, decoded from base64 and still compressed.

Up to SMALL_BYTES are in the memory of the process: a file takes 0.2 ms longer for a picture of 1 MP. A larger
spool is a memfd while all spools of this process fit settings.SPOOL_MEMORY_BYTES; otherwise it moves
to an unnamed file in settings.SPOOL_DIR. Neither ever has a name, so a crash leaves nothing behind. If all
spools together would exceed settings.SPOOL_MAX_BYTES, the request is refused (5003).
"""

import contextlib
import logging
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError

logger = logging.getLogger(__name__)

STEP_BYTES = 16 * 1024 * 1024
SMALL_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolSlice:
    """A picture in the spool: `length` bytes from `start`."""

    start: int
    length: int


class Budget:
    """The bytes that the spools of this process use, in memory and in total. Thread-safe."""

    def __init__(self, memory_bytes: int, total_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._total_bytes = total_bytes
        self._lock = threading.Lock()
        self.memory = 0
        self.total = 0

    def take(self, amount: int) -> bool:
        """Reserve `amount` more bytes; return whether they fit in memory.

        Raises ApiError 5003 if they exceed the total.
        """
        with self._lock:
            if self.total + amount > self._total_bytes:
                raise ApiError(errors.OVERLOADED, "too many concurrent large requests", retry_after_s=5)
            self.total += amount
            if self.memory + amount > self._memory_bytes:
                return False
            self.memory += amount
            return True

    def give(self, amount: int, *, in_memory: int) -> None:
        """Return `amount` bytes to the total, and `in_memory` bytes to the memory budget."""
        with self._lock:
            self.total -= amount
            self.memory -= in_memory


_budget: Budget | None = None
_budget_lock = threading.Lock()


def budget() -> Budget:
    """Return the budget of this process."""
    global _budget
    with _budget_lock:
        if _budget is None:
            _budget = Budget(settings.SPOOL_MEMORY_BYTES, settings.SPOOL_MAX_BYTES)
        return _budget


class Spool:
    """Append-only bytes of one request. Use it as a context manager, from one thread at a time."""

    def __init__(self, shared: Budget | None = None) -> None:
        self._budget = shared or budget()
        self._small = bytearray()  # the whole content, until there is a file
        self._fd = -1
        self.is_in_memory = True
        self._taken = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, piece: bytes) -> None:
        """Append a piece. Raises ApiError 5003 if the total is used up or the disk is full."""
        if self.size + len(piece) > self._taken:
            self._grow(max(len(piece), min(STEP_BYTES, max(self._taken, 256 * 1024))))
        if self._fd < 0 and self.size + len(piece) <= SMALL_BYTES:
            self._small += piece
        else:
            try:
                if self._fd < 0:
                    self._open_file()
                _write(self._fd, piece)
            except OSError as error:
                raise _no_room(error) from None
        self.size += len(piece)

    def _open_file(self) -> None:
        """Move the content into a memfd."""
        file = os.memfd_create("spool", os.MFD_CLOEXEC)
        try:
            _write(file, self._small)
        except OSError:
            os.close(file)
            raise
        self._fd, self._small = file, bytearray()

    def _grow(self, step: int) -> None:
        has_memory = self._budget.take(step)
        if self.is_in_memory and not has_memory:
            try:
                self._move_to_disk()
            except OSError as error:
                self._budget.give(step, in_memory=0)
                raise _no_room(error) from None
        elif not self.is_in_memory and has_memory:
            self._budget.give(0, in_memory=step)
        self._taken += step

    def _move_to_disk(self) -> None:
        """Move the content from memory to an unnamed file on disk, since the memory budget is used up."""
        with tempfile.TemporaryFile(dir=settings.SPOOL_DIR, buffering=0) as nameless:
            disk = os.dup(nameless.fileno())
        try:
            if self._fd < 0:
                self._open_file()
            at = 0
            while at < self.size:
                at += os.sendfile(disk, self._fd, at, self.size - at)
        except OSError:
            os.close(disk)
            raise
        os.close(self._fd)
        self._fd = disk
        self.is_in_memory = False
        self._budget.give(0, in_memory=self._taken)

    @contextlib.contextmanager
    def view(self, span: SpoolSlice) -> Iterator[memoryview]:
        """Yield the bytes of a picture, without copying them. Nothing may be written during the block."""
        if not span.length:  # nothing can be mapped
            yield memoryview(b"")
            return
        if self._fd < 0:
            with memoryview(self._small)[span.start : span.start + span.length].toreadonly() as picture:
                yield picture
            return
        skip = span.start % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(self._fd, skip + span.length, prot=mmap.PROT_READ, offset=span.start - skip)
        try:
            with memoryview(mapped) as whole, whole[skip:] as picture:
                yield picture
        finally:
            with contextlib.suppress(BufferError):  # a traceback holds a slice: unmapped when it is freed
                mapped.close()

    def close(self) -> None:
        """Release the memory. A second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._small = bytearray()
        self._budget.give(self._taken, in_memory=self._taken if self.is_in_memory else 0)
        self._taken = 0


def _write(descriptor: int, piece: bytes | bytearray) -> None:
    with memoryview(piece) as rest:
        at = 0
        while at < len(rest):
            at += os.write(descriptor, rest[at:])


def _no_room(error: OSError) -> ApiError:
    logger.error("no room for a spool: %s", error.strerror)
    return ApiError(errors.OVERLOADED, "no space to store the request", retry_after_s=5)
