"""Confirm the answers that were sent as charged, and withdraw the calls of those that were not.

Settling a call permits its answer to be sent, but charges nothing. The web process notes each answer that it
wrote to the client's connection, and a thread confirms all of them with one UPDATE every FLUSH_EVERY_S. Only
this UPDATE charges the customer. So an answer that is lost after the settle is free of charge, as is a code
other than 0.

The notes in memory are lost if the process is killed. So each note is also written to a file,
VAR_DIR/answers/*, whose content in the page cache outlives the process. The process holds a lock on its file;
if another web process can lock it, the owner has died, and that process confirms the notes and deletes the
file.
"""

import contextlib
import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from django.http import HttpResponse

from billing import quota
from billing.models import DebitState
from common.postgresql.clock import now
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError

logger = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.25
RETRY_AFTER_S = 1.0  # if the database is unavailable
ADOPT_EVERY_S = 15.0  # interval of the search for files of dead processes
UNFINISHED_AFTER_S = 60.0  # a file still hidden after this was abandoned: it is renamed within milliseconds
FLUSH_AT_EXIT_S = 5.0
BATCH = 1000
MAX_PENDING = 100_000  # notes kept while the database is unavailable; the sweep returns the others
PREALLOCATED_NOTES = 4096  # notes for which a file has space allocated, in case the disk becomes full
_NOTE = struct.Struct(">16sI")  # call id, units


@runtime_checkable
class BufferedSocket(Protocol):
    """A client's socket whose server buffers the answer in memory while the client reads slowly."""

    def when_sent(self, sent: Callable[[], None], lost: Callable[[], None]) -> None:
        """Call `sent` once the buffer has been sent, or `lost` if it is dropped."""


class AnswerResponse(HttpResponse):
    """An answer with code 0 that notes whether it was written to the client's connection in full.

    The server takes the content from the iterator, and resumes the iterator once the content was written, or
    buffered for a client that reads slowly (facecloud/web/response_buffer.py).
    """

    call: CallContext | None = None  # the call to confirm; None if there is nothing to charge
    sock: Any = None  # the client's

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        call, self.call = self.call, None
        if call is None or call.debit is None:
            return
        sent, lost = partial(journal.sent, call.id, call.debit.units), partial(_withdraw, call)
        if isinstance(self.sock, BufferedSocket):
            self.sock.when_sent(sent, lost)
        else:
            sent()

    def close(self) -> None:
        """Withdraw the call unless its answer was sent; the server calls this in any case."""
        super().close()
        call, self.call = self.call, None
        if call is not None:
            _withdraw(call)


def _withdraw(call: CallContext) -> None:
    error = ApiError(errors.BODY_INCOMPLETE, "the client closed the connection before the answer")
    journal.withdraw(call, error)


class Journal:
    """The notes of this process. Its thread starts with the first note, or with `start`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[UUID, int] = {}
        self._withdrawn: dict[UUID, tuple[CallContext, ApiError]] = {}
        self._has_work = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._file: NoteFile | None = None
        self._is_in_memory_only = False  # because no file could be created

    def sent(self, call_id: UUID, units: int) -> None:
        """Note that the answer of this settled call, which costs `units`, was sent to the client."""
        with self._lock:
            if len(self._sent) >= MAX_PENDING:
                return
            self._sent[call_id] = units
            if self._file is not None:
                self._file.append(call_id, units)
            else:
                self._open_file()
        self._wake()

    def _open_file(self) -> None:
        """Create a file with all notes, unless the disk is full; the next note tries again."""
        try:
            self._file = NoteFile.new()
        except OSError as error:
            if not self._is_in_memory_only:
                logger.warning("answers are noted in memory only: %s", error.strerror)
            self._is_in_memory_only = True
        else:
            self._is_in_memory_only = False
            self._file.replace(self._sent)

    def withdraw(self, call: CallContext, error: ApiError) -> None:
        """Note that the call was not answered with code 0 although it may still hold units."""
        call = replace(call, ended=time.perf_counter())
        with self._lock:
            if len(self._withdrawn) < MAX_PENDING:
                self._withdrawn[call.id] = (call, error)
        self._wake()

    def start(self) -> None:
        """Start the thread unless it is already running in this process."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._is_ending = False
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Flush the notes before the process ends. If the database is unavailable, they stay in the file."""
        thread = self._thread
        if thread is not None:
            self._is_ending = True
            self._has_work.set()
            thread.join(FLUSH_AT_EXIT_S)

    def flush(self) -> None:
        """Confirm the answers and withdraw the calls that are noted.

        Raises DatabaseError; what was not written stays noted.
        """
        with self._lock:
            sent, withdrawn = list(self._sent.items()), list(self._withdrawn.values())
        for first in range(0, len(sent), BATCH):
            self._confirm(dict(sent[first : first + BATCH]))
        for call, error in withdrawn:
            with self._lock:
                del self._withdrawn[call.id]
            try:
                calls.fail(call, error, now())
            except DatabaseError:
                if time.perf_counter() - (call.ended or 0) < quota.CONFIRM_WITHIN_S:  # later: the sweep
                    with self._lock:
                        self._withdrawn[call.id] = (call, error)  # at the end of the queue
                raise

    def _confirm(self, notes: dict[UUID, int]) -> None:
        done = confirm(notes)
        with self._lock:
            for call_id in done:
                del self._sent[call_id]
            if self._file is not None:
                self._file.replace(self._sent)

    def _wake(self) -> None:
        self.start()
        self._has_work.set()

    def _run(self) -> None:
        adopt_at = 0.0
        with self._lock:
            if self._file is None:  # created early, because the disk may be full later
                self._open_file()
        while True:
            if not self._is_ending and time.monotonic() >= adopt_at:
                adopt_at = time.monotonic() + ADOPT_EVERY_S
                _run_logged(adopt)
            if self._has_work.wait(ADOPT_EVERY_S) and not self._is_ending:
                time.sleep(FLUSH_EVERY_S)  # collect more notes for the same UPDATE
            self._has_work.clear()
            flushed = _run_logged(self.flush)
            if self._sent or self._withdrawn:
                self._has_work.set()
                time.sleep(FLUSH_EVERY_S if flushed else RETRY_AFTER_S)
            elif self._is_ending and self._end():
                break
        connections.close_all()

    def _end(self) -> bool:
        """Delete the file and give up the thread, unless a note was made meanwhile; return whether it ended.

        Under the lock, so that a later note gets a new file and a new thread.
        """
        with self._lock:
            if self._sent or self._withdrawn:
                return False
            if self._file is not None:
                self._file.delete()
                self._file = None
            self._thread = None
            return True


def _run_logged(work: Callable[[], None]) -> bool:
    """Run `work`, log its failure, and return whether it succeeded.

    Connections go back into the pool, because the journal is idle most of the time.
    """
    try:
        work()
    except DatabaseError as error:
        logger.warning("answers could not be confirmed yet: %s", type(error).__name__)
        return False
    except Exception:
        logger.exception("the journal of answers failed")
        return False
    finally:
        connections.close_all()
    return True


def confirm(notes: dict[UUID, int]) -> list[UUID]:
    """Confirm the answers of these calls (id → units); return the calls that need no further attempt."""
    states = quota.confirm(notes)
    lost = [call_id for call_id, state in states.items() if state in (DebitState.RETURNED, "wrong")]
    if lost:
        extra = {"calls": [str(call_id) for call_id in lost[:20]]}
        logger.error("%s answers could not be charged", len(lost), extra=extra)
    return [call_id for call_id, state in states.items() if state != DebitState.SETTLING]


# --- the notes that outlive their process -------------------------------------------


class NoteFile:
    """A file of notes, locked by the process that writes it.

    If a write fails, the notes are less durable, but the answers are still sent. Space for PREALLOCATED_NOTES
    is allocated at creation, in case the disk becomes full; unused space is zeros. The file contains whole
    notes only, because notes after a partial one could not be read.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._length = 0  # bytes in use

    @classmethod
    def new(cls) -> "NoteFile":
        """Create a file in VAR_DIR/answers. Raises OSError if that fails."""
        folder = settings.VAR_DIR / "answers"
        path = folder / f"{os.getpid()}-{uuid4().hex}"
        folder.mkdir(parents=True, exist_ok=True)
        # Use a hidden name until the file is locked, so that no other process adopts it.
        hidden = path.with_name(f".{path.name}")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(descriptor, 0, PREALLOCATED_NOTES * _NOTE.size)
            hidden.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                hidden.unlink()
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def append(self, call_id: UUID, units: int) -> None:
        self._write(_NOTE.pack(call_id.bytes, units), at=self._length)

    def replace(self, notes: dict[UUID, int]) -> None:
        """Replace all notes with these.

        The new notes overwrite the old ones; the rest of the old ones is cleared afterwards. A process that
        is killed in between leaves notes that were already confirmed, which does no harm.
        """
        before = self._length
        self._write(b"".join(_NOTE.pack(call_id.bytes, units) for call_id, units in notes.items()), at=0)
        if self._length < before:
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, bytes(before - self._length), self._length)

    def delete(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)

    def _write(self, content: bytes, at: int) -> None:
        """Write `content` at the offset `at`, or as many whole notes of it as the disk has space for."""
        written = 0
        try:
            while written < len(content):
                written += os.pwrite(self._descriptor, content[written:], at + written)
        except OSError:  # only beyond the allocated space
            written -= written % _NOTE.size
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, max(at + written, PREALLOCATED_NOTES * _NOTE.size))
        self._length = at + written


def notes_in(content: bytes) -> dict[UUID, int]:
    """Return the notes of a file: call id → units."""
    whole = len(content) // _NOTE.size * _NOTE.size
    return {UUID(bytes=raw): units for raw, units in _NOTE.iter_unpack(content[:whole]) if any(raw)}


def adopt() -> None:
    """Confirm the notes of processes that died, and delete their files. Raises DatabaseError."""
    _delete_unfinished()
    for path in (settings.VAR_DIR / "answers").glob("[!.]*"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError if its owner is alive
                content = file.read()
                notes = notes_in(content)
                while notes:
                    done = confirm(dict(list(notes.items())[:BATCH]))
                    if not done:
                        return  # their rows are locked; the next interval tries again
                    for call_id in done:
                        del notes[call_id]
                path.unlink(missing_ok=True)
        except OSError:
            continue


def _delete_unfinished() -> None:
    """Delete files whose process died before it renamed them; they contain no notes."""
    for path in (settings.VAR_DIR / "answers").glob(".*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > UNFINISHED_AFTER_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


journal = Journal()
