"""An AppKey without its SecretKey cannot block its owner, use up a limit or write a record."""

import socket
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import datetime

import pytest
from pytest_django import Settings

from accounts.models import App, AppKey
from billing import quota
from common import valkey
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.limits import unverified
from faceapi.request.uploads import Uploads
from faceapi.usage import reconcile, unattributed
from tests.conftest import wait_until
from tests.faceapi.conftest import DETECT, LIMITS, Caller, encode, inline, read_answer, running_site

FORGED = "0" * 64


def forged_head(caller: Caller, length: int) -> bytes:
    lines = [
        f"POST {DETECT} HTTP/1.1",
        f"Host: {caller.address}",
        f"Authorization: CTYUN {caller.key.key}:{FORGED}",
        f"X-CTYUN-DT: {int(time.time() * 1000)}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_slow_forged_bodies_do_not_refuse_the_owner(caller: Caller) -> None:
    """40 connections with the owner's AppKey each send one byte, and are reopened when they are closed."""
    with ExitStack() as stack:
        opened: list[socket.socket] = []

        def fill() -> None:
            for sock in list(opened):
                try:
                    if sock.recv(4096, socket.MSG_DONTWAIT) == b"":
                        opened.remove(sock)
                except BlockingIOError:
                    continue
                except OSError:
                    opened.remove(sock)
            while len(opened) < 40:
                sock = stack.enter_context(caller.raw())
                sock.sendall(forged_head(caller, 1_000_000) + b"{")
                opened.append(sock)

        codes = []
        for _ in range(8):
            fill()
            time.sleep(0.3)
            codes.append(caller.call([inline(encode((300, 300)))]).code)
    assert codes == [0] * 8


def test_slow_forged_bodies_hold_no_database_connection(
    caller: Caller, product_environment: dict[str, str]
) -> None:
    few = LIMITS | {"DB_CONNECTIONS": "2", "BODY_GRACE_S": "60"}
    with running_site(product_environment | few, "few") as site, ExitStack() as stack:
        caller.address = site.address
        for _ in range(6):
            sock = stack.enter_context(caller.raw())
            sock.sendall(forged_head(caller, 1_000_000) + b"{")
        assert caller.call([inline(encode((300, 300)))]).code == 0


def test_forged_calls_use_up_no_rate_and_are_not_recorded(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(rate_per_s=1, concurrency=1)
    before = unattributed.counts().get(errors.BAD_SIGNATURE, 0)
    for _ in range(12):
        answer = caller.call([inline(encode())], Authorization=f"CTYUN {caller.key.key}:{FORGED}")
        assert answer.code == errors.BAD_SIGNATURE
    assert caller.call([inline(encode())]).code == 0  # the rate limit is one a second
    wait_until(
        lambda: unattributed.counts().get(errors.BAD_SIGNATURE, 0) - before == 12,
        timeout_s=20,
        what="a flush",
    )
    assert list(app.calls.values_list("code", flat=True)) == [0]
    assert list(app.usage.values_list("code", "calls")) == [(0, 1)]


# --- the allowance of an address ------------------------------------------------------


def test_4291_for_an_address_whose_bodies_are_not_signed(caller: Caller, app: App) -> None:
    # The address of a proxy has no allowance, because many callers may share it.
    sender, client, key = "203.0.113.77", valkey.client(), "faceapi:unverified:203.0.113.77"
    client.delete(key)
    forged, large = f"CTYUN {caller.key.key}:{FORGED}", [inline(encode((500, 500), kind="PNG"))]
    try:
        assert caller.call(large, X_Forwarded_For=sender).code == 0
        assert not client.exists(key)  # verified bodies cost nothing
        unverified.add(client, sender, 10**13)
        before = unattributed.counts().get(errors.RATE, 0)
        answer = caller.call(large, X_Forwarded_For=sender, Authorization=forged)
        assert (answer.code, int(answer.headers["Retry-After"]) > 1) == (errors.RATE, True)
        wait_until(lambda: unattributed.counts().get(errors.RATE, 0) > before, timeout_s=20, what="a flush")
    finally:
        client.delete(key)
    assert set(app.calls.values_list("code", flat=True)) == {0}
    assert caller.call(large).code == 0


def test_forged_bodies_use_up_the_allowance_over_http(
    caller: Caller, product_environment: dict[str, str]
) -> None:
    """Small and large bodies, complete and aborted; the third one is refused."""
    sender, client, key = "203.0.113.78", valkey.client(), "faceapi:unverified:203.0.113.78"
    forged = {"X_Forwarded_For": sender, "Authorization": f"CTYUN {caller.key.key}:{FORGED}"}
    client.delete(key)
    few = LIMITS | {"UNVERIFIED_BYTES_PER_MINUTE": "1000000"}
    with running_site(product_environment | few, "allowance") as site:
        caller.address = site.address
        answers = [caller.send(b" " * size, **forged) for size in (200_000, 500_000)]
        assert [answer.code for answer in answers] == [errors.BAD_SIGNATURE] * 2
        assert 700_000 * 0.06 * 0.5 < client.pttl(key) <= 700_000 * 0.06  # it decreases meanwhile
        with caller.raw() as sock:  # 400 000 of an announced million bytes arrive
            head = forged_head(caller, 1_000_000).replace(
                b"\r\n", f"\r\nX-Forwarded-For: {sender}\r\n".encode(), 1
            )
            sock.sendall(head + b" " * 400_000)
            sock.shutdown(socket.SHUT_WR)
            assert read_answer(sock).code == errors.BODY_INCOMPLETE
        unverified.add(client, sender, 1_000_000)  # so that a slow machine has no allowance left either
        assert caller.send(b" " * 300_000, **forged).code == errors.RATE
        assert caller.call([inline(encode((300, 300)))]).code == 0  # from another address
    client.delete(key)


def test_an_address_that_is_refused_again_is_remembered_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unverified, "MAX_REMEMBERED", 2)
    monkeypatch.setattr(unverified, "_refused_until", OrderedDict())
    for key in ("first", "second", "first", "third"):
        unverified._remember(key, 10.0)
    assert list(unverified._refused_until) == ["first", "third"]
    assert unverified._is_refused("first", 9.0)
    assert not unverified._is_refused("first", 10.0)
    assert list(unverified._refused_until) == ["third"]  # expired entries are not kept


def test_received_bytes_count_for_the_network_of_their_sender(settings: Settings) -> None:
    settings.UNVERIFIED_BYTES_PER_MINUTE = 1000
    client = valkey.client()
    try:
        for _ in range(2):
            unverified.add(client, "2001:db8:1:2::1", 900)
        for address, is_refused in (("2001:db8:1:2:3::4", True), ("2001:db8:1:3::1", False), (None, False)):
            with pytest.raises(ApiError) if is_refused else nullcontext():
                unverified.check(client, address, is_large=True)
        with pytest.raises(ApiError):  # this process remembers it
            unverified.check(client, "2001:db8:1:2::1", is_large=False)
    finally:
        client.delete("faceapi:unverified:2001:db8:1:2::/64")
        unverified._refused_until.clear()


# --- which upload is given up --------------------------------------------------


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Eight TCP connections, as (client, server)."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        made = []
        for _ in range(8):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            server, _ = listener.accept()
            made.append((client, stack.enter_context(server)))
        yield made


def is_shut(server: socket.socket) -> bool:
    """Read the received bytes; return whether the end of the stream follows."""
    server.setblocking(False)
    try:
        while server.recv(100_000):
            pass
    except BlockingIOError:
        return False
    return True


def given_up(
    uploads: Uploads, pairs: list[tuple[socket.socket, socket.socket]], sent: list[tuple[str, int]]
) -> list[int]:
    """Read a body of so many bytes from each connection; return the positions that were shut down."""
    with ExitStack() as stack:
        for (client, server), (address, size) in zip(pairs, sent, strict=False):
            stack.enter_context(uploads.receive(server, address))
            client.sendall(b"x" * size)

        def shut() -> list[int]:
            return [i for i in range(len(sent)) if is_shut(pairs[i][1])]

        found: list[int] = []
        wait_until(lambda: bool(found.extend(shut()) or found), timeout_s=10, what="one is given up")
        return found


def test_the_slowest_upload_is_given_up(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    sent = [("192.0.2.1", 20_000), ("192.0.2.1", 1), ("192.0.2.1", 20_000), ("192.0.2.1", 20_000)]
    assert given_up(Uploads(limit=3), pairs, sent) == [1]


def test_uploads_of_the_busiest_address_are_given_up_first(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    sent = [("192.0.2.1", 20_000), ("192.0.2.1", 10_000), ("192.0.2.1", 20_000), ("192.0.2.2", 1)]
    assert given_up(Uploads(limit=3), pairs, sent) == [1]


def read_until_it_ends(uploads: Uploads, server: socket.socket) -> None:
    with uploads.receive(server, None):
        wait_until(lambda: is_shut(server), timeout_s=10, what="the slower one is given up")
        raise ApiError(errors.BODY_INCOMPLETE)


def test_an_upload_that_was_given_up_gets_a_retry_after(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    uploads = Uploads(limit=1)
    with uploads.receive(pairs[0][1], None):
        pairs[0][0].sendall(b"x" * 20_000)
        with pytest.raises(ApiError) as caught:
            read_until_it_ends(uploads, pairs[1][1])
    assert (caught.value.code, caught.value.retry_after_s) == (errors.OVERLOADED, 5)


# --- refusals in batches ---------------------------------------------------------


def refused(app: App, at: datetime) -> None:
    call = CallContext(
        calls.new_id(at), "face_detect", at, "203.0.113.9", key=app.keys.get(), is_authentic=True
    )
    calls.fail(call, ApiError(errors.RATE), at)


def test_refusals_of_verified_calls_are_all_counted_and_sampled(app: App, now: datetime) -> None:
    with unattributed._flushing:  # the thread cannot flush meanwhile
        for _ in range(1000):
            refused(app, now)
    unattributed.flush()
    wait_until(lambda: app.usage.exists(), timeout_s=10, what="a flush")
    hour = app.usage.get()
    assert (hour.code, hour.calls, hour.units) == (errors.RATE, 1000, 0)
    rows = app.calls.filter(code=errors.RATE).count()
    assert 1 <= rows < 20
    assert hour.unrecorded == 1000 - rows
    assert list(reconcile.usage_is_the_sum_of_calls(now)) == []


def test_refusals_of_a_deleted_app_do_not_stop_those_of_others(app: App, now: datetime) -> None:
    key = AppKey.objects.get(app=app)
    key.app.pk = 2**40
    gone = CallContext(calls.new_id(now), "face_detect", now, None, key=key, is_authentic=True)
    with unattributed._flushing:
        refused(app, now)
        unattributed.count(gone, ApiError(errors.OVERLOADED))
    unattributed.flush()
    wait_until(lambda: app.usage.exists(), timeout_s=10, what="a flush")
    assert app.usage.get().calls == 1


def test_a_refusal_after_the_debit_returns_its_units(app: App, now: datetime) -> None:
    call = CallContext(calls.new_id(now), "face_detect", now, None, key=app.keys.get(), is_authentic=True)
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=now)
    calls.fail(call, ApiError(errors.OVERLOADED), now)
    assert app.debits.get().state == "returned"
    assert app.calls.get().code == errors.OVERLOADED
