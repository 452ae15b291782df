"""Overload: which calls are admitted, which are rejected, and how rejections are counted."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from pytest_django import Settings

from accounts import keys
from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from faceapi import calls, errors, urls
from faceapi.authentication import signing
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.limits import admission, shedding, unverified
from faceapi.limits.admission import ProcessLimiter
from faceapi.usage import unattributed
from facecloud.web import request_head
from tests.conftest import wait_until
from tests.faceapi.conftest import (
    DETECT,
    LIMITS,
    Answer,
    Caller,
    encode,
    inline,
    next_millisecond,
    read_answer,
    read_answers,
    running_site,
)
from tests.faceapi.dispatch.workers import chunks, frozen


def inside(process_limiter: ProcessLimiter, stack: ExitStack, customer: int) -> bool:
    try:
        stack.enter_context(process_limiter.pass_through(customer))
    except ApiError:
        return False
    return True


def test_after_overload_enough_calls_are_admitted_to_keep_workers_busy() -> None:
    process_limiter = ProcessLimiter(24)
    with ExitStack() as stack:
        assert sum(inside(process_limiter, stack, 1) for _ in range(30)) == 18
        assert process_limiter.is_overloaded()
    with ExitStack() as stack:
        assert sum(inside(process_limiter, stack, 1) for _ in range(30)) == admission.LEAST_OPEN
        assert inside(process_limiter, stack, 2)  # another customer's first call
        assert not inside(process_limiter, stack, 2)
    for _ in range(100):
        process_limiter.learn(queue_ms=1.0, infer_ms=10.0)
    with ExitStack() as stack:
        wider = sum(inside(process_limiter, stack, 1) for _ in range(30))
    assert wider > admission.LEAST_OPEN
    process_limiter.learn(queue_ms=1000.0, infer_ms=10.0)
    for _ in range(50):
        process_limiter._cut_at = 0.0
        process_limiter.learn(queue_ms=1000.0, infer_ms=10.0)
    with ExitStack() as stack:
        assert sum(inside(process_limiter, stack, 1) for _ in range(30)) == admission.LEAST_OPEN


def test_a_burst_of_one_customer_is_refused_and_another_is_served(
    caller: Caller, stranger: Caller, app: App
) -> None:
    image = [inline(encode((300, 300)))]
    with ThreadPoolExecutor(40) as pool:
        burst = [pool.submit(caller.call, image) for _ in range(60)]
        beside = [stranger.call([inline(encode())]).code for _ in range(3)]
        codes = [future.result().code for future in burst]
    assert beside == [0] * 3
    assert set(codes) <= {0, errors.RATE, errors.OVERLOADED}
    assert 0 in codes
    refused = sum(code != 0 for code in codes)

    def counted() -> int:
        return sum(app.usage.exclude(code=0).values_list("calls", flat=True))

    wait_until(lambda: counted() == refused, timeout_s=20, what="every refusal is counted")


# --- refused before the views ----------------------------------------------------


@pytest.fixture
def overloaded(monkeypatch: pytest.MonkeyPatch) -> ProcessLimiter:
    """Yield the limiter of this process, overloaded and full."""
    process_limiter = ProcessLimiter(1)
    monkeypatch.setattr(admission, "process_limiter", lambda: process_limiter)
    return process_limiter


SENDER = "203.0.113.9"
APIS = {address: view.api.value for address, view in urls.ADDRESSES.items()}


def site(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return [b"the views"]


def shed(
    app: App,
    *,
    forged: bool = False,
    path: str = DETECT,
    at_ms: int | None = None,
    stream: io.BytesIO | None = None,
) -> tuple[bytes, list[Any]]:
    key, body = app.keys.get(), b'{"data": []}'
    headers = signing.sign(key.key, keys.secret_of(key), "POST", path, "", at_ms or next_millisecond(), body)
    if forged:
        headers["Authorization"] = f"CTYUN {key.key}:{'0' * 64}"
    started: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "RAW_URI": path,
        "REMOTE_ADDR": SENDER,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": headers["Authorization"],
        "HTTP_X_CTYUN_DT": headers["X-CTYUN-DT"],
        "wsgi.input": stream or io.BytesIO(body),
    }
    content = b"".join(shedding.Shedding(site, APIS)(environ, lambda *given: started.append(given)))
    return content, started


def test_only_calls_that_the_limiter_would_reject_are_shed(app: App, overloaded: ProcessLimiter) -> None:
    shedding.remember(app.keys.get())
    assert shed(app)[0] == b"the views"  # nothing has been refused yet
    with ExitStack() as stack:
        assert inside(overloaded, stack, app.customer_id)
        assert not inside(overloaded, stack, app.customer_id)
        content, started = shed(app)
        assert (started[0][0], b'"code":5003' in content) == ("503 Service Unavailable", True)
        assert shed(app, path="/console/")[0] == b"the views"
        shedding._known.clear()
        assert shed(app)[0] == b"the views"  # this key was not verified recently
    assert overloaded.is_overloaded()
    shedding.remember(app.keys.get())
    assert shed(app)[0] == b"the views"  # a slot is free again


def test_a_shed_call_is_counted_for_its_app_only_if_it_is_signed(
    app: App, overloaded: ProcessLimiter
) -> None:
    shedding.remember(app.keys.get())
    before = unattributed.counts().get(errors.OVERLOADED, 0)
    with ExitStack() as stack:
        inside(overloaded, stack, app.customer_id)
        inside(overloaded, stack, app.customer_id)
        for _ in range(3):
            shed(app)
        shed(app, forged=True)
    unattributed.flush()
    wait_until(lambda: app.usage.exists(), timeout_s=20, what="a flush")
    assert sum(app.usage.values_list("calls", flat=True)) == 3
    assert unattributed.counts()[errors.OVERLOADED] == before + 1


@pytest.mark.parametrize("path", sorted(APIS))
def test_calls_of_every_api_are_shed(path: str, app: App, overloaded: ProcessLimiter) -> None:
    shedding.remember(app.keys.get())
    with ExitStack() as stack:
        inside(overloaded, stack, app.customer_id)
        inside(overloaded, stack, app.customer_id)
        assert b'"code":5003' in shed(app, path=path)[0]
    assert APIS["/api/v1/face_group_add.json"] == "face_search"


def test_forged_bodies_that_are_shed_count_for_their_address(
    app: App, overloaded: ProcessLimiter, settings: Settings
) -> None:
    settings.UNVERIFIED_BYTES_PER_MINUTE = 20  # slightly more than two bodies of shed()
    client, key = valkey.client(), f"faceapi:unverified:{SENDER}"
    client.delete(key)
    shedding.remember(app.keys.get())
    try:
        with ExitStack() as stack:
            inside(overloaded, stack, app.customer_id)
            inside(overloaded, stack, app.customer_id)
            shed(app)
            assert not client.exists(key)  # signed bodies cost nothing
            contents = [shed(app, forged=True)[0] for _ in range(3)]
            unread = io.BytesIO(b"unread")
            refused, started = shed(app, forged=True, stream=unread)
        assert [b'"code":5003' in content for content in contents] == [True, True, False]
        assert b'"code":4291' in refused
        assert started[0][0] == "429 Too Many Requests"
        assert unread.tell() == 0
    finally:
        client.delete(key)
        unverified._refused_until.clear()


def test_the_received_part_of_an_aborted_body_counts_too(
    app: App, overloaded: ProcessLimiter, settings: Settings
) -> None:
    settings.UNVERIFIED_BYTES_PER_MINUTE = 10
    client, key = valkey.client(), f"faceapi:unverified:{SENDER}"
    client.delete(key)
    shedding.remember(app.keys.get())
    try:
        with ExitStack() as stack:
            inside(overloaded, stack, app.customer_id)
            inside(overloaded, stack, app.customer_id)
            assert b'"code":5003' in shed(app, stream=io.BytesIO(b'{"d'))[0]
        assert 0 < client.pttl(key) <= 3 * 6000  # three bytes, at ten a minute
    finally:
        client.delete(key)


def test_a_replay_that_is_shed_is_counted_once_for_its_app(app: App, overloaded: ProcessLimiter) -> None:
    shedding.remember(app.keys.get())
    at_ms = int(time.time() * 1000)
    with ExitStack() as stack:
        inside(overloaded, stack, app.customer_id)
        inside(overloaded, stack, app.customer_id)
        for _ in range(3):
            shed(app, at_ms=at_ms)
    unattributed.flush()
    wait_until(lambda: app.usage.exists(), timeout_s=20, what="a flush")
    assert sum(app.usage.values_list("calls", flat=True)) == 1


def test_4106_for_a_forbidden_address_under_overload_too(app: App, overloaded: ProcessLimiter) -> None:
    App.objects.filter(pk=app.pk).update(allowed_addresses=["198.51.100.0/24"])
    app.refresh_from_db()
    shedding._known.clear()
    shedding.remember(app.keys.get())
    with ExitStack() as stack:
        inside(overloaded, stack, app.customer_id)
        inside(overloaded, stack, app.customer_id)
        content, started = shed(app)
    assert b'"code":4106' in content
    assert started[0][0] == "401 Unauthorized"
    unattributed.flush()
    assert not app.usage.exists()


# --- refused in the event loop ------------------------------------------------------


def test_the_event_loop_sheds_calls_and_counts_them(
    caller: Caller, app: App, worker: Process, product_environment: dict[str, str]
) -> None:
    """A call holds the only slot while its worker is suspended. A thread's answers have a Server header."""
    sender, client, key = "203.0.113.79", valkey.client(), "faceapi:unverified:203.0.113.79"
    client.delete(key)
    small, large = caller.body([]), b" " * 300_000
    by_loop: list[tuple[int, bool]] = []

    def note(answers: list[Answer]) -> None:
        by_loop.extend((answer.code, "Server" not in answer.headers) for answer in answers)

    def request(body: bytes, **more: str) -> bytes:
        lines = [f"{name}: {value}" for name, value in more.items()]
        return caller.head(body, f"Content-Length: {len(body)}", *lines) + body

    one = LIMITS | {"CALLS_AT_ONCE": "1", "DEADLINE_S": "300", "WORKER_RETURN_S": "300"}
    one["UNVERIFIED_BYTES_PER_MINUTE"] = "400000"  # so low that the 200 kB still count when they are checked
    with running_site(product_environment | one, "one-place") as site, ThreadPoolExecutor(1) as pool:
        caller.address = site.address
        assert caller.call([inline(encode())]).code == 0  # from now on the process knows the key
        with frozen(worker):
            waiting = pool.submit(caller.call, [inline(encode())], timeout_s=300)
            wait_until(lambda: bool(chunks()), timeout_s=60, what="its chunk: now it has the place")
            wait_until(lambda: caller.call([inline(encode())]).code != 0, timeout_s=60, what="a refusal")
            with caller.raw() as sock:  # one connection
                sock.sendall(request(small))
                note(read_answers(sock, 1))
                whole = request(small)
                sock.sendall(whole[:-5])
                time.sleep(0.2)
                sock.sendall(whole[-5:])
                note(read_answers(sock, 1))
                sock.sendall(request(small) + request(small) + request(small))
                note(read_answers(sock, 3))
                sock.sendall(request(large) + request(small))  # the large one is rejected by its head
                note(read_answers(sock, 2))
            assert by_loop == [(errors.OVERLOADED, True)] * 7
            with caller.raw() as sock:  # the server does not wait for a missing body
                sock.sendall(caller.head(small, "Content-Length: 100", f"X-Forwarded-For: {sender}") + b"{")
                note(read_answers(sock, 1))
            forged = {"X_Forwarded_For": sender, "Authorization": f"CTYUN {caller.key.key}:{'0' * 64}"}
            note([caller.send(b" " * 200_000, **forged)])
            assert client.exists(key)
            unverified.add(client, sender, 10**13)
            note([caller.send(b" " * 200_000, **forged)])
            refused = caller.send(b" " * 200_000, **forged)
            assert (refused.code, "Server" in refused.headers) == (errors.RATE, True)
            with caller.raw() as sock:  # not a plain head, so a thread handles it
                sock.sendall(
                    caller.head(small, "Transfer-Encoding: chunked") + b"c\r\n%s\r\n0\r\n\r\n" % small
                )
                assert read_answer(sock).headers["Server"] == "gunicorn"
            assert by_loop == [(errors.OVERLOADED, True)] * 10

            def counted() -> int:
                return sum(app.usage.exclude(code=0).values_list("calls", flat=True))

            wait_until(lambda: counted() == 7, timeout_s=30, what="the signed refusals, one by the views")
        assert waiting.result().code == 0
        wait_until(lambda: caller.call([inline(encode())]).code == 0, timeout_s=60, what="calls are served")
    client.delete(key)


PLAIN = (
    b"POST /api/v1/face_detect.json?a=1 HTTP/1.1\r\nHost: x\r\nAuthorization: CTYUN a:b\r\n"
    b"X-CTYUN-DT:  17 \r\ncontent-length: 12\r\n\r\n"
)


def test_a_plain_head_is_converted_to_wsgi_variables() -> None:
    assert request_head.plain_call(PLAIN) == {
        "REQUEST_METHOD": "POST",
        "RAW_URI": "/api/v1/face_detect.json?a=1",
        "PATH_INFO": "/api/v1/face_detect.json",
        "CONTENT_LENGTH": "12",
        "HTTP_HOST": "x",
        "HTTP_AUTHORIZATION": "CTYUN a:b",
        "HTTP_X_CTYUN_DT": "17",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"GET"), (b"HTTP/1.1", b"HTTP/1.0"), (b"HTTP/1.1", b"HTTP/1.1 "), (b" /api", b"  /api"),
        (b" /api", b" http://x/api"), (b"?a=1", b"?a=\xe4"), (b"?a=1", b"?a 1"), (b"Host: x\r\n", b""),
        (b"Host: x", b"Host: x\r\nhost: y"), (b"Host: x", b"Host : x"), (b"Host: x", b"Host: x\r\n y"),
        (b"Host: x", b"Host: x\x00"), (b"Host: x", b"Host: x\ny"), (b"Host: x", b"Host: \xff"),
        (b"content-length: 12", b"content-length: 12\r\nContent-Length: 13"), (b": 12", b": +12"),
        (b": 12", b": 1 2"), (b": 12", b":"), (b"content-length", b"content_length"),
        (b"Host: x", b"Host: x\r\nTransfer-Encoding: chunked"),
        (b"Host: x", b"Host: x\r\nExpect: 100-continue"),
        (b"Host: x", b"Host: x\r\nConnection: close"), (b"Host: x", b"Host: x\r\nUpgrade: h2c"),
        (b"Host: x", b"Host: x" + b"".join(b"\r\nX-%d: y" % number for number in range(40))),
    ],
)  # fmt: skip
def test_an_ambiguous_head_is_not_plain(old: bytes, new: bytes) -> None:
    assert old in PLAIN
    assert request_head.plain_call(PLAIN.replace(old, new, 1)) is None


def test_unattributed_errors_that_cannot_be_written_are_bounded(
    app: App, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is unavailable while several Apps are called."""
    monkeypatch.setattr(unattributed, "MAX_GROUPS", 3)
    monkeypatch.setattr(unattributed, "_by_group", {})
    call = CallContext(calls.new_id(now), "face_detect", now, None)
    call.key = app.keys.get()
    sample = unattributed._sample(call, ApiError(errors.RATE))
    groups = [unattributed.Group(number, 1, "face_detect", now, errors.RATE) for number in range(6)]
    taken = {group: unattributed.Pending(sample, 2) for group in groups[:3]}
    unattributed._by_group.update({group: unattributed.Pending(sample, 1) for group in groups[2:5]})
    unattributed._keep(taken, OSError())
    kept = {group.app: pending.calls for group, pending in unattributed._by_group.items()}
    assert kept == {2: 3, 3: 1, 4: 1}
