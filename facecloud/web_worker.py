"""gunicorn's threads worker, with a limit to how long the headers of a request may take.

gunicorn waits for the first byte without holding a thread, but then reads the header lines without an end.
Here the client's socket is guarded until they are complete; the body has limits of its own (faceapi/body.py).
"""

import math
import socket
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from facecloud import watchdog

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

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        deadline = time.monotonic() + DISCARD_S
        return keepalive and conn.parser.finish_body(deadline=deadline, max_bytes=DISCARD_BYTES)
