"""gunicorn's threads worker, hardened against slow clients (docs/decisions/0011-slow-clients.md).

The event loop, not a thread, waits for clients: for a first byte, the head of a request, a page's form, and
the reader of a reply. Each wait has a deadline. A request gets a thread when its head is complete, from the
pool of its kind (request_head.py), so that pages, API, uploads and probes cannot starve each other.

Under overload the loop itself rejects API calls (faceapi/limits/shedding.py), because a thread for each of
them would leave too little CPU for the calls that are served.

Invalid HTTP is answered with code 4021 and logged without the bytes, which may be part of a body.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import resource
import select
import selectors
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from gunicorn import util
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName, ParseException
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from common import watchdog
from faceapi import errors
from faceapi.errors.replies import ErrorReply
from faceapi.request import uploads
from faceapi.usage import unattributed
from facecloud.web import early_errors, request_head, response_buffer
from facecloud.web import threads as web_threads
from facecloud.web.connections import Address, Connection, Connections
from facecloud.web.request_head import Kind

if TYPE_CHECKING:  # at run time, only after Django is set up
    from faceapi.limits.shedding import Refusal, Shedding

logger = logging.getLogger(__name__)

HEADERS_S = 10.0
HEAD_BYTES = 64 * 1024
FORM_BYTES = 128 * 1024  # a page's body up to this size is received before the request gets a thread
FORM_S = 10.0
UPLOAD_S = 20.0
MIN_BYTES_PER_S = 16 * 1024
LOOK_EVERY_S = 0.2
LINGER_S = 2.0
LINGER_BYTES = 64 * 1024
DISCARD_S = 5.0
PROBE_DISCARD_S = 0.05
DISCARD_BYTES = 64 * 1024 * 1024
SLOW_UPLOADS = web_threads.UPLOADS // 2  # if more uploads are slow, the slowest is aborted
SPARE_FILES = 200  # file descriptors for everything but connections


class WebWorker(ThreadWorker):
    """A ThreadWorker that passes a request to a thread once enough of it has been received.

    It also confirms the answers that it sent and, at start, those of a worker that died.
    """

    wsgi: Any  # the application; gunicorn has no types

    def run(self) -> None:
        from faceapi.answers import journal
        from faceapi.authentication import replay  # only after Django is set up

        replay.prepare()
        journal.start()
        super().run()
        journal.stop()

    def init_process(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.worker_connections: int = max(16, min(self.cfg.worker_connections, soft - SPARE_FILES))
        self._connections = Connections(settings.WEB_CONNECTIONS_PER_ADDRESS, settings.TRUSTED_PROXIES)
        self._look_at = 0.0  # for connections past their deadline
        self._budget = response_buffer.Budget(response_buffer.BUDGET_BYTES)
        self._current = threading.local()
        self._uploads = uploads.Uploads(SLOW_UPLOADS)
        self._pools = web_threads.pools(self.cfg.threads)
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool that gunicorn shuts down on exit; the others end with the process."""
        return self._pools[Kind.PAGE].executor

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._shedding: Shedding = self.wsgi
        self.wsgi = response_buffer.bounded(self._shedding, lambda: self._current.guard)

    # --- connections in the loop -----------------------------------------------------

    def set_accept_enabled(self, enabled: bool) -> None:
        """Close the listening sockets when the process is about to end.

        gunicorn closes them only after its last request, and meanwhile the kernel would complete connections
        that are never accepted. Connections that are already complete are served.
        """
        super().set_accept_enabled(enabled)
        while not enabled and not self.alive and self.sockets:
            listener = self.sockets.pop()
            waiting = select.poll()
            waiting.register(listener.fileno(), select.POLLIN)
            while waiting.poll(0) and self.nr_conns < self.worker_connections:
                self.accept(listener)
            listener.close()

    def accept(self, listener: Any) -> None:
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._evict()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        if sock.family != socket.AF_UNIX:
            # gunicorn sends headers and body separately: a delayed ACK would hold the body for 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn = Connection(self.cfg, sock, client, listener.getsockname())
        self.nr_conns += 1
        self._connections.opened(conn)
        if self._connections.is_over_cap(conn.address) and not self._evict(conn.address):
            self._answer(conn, early_errors.TOO_MANY)
            self._drop(conn)
            return
        if self.nr_conns >= self.worker_connections:
            self._evict()
        self._wait(conn, HEADERS_S)

    def _evict(self, address: Address | None = None) -> bool:
        """Close the connection that has waited longest, of this address if given; return whether one did."""
        oldest = self._connections.longest_waiting(address)
        if oldest is None:
            return False
        self._stop_waiting(oldest)
        self._drop(oldest)
        return True

    def _wait(self, conn: Connection, seconds: float, events: int = selectors.EVENT_READ) -> None:
        conn.deadline = time.monotonic() + seconds
        self._connections.wait(conn)
        self.poller.register(conn.sock, events, partial(self._ready, conn))

    def _stop_waiting(self, conn: Connection) -> None:
        self._connections.stop_waiting(conn)
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        """Close a connection that neither waits nor has a thread."""
        self.nr_conns -= 1
        self._connections.closed(conn)
        if conn.outbox is not None:
            conn.outbox.close()
        conn.close()

    def _ready(self, conn: Connection, _: Any) -> None:
        """Handle a waiting connection that can be read, or written if a reply is buffered."""
        if conn not in self._connections:  # evicted since the poller returned it
            return
        try:
            if conn.outbox is not None:
                if conn.outbox.flush():
                    conn.outbox = None
                    self._stop_waiting(conn)
                    self._after_reply(conn)
                return
            piece = conn.sock.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            self._stop_waiting(conn)
            self._drop(conn)
            return
        if conn.is_ending:
            conn.drained += len(piece)
            if not piece or conn.drained > LINGER_BYTES:
                self._stop_waiting(conn)
                self._drop(conn)
            return
        self._receive(conn, piece)

    def _receive(self, conn: Connection, piece: bytes) -> None:
        """Add received bytes; pass the request to a thread if enough arrived or the client sends no more."""
        if conn.refusal is not None:
            self._receive_refused(conn, piece)
            return
        if conn.is_idle and piece:
            conn.is_idle = False
            conn.deadline = time.monotonic() + HEADERS_S
        searched = max(0, len(conn.received) - 3)
        conn.received += piece
        if conn.head is None and (at := conn.received.find(request_head.END, searched)) >= 0:
            size = at + len(request_head.END)
            conn.head = request_head.read(bytes(conn.received[:size]), max_bytes=FORM_BYTES)
            conn.wanted = size + conn.head.body_bytes
            if conn.head.kind is Kind.API and self._begin_refusal(conn, size):
                return
            if conn.head.body_bytes:
                conn.deadline = time.monotonic() + FORM_S + conn.head.body_bytes / MIN_BYTES_PER_S
        if conn.head is None and len(conn.received) > HEAD_BYTES:
            self._stop_waiting(conn)
            self._refuse(conn, early_errors.refusal("the headers are too long", str(uuid4())))
        elif conn.head is not None and len(conn.received) >= conn.wanted:
            self._stop_waiting(conn)
            self._hand_over(conn, conn.head.kind)
        elif not piece:
            self._stop_waiting(conn)
            if conn.received:  # gunicorn's parser reports what is missing
                self._hand_over(conn, Kind.PAGE)
            else:
                self._drop(conn)

    def _hand_over(self, conn: Connection, kind: Kind) -> None:
        pool = self._pools[kind]
        if pool.is_full:
            if kind is Kind.API:
                unattributed.note(errors.OVERLOADED)
                self._refuse(conn, early_errors.overloaded(str(uuid4())))
            else:
                self._refuse(conn, early_errors.BUSY)
            return
        pool.inside += 1
        future = pool.executor.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self._finished, conn, pool, done))

    def _finished(self, conn: Connection, pool: web_threads.Pool, done: Future[Any]) -> None:
        """Continue in the event loop after a thread has served one request of the connection."""
        pool.inside -= 1
        try:
            conn.keeps_open = bool(done.result()) if not done.cancelled() else False
            conn.sock.setblocking(False)
            if conn.outbox is not None and conn.outbox.waiting_bytes:
                self._wait(conn, response_buffer.longest_s(conn.outbox.waiting_bytes), selectors.EVENT_WRITE)
                return
            conn.outbox = None
            self._after_reply(conn)
        except Exception as error:  # the loop serves all other connections
            if not isinstance(error, OSError):  # an OSError means that the client has disconnected
                logger.exception("a connection was dropped after its request")
            self._stop_waiting(conn)
            self._drop(conn)

    def _after_reply(self, conn: Connection) -> None:
        if not conn.keeps_open:
            self._end(conn)
            return
        conn.head, conn.wanted, conn.is_idle = None, 0, True
        conn.received = bytearray()
        read_ahead = conn.parser.unreader.take_buffered()
        self._wait(conn, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        if read_ahead:
            self._receive(conn, read_ahead)

    def _refuse(self, conn: Connection, reply: bytes) -> None:
        self._answer(conn, reply)
        self._end(conn)

    def _answer(self, conn: Connection, reply: bytes) -> None:
        with contextlib.suppress(OSError):  # the client may have disconnected
            conn.sock.setblocking(False)
            util.write_nonblock(conn.sock, reply)

    def _end(self, conn: Connection) -> None:
        """Close once the client has read the reply; discard what it still sends (RFC 9112, 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.is_ending = True
        self._wait(conn, LINGER_S)

    # --- calls that the loop rejects ---------------------------------------------------

    def _begin_refusal(self, conn: Connection, size: int) -> bool:
        """Reject the call with this head if it must be shed; return whether it was rejected."""
        if not self.alive or not self._shedding.is_needed():
            return False
        environ = request_head.plain_call(bytes(conn.received[:size]))
        if environ is None:
            return False
        environ["REMOTE_ADDR"] = conn.client[0] if isinstance(conn.client, tuple) else ""
        refusal = self._shedding.begin(environ)
        if refusal is None or refusal.is_over_allowance():
            return False
        body = bytes(conn.received[size:])
        conn.received = bytearray()
        conn.refusal, conn.is_answered = refusal, False
        conn.deadline = time.monotonic() + refusal.READ_S
        self._receive_refused(conn, body, is_first=True)
        return True

    def _receive_refused(self, conn: Connection, piece: bytes, *, is_first: bool = False) -> None:
        """Take more of the body of a rejected call; answer once enough of it has arrived."""
        refusal = conn.refusal
        if refusal is None:
            return
        is_over = not piece and not is_first  # the client sends no more
        body = piece[: refusal.left_bytes]
        refusal.feed(body)
        conn.received += piece[len(body) :]
        if not conn.is_answered and (is_over or not refusal.left_bytes or not refusal.wanted_bytes):
            self._answer_refused(conn, refusal)
        elif conn.is_answered and (is_over or not refusal.left_bytes):
            self._end_refused(conn, keeps_open=not is_over)

    def _answer_refused(self, conn: Connection, refusal: Refusal) -> None:
        """Send the refusal. If an unsigned body must be counted in Valkey first, that happens in a thread."""
        is_signed = refusal.is_signed()
        if is_signed or not refusal.has_read:
            self._send_refusal(conn, refusal.answer(is_signed=is_signed))
            return
        self._stop_waiting(conn)
        pool = self._pools[Kind.API]
        if pool.is_full:
            unattributed.note(errors.OVERLOADED)
            self._refuse(conn, early_errors.overloaded(str(uuid4())))
            return
        pool.inside += 1
        future = pool.executor.submit(refusal.answer, is_signed=False)
        future.add_done_callback(lambda done: self.method_queue.defer(self._after_count, conn, pool, done))

    def _after_count(self, conn: Connection, pool: web_threads.Pool, done: Future[ErrorReply]) -> None:
        """Continue in the loop after a thread has counted a body without a signature."""
        pool.inside -= 1
        try:
            answer = done.result()
        except Exception:  # the loop serves all other connections
            logger.exception("a refusal was not counted")
            self._drop(conn)
            return
        self._wait(conn, DISCARD_S)
        self._send_refusal(conn, answer)

    def _send_refusal(self, conn: Connection, answer: ErrorReply) -> None:
        refusal = conn.refusal
        keeps_open = self.alive and refusal is not None and refusal.left_bytes <= DISCARD_BYTES
        reply = answer.as_bytes(keeps_open=keeps_open)
        conn.is_answered = True
        conn.deadline = time.monotonic() + DISCARD_S
        try:
            is_sent = conn.sock.send(reply) == len(reply)
        except OSError:
            is_sent = False
        if not is_sent:  # the client has disconnected, or sends without reading
            self._stop_waiting(conn)
            self._drop(conn)
        elif refusal is None or not refusal.left_bytes or not keeps_open:
            self._end_refused(conn, keeps_open=keeps_open)

    def _end_refused(self, conn: Connection, *, keeps_open: bool) -> None:
        """Wait for the next request after a refusal, or close."""
        conn.refusal, conn.head, conn.wanted, conn.is_idle = None, None, 0, True
        self._stop_waiting(conn)
        if not keeps_open:
            self._end(conn)
            return
        self._wait(conn, self.cfg.keepalive)
        if conn.received:  # the next request; it is not handled here, to avoid recursion
            early, conn.received = bytes(conn.received), bytearray()
            self.method_queue.defer(self._receive_next, conn, early)

    def _receive_next(self, conn: Connection, early: bytes) -> None:
        if conn in self._connections:
            self._receive(conn, early)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections past their deadline. gunicorn calls this after each event, which is too often."""
        now = time.monotonic()
        if now < self._look_at and not force:
            return
        self._look_at = now + LOOK_EVERY_S
        for conn in [conn for conn in self._connections if force or conn.deadline <= now]:
            if conn.refusal is not None and not conn.is_answered and not force:
                self._answer_refused(conn, conn.refusal)
                continue
            self._stop_waiting(conn)
            if conn.received and conn.refusal is None and not conn.is_ending and not force:
                self._answer(conn, early_errors.refusal("the request came too slowly", str(uuid4())))
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self._connections:
            if conn.is_idle and conn.outbox is None:
                conn.deadline = min(conn.deadline, deadline)

    # --- a request in its thread -----------------------------------------------------

    def handle(self, conn: Connection) -> Any:
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(conn.received))
        conn.received = bytearray()
        with watchdog.guard(conn.sock, time.monotonic() + HEADERS_S) as conn.guard:
            return super().handle(conn)

    def handle_request(self, req: Any, conn: Connection) -> bool:
        self._current.guard = conn.guard
        is_upload = conn.head is not None and conn.head.kind is Kind.UPLOAD
        conn.guard.deadline = time.monotonic() + _upload_s(req) if is_upload else math.inf
        sock = conn.sock
        conn.sock = conn.outbox = response_buffer.Outbox(sock, self._budget)
        slow = self._uploads.receive(sock, conn.address) if is_upload else contextlib.nullcontext()
        try:
            with slow:
                return super().handle_request(req, conn)
        finally:
            conn.sock = sock

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        is_ours = isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName)
        if is_ours or not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = str(uuid4())
        logger.info("invalid HTTP", extra={"error": type(exc).__name__, "request_id": request_id})
        with contextlib.suppress(OSError):  # the client may have disconnected
            util.write_nonblock(client, early_errors.refusal(str(exc), request_id))

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Discard the rest of the body; return whether the connection can be used again.

        The few threads for probes do not wait for it: they would all be held by one client.
        """
        is_probe = conn.head is not None and conn.head.kind in (Kind.HEALTH, Kind.READY)
        deadline = time.monotonic() + (PROBE_DISCARD_S if is_probe else DISCARD_S)
        try:
            return keepalive and conn.parser.finish_body(deadline=deadline, max_bytes=DISCARD_BYTES)
        except ParseException:  # the reply has been sent, so the error cannot be reported
            return False


def _upload_s(req: Any) -> float:
    """Return the time limit in seconds for the body of a page, by its declared length."""
    length = next((value for name, value in req.headers if name == "CONTENT-LENGTH"), "")
    size = int(length) if length.isascii() and length.isdigit() else DISCARD_BYTES
    return UPLOAD_S + min(size, DISCARD_BYTES) / (4 * MIN_BYTES_PER_S)
