"""Bodies that arrive in chunks, slowly or not at all, and the memory that large ones take."""

import json
import socket
import time
from pathlib import Path

import psutil
import pytest

from accounts.models import App
from embedded.services.managed_process import Process
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline, read_answer
from tests.faceapi.dispatch.workers import frozen, left_behind


def small() -> bytes:
    return json.dumps({"data": [inline(encode())]}).encode()


def is_given_back(app: App) -> bool:
    return not app.debits.exclude(state="returned").exists()


@pytest.mark.parametrize("width", [1, 7, 1000, 10**6])
def test_a_chunked_body_without_a_length_is_read(caller: Caller, width: int) -> None:
    body = small()
    with caller.raw() as sock:
        sock.sendall(caller.head(body, "Transfer-Encoding: chunked"))
        chunks = (body[i : i + width] for i in range(0, len(body), width))
        sock.sendall(b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n")
        assert read_answer(sock).code == 0


@pytest.mark.parametrize("width", [7, 10**8], ids=["small chunks", "one chunk"])
@pytest.mark.parametrize("size", [(64, 64), (1000, 700)], ids=["small", "large"])
def test_a_chunked_body_in_one_piece_with_its_head_is_read(
    caller: Caller, size: tuple[int, int], width: int
) -> None:
    """The server's first read takes the head with a part of the body, or with all of it."""
    body = json.dumps({"data": [inline(encode(size))]}).encode()
    chunks = (body[i : i + width] for i in range(0, len(body), width))
    content = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    with caller.raw() as sock:
        sock.sendall(caller.head(body, "Transfer-Encoding: chunked") + content)
        assert read_answer(sock).code == 0


def test_a_body_sent_byte_by_byte_is_read(caller: Caller) -> None:
    body = json.dumps({"data": ["data:application/octet-stream;base64,R0lGODlh"]}).encode()
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        for byte in body:
            sock.sendall(bytes([byte]))
        assert read_answer(sock).code == 4002


def test_100_continue_is_sent_if_expected(caller: Caller) -> None:
    body = small()
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert read_answer(sock).code == 0


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_4019_for_a_body_that_ends_in_the_middle(caller: Caller, app: App, framing: str) -> None:
    body = small()
    with caller.raw() as sock:
        sock.sendall(caller.head(body, framing))
        sock.sendall(b"fff\r\nabc" if "chunked" in framing else body[:100])
        sock.shutdown(socket.SHUT_WR)  # the answer can still be read
        assert read_answer(sock).code == 4019
    assert not app.calls.exists()  # an unverified call is in no App's records
    assert is_given_back(app)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-5\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcXX0\r\n\r\n",
        b"1" * 100_000,
        b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
    ids=["no size", "a negative size", "no end of a chunk", "an endless size", "endless trailers"],
)
def test_4019_for_malformed_chunks(caller: Caller, app: App, chunks: bytes) -> None:
    with caller.raw() as sock:
        sock.sendall(caller.head(b"", "Transfer-Encoding: chunked") + chunks)
        answer = read_answer(sock)
        assert (answer.code, answer.status) == (4019, 400), answer.json
        assert "the next chunk is invalid" in answer.json["detail"]
    assert is_given_back(app)


def test_4019_for_a_body_that_is_too_slow(caller: Caller, app: App) -> None:
    """BODY_GRACE_S is 2 here; with a byte each 100 ms, no single recv() times out."""
    body = small()
    started = time.monotonic()
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        sock.settimeout(0.1)
        answer = None
        for byte in body * 10:
            try:
                sock.sendall(bytes([byte]))
                if sock.recv(1, socket.MSG_PEEK):
                    sock.settimeout(30)
                    answer = read_answer(sock)
                    break
            except TimeoutError:
                continue
    assert answer is not None
    assert answer.code == 4019
    assert "too slow: at least 1048576 bytes per second are required" in answer.json["detail"]
    assert 1.5 < time.monotonic() - started < 8
    assert is_given_back(app)


def test_a_client_that_hangs_up_in_its_body_leaves_nothing(
    caller: Caller, app: App, tight_site: Process
) -> None:
    body = json.dumps({"data": [inline(encode((1000, 1000)))] * 20}).encode()
    files = open_spools(tight_site)
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        sock.sendall(body[: len(body) // 2])
        wait_until(lambda: open_spools(tight_site) > files, timeout_s=10, what="a spool")
    wait_until(lambda: open_spools(tight_site) == files, timeout_s=10, what="the spool is gone")
    assert not app.calls.exists()
    assert is_given_back(app)
    assert left_behind() == []


def test_a_client_that_hangs_up_before_its_answer_is_not_charged(
    caller: Caller, app: App, worker: Process
) -> None:
    body = json.dumps({"data": [inline(encode())] * 10}).encode()  # its deadline is 26 s
    with frozen(worker):
        with caller.raw() as sock:
            sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
            sock.sendall(body)
            wait_until(lambda: app.debits.filter(state="held").exists(), timeout_s=20, what="the debit")
        wait_until(lambda: app.calls.exists(), timeout_s=30, what="the call's record")
    assert app.calls.get().code == 4019
    assert is_given_back(app)


def test_slow_headers_time_out(caller: Caller) -> None:
    started = time.monotonic()
    with caller.raw() as sock:
        sock.settimeout(0.5)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
        closed = False
        while not closed and time.monotonic() - started < 20:
            try:
                sock.sendall(b"X: y\r\n")
                closed = not sock.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                closed = True
    assert closed
    assert time.monotonic() - started < 14


def test_a_large_body_takes_little_memory(caller: Caller, app: App, tight_site: Process) -> None:
    """With 40 images of 1.1 MB, the web process grows by much less than the body, and keeps no spool."""
    picture = encode((700, 540), kind="PNG")
    assert len(picture) > 1_000_000
    body = json.dumps({"data": [inline(picture)] * 40}).encode()
    assert len(body) > 55_000_000
    files = open_spools(tight_site)
    before = anonymous_memory(tight_site)
    with caller.raw() as sock:
        sock.settimeout(120)
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        peak = before
        for at in range(0, len(body), 1_000_000):
            sock.sendall(body[at : at + 1_000_000])
            peak = max(peak, anonymous_memory(tight_site))
        assert read_answer(sock).code == 0
        peak = max(peak, anonymous_memory(tight_site))
    assert peak - before < 20_000_000
    assert open_spools(tight_site) == files
    assert app.debits.get().units == 40


def web_processes(site: Process) -> list[psutil.Process]:
    return psutil.Process(site.pid).children()


def open_spools(site: Process) -> int:
    """Return the unnamed files that the web processes have open."""
    links = [link for web in web_processes(site) for link in Path(f"/proc/{web.pid}/fd").iterdir()]
    return sum("memfd:spool" in target for target in map(read_link, links))


def read_link(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def anonymous_memory(site: Process) -> int:
    """Return the bytes of anonymous memory of the web processes."""
    total = 0
    for web in web_processes(site):
        for line in Path(f"/proc/{web.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
    return total
