"""Clients that send, read or close slowly do not affect others: raw sockets and a real gunicorn."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from common import watchdog
from facecloud.web import request_head, response_buffer
from facecloud.web.request_head import Kind
from tests.conftest import wait_until
from tests.faceapi.conftest import DETECT, LIMITS, Site

PATHS = {"/healthz": 200, "/readyz": 200, "/login/": 200, DETECT: 405}
FORM = b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\nusername="
LARGE = "/static/vendor/chart.umd.min.js"


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for sock in opened:
        sock.close()


def connect(site: Site, source: str = "127.0.0.1", receive_bytes: int = 0) -> socket.socket:
    host, _, port = site.address.partition(":")
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(30)
    sock.bind((source, 0))
    sock.connect((host, int(port)))
    return sock


def status(site: Site, path: str) -> int:
    connection = http.client.HTTPConnection(site.address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return reply.status


def all_answer(site: Site) -> bool:
    return {path: status(site, path) for path in PATHS} == PATHS


def is_closed(sock: socket.socket) -> bool:
    """Read what the server has sent; return whether it has closed the connection."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n"),
        (FORM % 1000, b"a"),
        (FORM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") % 0, b""),
    ],
    ids=["nothing", "headers", "a form", "a chunked form"],
)
def test_slow_senders_take_no_slot_and_are_disconnected(
    tight_site: Site, sockets: list[socket.socket], start: bytes, more: bytes
) -> None:
    for _ in range(100):
        sockets.append(connect(tight_site))
        sockets[-1].sendall(start)
    assert all_answer(tight_site)
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.sendall(more)
    assert all_answer(tight_site)
    wait_until(lambda: all(map(is_closed, sockets)), timeout_s=90, what="the end of the slow connections")


@pytest.mark.parametrize(("path", "number"), [("/healthz", 12), ("/readyz", 24)])
def test_probes_do_not_wait_for_bodies_that_never_come(
    tight_site: Site, sockets: list[socket.socket], path: str, number: int
) -> None:
    """Each request is answered at once, and then its thread would wait five seconds for the body."""
    for _request in range(number):
        sockets.append(sock := connect(tight_site))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n".encode())
    assert sockets[-1].recv(12) == b"HTTP/1.1 200"  # within the 30 s of its timeout
    assert all_answer(tight_site)


def test_a_slow_upload_does_not_delay_pages(tight_site: Site, sockets: list[socket.socket]) -> None:
    """It occupies a thread, but not one of those for pages."""
    for _ in range(40):
        sockets.append(connect(tight_site))
        sockets[-1].sendall(FORM % 2_000_000)
    for _ in range(3):
        assert all_answer(tight_site)


def test_slow_uploads_do_not_delay_fast_ones(tight_site: Site, sockets: list[socket.socket]) -> None:
    """If there are too many, the slowest are aborted; until then most of them wait in the queue."""
    for _ in range(40):
        sockets.append(connect(tight_site))
        sockets[-1].sendall(FORM % 2_000_000)
    for _ in range(3):
        connection = http.client.HTTPConnection(tight_site.address, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/login/", b"username=" + b"a" * 300_000)
            assert connection.getresponse().status in (400, 403)


def test_idle_connections_over_the_limit_are_closed(tight_site: Site, sockets: list[socket.socket]) -> None:
    """Those that have waited longest are closed first."""
    room = int(LIMITS["WEB_CONNECTIONS"])
    for _ in range(room + 50):
        sockets.append(connect(tight_site))
    assert all_answer(tight_site)
    assert sum(map(is_closed, sockets[:60])) >= 50


def test_the_connections_of_one_address_are_limited(tight_site: Site, sockets: list[socket.socket]) -> None:
    most = int(LIMITS["WEB_CONNECTIONS_PER_ADDRESS"])
    others = [connect(tight_site) for _ in range(3)]  # these come from a trusted proxy
    sockets += others
    greedy = [connect(tight_site, "127.0.0.2") for _ in range(most + 20)]
    sockets += greedy
    assert all_answer(tight_site)
    assert sum(map(is_closed, greedy)) >= 20
    assert not any(map(is_closed, others))
    busy = [connect(tight_site, "127.0.0.3") for _ in range(most)]
    sockets += busy
    for sock in busy:  # none of them is idle: each has a thread or is queued for one
        sock.sendall(FORM % 2_000_000)
    time.sleep(3)
    over = connect(tight_site, "127.0.0.3")
    sockets.append(over)
    assert over.recv(1000).startswith(b"HTTP/1.1 429 ")


def test_slow_readers_do_not_delay_others(tight_site: Site, sockets: list[socket.socket]) -> None:
    for _ in range(40):
        sockets.append(connect(tight_site, receive_bytes=4096))
        sockets[-1].sendall(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    for _ in range(3):
        assert all_answer(tight_site)
    sock = sockets[0]  # the reply that was buffered in memory is complete
    reply = http.client.HTTPResponse(sock)
    reply.begin()
    assert len(reply.read()) == int(reply.headers["Content-Length"]) > 200_000
    reply.close()


def test_clients_that_do_not_close_do_not_delay_others(
    tight_site: Site, sockets: list[socket.socket]
) -> None:
    """After the last reply the server waits for the client to close, without blocking its event loop."""
    for _ in range(40):
        sockets.append(connect(tight_site))
        sockets[-1].sendall(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n")
    assert all_answer(tight_site)


def test_a_form_in_two_pieces_is_served(tight_site: Site, sockets: list[socket.socket]) -> None:
    sock = connect(tight_site)
    sockets.append(sock)
    body = b"username=alice&password=wrong"
    sock.sendall(FORM % len(body))
    time.sleep(0.5)
    sock.sendall(body.removeprefix(b"username="))
    assert sock.recv(1000).startswith(b"HTTP/1.1 403 ")  # no CSRF token: the form was read


HEADS = {
    b"GET /healthz HTTP/1.1": Kind.HEALTH,
    b"GET /healthz?x HTTP/1.1": Kind.HEALTH,
    b"GET http://example.org/healthz HTTP/1.1": Kind.HEALTH,
    b"GET /readyz HTTP/1.1": Kind.READY,
    b"GET /metrics HTTP/1.1": Kind.READY,
    b"POST /api/v1/face_detect.json?a=b HTTP/1.1": Kind.API,
    b"POST /v1/face_detect.json HTTP/1.1\r\nContent-Length: 999999999": Kind.API,
    b"GET /api/schema/ HTTP/1.1": Kind.PAGE,
    b"POST /login/ HTTP/1.1\r\nX: y\r\ncontent-length:  100": Kind.PAGE,
    b"POST /login/ HTTP/1.1\r\nContent-Length: 101": Kind.UPLOAD,
    b"POST /login/ HTTP/1.1\r\nTransfer-Encoding: chunked": Kind.UPLOAD,
    b"POST /login/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5": Kind.UPLOAD,
    b"\x16\x03\x01": Kind.PAGE,
}


@pytest.mark.parametrize("head", HEADS)
def test_requests_are_assigned_to_pools_by_their_heads(head: bytes) -> None:
    found = request_head.read(head + b"\r\n\r\n", max_bytes=100)
    assert found.kind is HEADS[head]
    assert found.body_bytes == (100 if b":  100" in head else 0)


# --- the reply --------------------------------------------------------------------


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.settimeout(60)
    theirs.settimeout(60)
    return ours, theirs


def test_unread_replies_are_buffered_within_a_budget() -> None:
    ours, theirs = pair()
    with ours, theirs:
        budget = response_buffer.Budget(300_000)
        outbox = response_buffer.Outbox(ours, budget)
        content = bytes(range(256)) * 1000
        outbox.sendall(content[:100_000])
        outbox.sendall(content[100_000:])
        assert 0 < outbox.waiting_bytes < len(content)
        received = bytearray()
        while len(received) < len(content):
            received += theirs.recv(65536)
            outbox.flush()
        assert received == content
        assert outbox.flush()
        assert budget.take(300_000)  # the whole budget is free again
        reader = threading.Thread(target=lambda: read_all(theirs, len(content), received))
        received.clear()
        reader.start()
        outbox.sendall(content)  # without a budget it waits for the reader
        reader.join(timeout=60)
        assert received == content


def read_all(sock: socket.socket, size: int, into: bytearray) -> None:
    while len(into) < size:
        into += sock.recv(65536)


@pytest.mark.parametrize("how", [socket.SHUT_RDWR])
def test_a_write_that_takes_too_long_ends(how: int) -> None:
    ours, theirs = pair()
    with ours, theirs, watchdog.guard(ours, time.monotonic() + 1) as guard:
        guard.how = how
        with pytest.raises(OSError, match="Broken pipe"):
            ours.sendall(bytes(10_000_000))
        assert guard.expired


def test_only_the_time_spent_waiting_for_the_reader_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair()
    with ours, theirs:
        guard = watchdog.Guard(ours, 0.0)
        pieces = [b"x" * 1000, b"y" * 1000]
        serve = response_buffer.bounded(lambda environ, start: pieces, lambda: guard)
        reply = iter(serve({}, _no_start))
        next(reply)
        first = guard.deadline - time.monotonic()
        assert response_buffer.longest_s(1000) - 5 < first <= response_buffer.longest_s(1000)
        next(reply)
        assert guard.deadline - time.monotonic() <= response_buffer.longest_s(2000)
        assert list(reply) == []


def _no_start(*arguments: object) -> None:
    """Ignore the start of a response."""
