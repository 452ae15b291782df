"""Read the body once, in pieces: SHA-1, the streaming splitter and all limits (docs/decisions/0100)."""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from gunicorn.http.errors import ParseException

from common import watchdog
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.request.splitter import Splitter
from faceapi.request.spool import Spool
from inference.images import headers

PIECE_BYTES = 1024 * 1024  # as much as gunicorn reads at once; smaller reads copy the rest each time
STALL_S = 10.0  # one recv() may wait this long
MAX_IMAGES = 100


@dataclass(slots=True)
class Body:
    """The received body. `data` is the parsed JSON with Blobs in it, or `fault` is the error that it has."""

    sha1: str
    size: int
    data: Any
    fault: ApiError | None


def check_headers(meta: Mapping[str, Any]) -> None:
    """Refuse a body by its headers alone. Raises ApiError 4010, 4017, 4019."""
    for header, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        encoding = meta.get(f"HTTP_{header.upper().replace('-', '_')}", "").strip().lower()
        if encoding not in ("", plain):
            given = f"{header}: {encoding[:32]}"
            raise ApiError(errors.CONTENT_ENCODING, given, given)
    length = content_length(meta)
    if length is not None and length > settings.BODY_MAX_BYTES:
        raise too_large(length)


def content_length(meta: Mapping[str, Any]) -> int | None:
    """Return the declared length in bytes; None for a chunked body."""
    text = meta.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise ApiError(errors.BODY_INCOMPLETE, "Content-Length is not a number")
    return int(text)


def too_large(size: int) -> ApiError:
    return ApiError(errors.BODY_TOO_LARGE, f"{size} bytes, the limit is {settings.BODY_MAX_BYTES}")


def longest_s(size: int) -> float:
    """Return the time limit for a body of `size` bytes."""
    return settings.BODY_GRACE_S + size / settings.BODY_MIN_BYTES_PER_S


def read(environ: Mapping[str, Any], spool: Spool, note: Callable[[int], None] = lambda size: None) -> Body:
    """Read the whole body, and call `note` with the number of bytes read so far after each piece.

    An error in the JSON is stored in Body.fault, so that the signature is checked first.

    Raises ApiError 4010 (too large), 4015 (too many images), 4019 (incomplete or too slow), 5003 (no room).
    """
    expected = content_length(environ)
    stream = environ["wsgi.input"]
    sha1 = hashlib.sha1(usedforsecurity=False)
    splitter = Splitter(spool, max_blobs=MAX_IMAGES, max_blob_bytes=headers.MAX_BYTES)
    fault: ApiError | None = None
    size = 0
    started = time.monotonic()
    with _guarded(environ.get("gunicorn.socket"), started) as guard:
        while expected is None or size < expected:
            wanted = PIECE_BYTES if expected is None else min(PIECE_BYTES, expected - size)
            try:
                piece = stream.read(wanted)
            except OSError as error:  # a timeout, a reset, or a chunk that ends in the middle
                raise _incomplete(guard, size, "the body was cut off") from error
            except ParseException:
                raise _incomplete(guard, size, "the next chunk is invalid") from None
            if not piece:
                break
            size += len(piece)
            note(size)
            if size > settings.BODY_MAX_BYTES:
                raise too_large(size)
            sha1.update(piece)
            if fault is None:
                try:
                    splitter.feed(piece)
                except ApiError as error:
                    if error.code != errors.JSON:
                        raise
                    fault = error
            if guard is not None:
                guard.deadline = started + longest_s(size)
    is_late = guard is not None and guard.expired  # the socket is shut, even if the body was complete
    if is_late or (expected is not None and size < expected):
        raise _incomplete(guard, size, f"Content-Length is {expected}")
    data = None
    if fault is None:
        try:
            data = splitter.close()
        except ApiError as error:
            fault = error
    return Body(sha1.hexdigest(), size, data, fault)


def _incomplete(guard: watchdog.Guard | None, size: int, detail: str) -> ApiError:
    if guard is not None and guard.expired:
        detail = f"too slow: at least {settings.BODY_MIN_BYTES_PER_S} bytes per second are required"
    return ApiError(errors.BODY_INCOMPLETE, f"{size} bytes received; {detail}")


def _guarded(sock: Any, started: float) -> AbstractContextManager[watchdog.Guard | None]:
    """Set a stall timeout and a deadline on the client's socket, under gunicorn."""
    if sock is None:
        return nullcontext()
    sock.settimeout(STALL_S)
    return watchdog.guard(sock, started + settings.BODY_GRACE_S)
