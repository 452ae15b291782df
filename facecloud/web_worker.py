"""gunicorn's threads worker, with a limit to how long the headers of a request may take.

gunicorn waits for the first byte without holding a thread, but then reads the header lines without an end.
Here the client's socket is guarded until they are complete; the body has limits of its own (faceapi/body.py).

What is no HTTP is told with code 4021. gunicorn would log what it could not parse, which may be a part of a
body that came without its length: the log says the kind of fault only.
"""

import contextlib
import json
import logging
import math
import socket
import time
from typing import Any
from uuid import uuid4

from gunicorn import util
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName, ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from faceapi import errors
from faceapi.errors import ApiError
from facecloud import watchdog

logger = logging.getLogger(__name__)

HEADERS_S = 10.0
DISCARD_S = 5.0
DISCARD_BYTES = 64 * 1024 * 1024


class WebWorker(ThreadWorker):
    """ThreadWorker whose clients must send a request's headers within HEADERS_S seconds."""

    def handle(self, conn: TConn) -> Any:
        if conn.sock.family != socket.AF_UNIX:
            # gunicorn sends headers and body apart: without this the body waits 40 ms for a delayed ACK.
            conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with watchdog.guard(conn.sock, time.monotonic() + HEADERS_S) as conn.guard:
            return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        conn.guard.deadline = math.inf
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        is_ours = isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName)
        if is_ours or not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = str(uuid4())
        logger.info("no HTTP", extra={"error": type(exc).__name__, "request_id": request_id})
        with contextlib.suppress(OSError):  # who sent it may be gone
            util.write_nonblock(client, refusal(str(exc), request_id))

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        deadline = time.monotonic() + DISCARD_S
        return keepalive and conn.parser.finish_body(deadline=deadline, max_bytes=DISCARD_BYTES)


def refusal(detail: str, request_id: str) -> bytes:
    """The whole reply to a request that could not be parsed; `detail` goes to its sender alone."""
    error = ApiError(errors.HTTP, detail[:200])
    content = json.dumps(errors.envelope(error, request_id), ensure_ascii=False).encode()
    lines = [
        f"HTTP/1.1 {error.row.http} Bad Request",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        f"X-Request-Id: {request_id}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
