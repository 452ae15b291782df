"""Idempotency-Key: charged once, answered again for a while, then refused; free if its holder dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPException, RemoteDisconnected
from uuid import UUID

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import Api
from common import valkey
from embedded.services.managed_process import Process
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.limits import idempotency
from faceapi.limits.leases import Leases
from faceapi.models import IdempotencyKey
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, as_options, encode, inline
from tests.faceapi.servers import Servers


def test_a_repeat_gets_the_same_answer_and_costs_nothing(caller: Caller, app: App) -> None:
    image = [inline(encode())]
    first = caller.call(image, Idempotency_Key="order-1")
    second = caller.call(image, Idempotency_Key="order-1")
    assert second.json == first.json
    assert (first.headers["X-Billed-Units"], second.headers["X-Billed-Units"]) == ("1", "0")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["X-Quota-Remaining"] == "999"
    assert list(app.calls.order_by("at").values_list("code", "units")) == [(0, 1), (0, 0)]


def forget_answers() -> None:
    for key in valkey.client().scan_iter("faceapi:answer:*"):
        valkey.client().delete(key)


def test_4022_for_a_repeat_after_the_answer_is_gone(caller: Caller, app: App) -> None:
    image = [inline(encode())]
    assert caller.call(image, Idempotency_Key="k").code == 0
    forget_answers()
    second = caller.call(image, Idempotency_Key="k")
    assert (second.code, second.headers["X-Billed-Units"]) == (4022, "0")
    assert second.json["detail"] == "the answer of the first request is no longer stored"
    assert app.debits.count() == 1
    third = caller.call(image, Idempotency_Key="another")
    assert (third.code, third.headers["X-Billed-Units"]) == (0, "1")


def test_pictures_replaced_behind_their_urls_are_not_analysed_for_free(
    caller: Caller, app: App, servers: Servers
) -> None:
    body = [servers.url("image/bound")]

    def fetched() -> int:
        return sum("/image/bound" in request for request in servers.requests)

    first = caller.call(body, Idempotency_Key="k")
    original = servers.image
    servers.image = encode((80, 80))
    try:
        assert caller.call(body, Idempotency_Key="k").json == first.json
        forget_answers()
        assert caller.call(body, Idempotency_Key="k").code == 4022
    finally:
        servers.image = original
    assert fetched() == 1
    assert app.debits.count() == 1


def test_4022_after_a_limited_number_of_repeats(
    caller: Caller,
) -> None:
    image = [inline(encode())]
    codes = [caller.call(image, Idempotency_Key="k").code for _ in range(idempotency.MAX_REPEATS + 2)]
    assert codes == [0] * (idempotency.MAX_REPEATS + 1) + [4022]


def test_a_request_that_is_sent_again_byte_for_byte_gets_its_answer(caller: Caller, app: App) -> None:
    """Go's HTTP client does this after a lost connection, if there is an Idempotency-Key."""
    body = caller.body([inline(encode())])
    signed = as_options(caller.headers(body)) | {"Idempotency_Key": "k"}
    first = caller.send(body, **signed)
    again = caller.send(body, **signed)
    assert again.json == first.json
    assert (again.headers["Idempotent-Replayed"], again.headers["X-Billed-Units"]) == ("true", "0")
    forget_answers()
    assert caller.send(body, **signed).code == 4022
    assert app.debits.count() == 1


def test_4105_for_a_captured_request_with_a_new_key(caller: Caller, app: App) -> None:
    """The key is not signed, so someone who captured a request can replace it."""
    body = caller.body([inline(encode())])
    first, second = as_options(caller.headers(body)), as_options(caller.headers(body))
    assert caller.send(body, **first).code == 0
    assert caller.send(body, **first, Idempotency_Key="new").code == 4105
    assert caller.send(body, **second, Idempotency_Key="k").code == 0
    repeat = as_options(caller.headers(body))
    assert caller.send(body, **repeat, Idempotency_Key="k").headers["Idempotent-Replayed"] == "true"
    assert caller.send(body, **repeat).code == 4105
    assert caller.send(body, **repeat, Idempotency_Key="new").code == 4105
    assert app.debits.count() == 2
    assert set(app.calls.values_list("code", flat=True)) == {0}  # a replay is not recorded


def test_a_replay_takes_no_slot_and_is_only_counted(caller: Caller, app: App) -> None:
    """Whatever the rejection is, even after too many repeats."""
    body = caller.body([inline(encode())])
    signed = as_options(caller.headers(body)) | {"Idempotency_Key": "k"}
    assert caller.send(body, **signed).code == 0
    App.objects.filter(pk=app.pk).update(rate_per_s=1, concurrency=1)
    codes = [caller.send(body, **signed).code for _ in range(idempotency.MAX_REPEATS + 3)]
    assert codes == [0] * idempotency.MAX_REPEATS + [4022] * 3
    assert caller.call([inline(encode())]).code == 0  # the rate limit is one a second
    assert set(app.calls.values_list("code", flat=True)) == {0}


def test_4105_for_an_identical_repeat_of_a_failed_request(caller: Caller, app: App) -> None:
    body = caller.body([inline(encode((400, 400))[:4000])])
    signed = as_options(caller.headers(body)) | {"Idempotency_Key": "k"}
    assert caller.send(body, **signed).code == 4003
    assert caller.send(body, **signed).code == 4105
    assert not app.debits.exclude(state="returned").exists()


def test_a_repeat_gets_its_answer_after_the_url_is_gone(caller: Caller, servers: Servers) -> None:
    url = servers.url("once")
    first = caller.call([url], Idempotency_Key="k")
    assert first.code == 0
    assert caller.call([url]).code == 4011
    second = caller.call([url], Idempotency_Key="k")
    assert (second.json, second.headers["Idempotent-Replayed"]) == (first.json, "true")


def test_4018_for_the_same_key_with_another_body_or_api(caller: Caller) -> None:
    image = [inline(encode())]
    assert caller.call(image, Idempotency_Key="k").code == 0
    assert caller.call(image * 2, Idempotency_Key="k").code == 4018
    assert caller.call(image, "/v1/face_analyse.json", Idempotency_Key="k").code == 4018


def test_a_failed_call_leaves_its_key_free(caller: Caller, app: App) -> None:
    damaged = [inline(encode((400, 400))[:4000])]
    assert caller.call(damaged, Idempotency_Key="k").code == 4003
    assert caller.call([inline(encode())], Idempotency_Key="k").code == 0


def test_4292_while_the_first_call_runs_which_is_charged_once(caller: Caller, app: App) -> None:
    image = [inline(encode((1000, 1000)))] * 8
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: caller.call(image, Idempotency_Key="k"), range(4)))
    codes = {answer.code for answer in answers}
    assert 0 in codes
    assert codes <= {0, 4292}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.code == 4292)
    assert app.debits.filter(state__in=quota.SETTLING_OR_SETTLED).count() == 1


def test_the_key_of_a_killed_web_process_is_free_within_seconds(
    caller: Caller, app: App, tight_site: Process, servers: Servers
) -> None:
    body = [servers.url("silent")]
    with ThreadPoolExecutor(1) as pool:
        dying = pool.submit(caller.call, body, Idempotency_Key="k")
        wait_until(
            lambda: IdempotencyKey.objects.filter(app=app).exists(), timeout_s=20, what="a call with its key"
        )
        for child in psutil.Process(tight_site.pid).children():
            os.kill(child.pid, signal.SIGKILL)
        with pytest.raises((ConnectionError, RemoteDisconnected)):
            dying.result()
    killed = time.monotonic()
    codes = []

    def is_free() -> bool:
        with suppress(OSError, HTTPException):  # the next process is starting
            codes.append(caller.call(body, Idempotency_Key="k").code)
        return codes[-1:] == [4005]

    wait_until(is_free, timeout_s=60, what="the key")
    assert set(codes) <= {4292, 4005, 5003}
    assert time.monotonic() - killed < 60


TAKES_AND_DIES = """
import os, signal, sys, django
django.setup()
from django.utils import timezone
from faceapi import calls
from faceapi.limits import idempotency
from faceapi.limits.leases import Leases
from common import valkey
idempotency.leases = Leases(2)
assert idempotency.leases.acquire(valkey.client(), sys.argv[1], "dead")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_lease_ends_with_its_process() -> None:
    client, name = valkey.client(), "faceapi:key:test"
    living, other = Leases(2), Leases(2)
    assert living.acquire(client, name, "living")
    time.sleep(4)
    assert not other.acquire(client, name, "other")
    client.delete(name)  # Valkey lost it
    wait_until(lambda: client.get(name) == b"living", timeout_s=20, what="the lease again")
    living.release(client, name, "living")
    died = subprocess.run([sys.executable, "-c", TAKES_AND_DIES, name], check=False)
    assert died.returncode == -signal.SIGKILL
    assert not other.acquire(client, name, "other")
    wait_until(lambda: other.acquire(client, name, "other"), timeout_s=20, what="the end of the lease")
    living.release(client, name, "living")  # the lease of another holder
    assert client.get(name) == b"other"
    other.release(client, name, "other")
    assert client.get(name) is None


def taken(app: App, at: datetime, *, call_id: UUID | None = None) -> idempotency.Hold:
    return idempotency.take(
        valkey.client(),
        "k",
        app_pk=app.pk,
        api="face_detect",
        body_sha1="a" * 40,
        call_id=call_id or calls.new_id(at),
        at=at,
    )


def lose_lease(hold: idempotency.Hold) -> None:
    """Delete the lease, as if the process had been suspended for longer than it lasts."""
    idempotency.end_lease(valkey.client(), hold)


def test_a_concurrent_renewal_does_not_restore_a_released_lease() -> None:
    client, leases = valkey.client(), Leases(10)
    assert leases.acquire(client, "faceapi:test-released", "first")
    leases.release(client, "faceapi:test-released", "first")
    leases.renew(
        client, "faceapi:test-released", "first"
    )  # as if it had been read from the list before the release
    assert leases.acquire(client, "faceapi:test-released", "second")
    leases.renew(client, "faceapi:test-released", "first")
    assert client.get("faceapi:test-released") == b"second"
    leases.release(client, "faceapi:test-released", "second")


def test_a_key_whose_call_died_can_be_used_again_after_its_lease(app: App) -> None:
    at = timezone.now()
    dead = taken(app, at)
    with pytest.raises(ApiError) as caught:
        taken(app, at)
    assert caught.value.code == errors.IDEMPOTENCY_BUSY
    lose_lease(dead)
    second = taken(app, at)
    assert (dead.charged_call, second.charged_call) == (None, None)
    idempotency.release(dead)  # it no longer holds the key
    idempotency.mark_charged(second, at)
    assert IdempotencyKey.objects.get(app=app).charged_at == at
    assert taken(app, at).charged_call == second.call_id
    lose_lease(second)
    assert taken(app, at).charged_call == second.call_id


def test_5004_for_a_call_that_lost_its_lease_and_only_the_next_is_charged(app: App) -> None:
    """It was suspended, and completes its answer after another call has taken its key."""
    at = timezone.now()
    call = CallContext(calls.new_id(at), Api.FACE_DETECT.value, at, "127.0.0.1", key=app.keys.get())
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=at, hold_s=200)
    call.hold = taken(app, at, call_id=call.id)
    lose_lease(call.hold)
    successor = taken(app, at)
    with pytest.raises(ApiError) as caught:
        calls.succeed(call, at)
    assert caught.value.code == errors.NO_ANSWER
    assert app.debits.get().state == "held"
    calls.fail(call, caught.value, at)
    assert app.debits.get().state == "returned"
    assert IdempotencyKey.objects.get(app=app).call_id == successor.call_id
    lose_lease(successor)


def test_a_key_can_be_reused_after_a_day(app: App) -> None:
    at = timezone.now()
    first = taken(app, at)
    idempotency.mark_charged(first, at)
    lose_lease(first)
    almost = at + timedelta(hours=24) - timedelta(seconds=1)
    assert taken(app, almost).charged_call == first.call_id
    idempotency.forget(almost)
    assert IdempotencyKey.objects.filter(app=app).exists()
    second = taken(app, at + timedelta(hours=24))
    assert second.charged_call is None
    lose_lease(second)
    assert idempotency.forget(at + timedelta(hours=48)) >= 1
    assert not IdempotencyKey.objects.filter(app=app).exists()


def test_of_concurrent_calls_one_takes_the_key(app: App) -> None:
    at = timezone.now()
    start = threading.Barrier(8)

    def take(_: int) -> bool:
        start.wait()
        try:
            taken(app, at)
        except ApiError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1
