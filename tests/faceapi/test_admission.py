"""Who may start a call: limits of an App, a full queue, no worker, health; Idempotency-Key."""

import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import Api
from faceapi import admission, calls, errors, idempotency
from faceapi.calls import LiveCall
from faceapi.errors import ApiError
from faceapi.models import Call, IdempotencyKey
from facecloud import celery_app, valkey
from facecloud.local.process import Process
from inference import exchange
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.servers import Servers
from tests.faceapi.workers import frozen, in_its_place, silent


def status(caller: Caller, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{caller.address}{path}", timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_4291_over_the_rate(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(rate_per_s=5)
    image = [inline(encode())]
    answers = [caller.call(image) for _ in range(12)]
    codes = [answer.code for answer in answers]
    assert codes[:5] == [0] * 5
    assert 4291 in codes
    refused = answers[codes.index(4291)]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    time.sleep(1.1)
    assert caller.call(image).code == 0


def test_4291_over_the_concurrency(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(concurrency=1)
    image = [inline(encode((2000, 2000)))] * 4
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(answer.code for answer in pool.map(lambda _: caller.call(image), range(4)))
    assert codes[0] == 0
    assert codes[-1] == 4291
    assert caller.call([inline(encode())]).code == 0  # the place is free again


def test_a_call_that_takes_long_keeps_its_place() -> None:
    client, app_pk = valkey.client(), -1
    with admission.Places(lease_s=2).hold(client, app_pk, 1, "slow"):
        time.sleep(4)
        with pytest.raises(ApiError) as caught, admission.Places(2).hold(client, app_pk, 1, "other"):
            pass
    assert caught.value.code == errors.RATE
    with admission.Places(2).hold(client, app_pk, 1, "other"):
        pass


def test_the_place_of_a_process_that_died_is_free_after_its_lease() -> None:
    client, app_pk = valkey.client(), -2
    died = subprocess.run([sys.executable, "-c", DIES_IN_ITS_PLACE, str(app_pk)], check=False)
    assert died.returncode == -signal.SIGKILL

    def is_free() -> bool:
        try:
            with admission.Places(2).hold(client, app_pk, 1, "next"):
                return True
        except ApiError:
            return False

    assert not is_free()
    wait_until(is_free, timeout_s=5, what="the end of the lease")


DIES_IN_ITS_PLACE = """
import os, signal, sys, django
django.setup()
from faceapi import admission
from facecloud import valkey
with admission.Places(lease_s=2).hold(valkey.client(), int(sys.argv[1]), 1, "dead"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_customer_leaves_room_for_others() -> None:
    gate = admission.Gate(4)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(gate.pass_through(1))
        with pytest.raises(ApiError) as over_its_share:
            inside.enter_context(gate.pass_through(1))
        inside.enter_context(gate.pass_through(2))
        with pytest.raises(ApiError) as full:
            inside.enter_context(gate.pass_through(2))
    assert (over_its_share.value.code, full.value.code) == (errors.RATE, errors.OVERLOADED)
    with gate.pass_through(1):
        pass


def test_5003_without_a_worker_and_ready_again_with_one(caller: Caller, worker: Process) -> None:
    assert (status(caller, "/healthz"), status(caller, "/readyz")) == (200, 200)
    with silent(worker):
        refused = caller.call([inline(encode())])
        assert (refused.code, refused.status, refused.headers["Retry-After"]) == (5003, 503, "5")
        assert (status(caller, "/healthz"), status(caller, "/readyz")) == (200, 503)
    wait_until(lambda: caller.call([inline(encode())]).code == 0, timeout_s=5, what="a call that is served")
    assert status(caller, "/readyz") == 200


def test_5003_when_too_many_chunks_wait(caller: Caller, worker: Process) -> None:
    with frozen(worker):
        for i in range(70):  # chunks without pictures: whoever takes one has nothing to do
            celery_app.send_task(
                "inference.infer", ("r", f"c{i}", "detect", 1, time.time(), 5), queue=exchange.QUEUE
            )
        time.sleep(admission.LOOK_EVERY_S)
        refused = caller.call([inline(encode())])
    assert (refused.code, refused.headers["Retry-After"]) == (5003, "2")
    wait_until(lambda: not valkey.client().llen(exchange.QUEUE), timeout_s=20, what="an empty queue")
    wait_until(lambda: caller.call([inline(encode())]).code == 0, timeout_s=5, what="a call that is served")


@pytest.mark.parametrize("failure", [5001, 5002, 4003])
def test_what_a_worker_reports_is_what_the_caller_is_told(
    caller: Caller, app: App, worker: Process, failure: int
) -> None:
    answer = in_its_place(worker, caller, failure)
    assert (answer.code, answer.json["index"]) == (failure, 1)
    assert app.debits.get().state == "returned"
    assert Call.objects.get(pk=answer.headers["X-Request-Id"]).fault_index == 1


# --- Idempotency-Key -------------------------------------------------------------


def test_a_repeat_gets_the_same_answer_and_costs_nothing(caller: Caller, app: App) -> None:
    image = [inline(encode())]
    first = caller.call(image, Idempotency_Key="order-1")
    second = caller.call(image, Idempotency_Key="order-1")
    assert second.json == first.json
    assert (first.headers["X-Billed-Units"], second.headers["X-Billed-Units"]) == ("1", "0")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["X-Quota-Remaining"] == "999"
    assert list(app.calls.order_by("at").values_list("code", "units")) == [(0, 1), (0, 0)]


def test_a_repeat_after_the_answer_is_forgotten_is_worked_out_again_for_nothing(
    caller: Caller, app: App
) -> None:
    image = [inline(encode())]
    first = caller.call(image, Idempotency_Key="k")
    for key in valkey.client().scan_iter("faceapi:answer:*"):
        valkey.client().delete(key)
    second = caller.call(image, Idempotency_Key="k")
    assert second.json == first.json
    assert "Idempotent-Replayed" not in second.headers
    assert second.headers["X-Billed-Units"] == "0"
    assert app.debits.count() == 1


def test_a_repeat_gets_its_answer_though_the_url_is_gone(caller: Caller, servers: Servers) -> None:
    url = servers.url("once")
    first = caller.call([url], Idempotency_Key="k")
    assert first.code == 0
    assert caller.call([url]).code == 4011
    second = caller.call([url], Idempotency_Key="k")
    assert (second.json, second.headers["Idempotent-Replayed"]) == (first.json, "true")


def test_4018_the_same_key_for_another_body_or_another_api(caller: Caller) -> None:
    image = [inline(encode())]
    assert caller.call(image, Idempotency_Key="k").code == 0
    assert caller.call(image * 2, Idempotency_Key="k").code == 4018
    assert caller.call(image, "/v1/face_analyse.json", Idempotency_Key="k").code == 4018


def test_a_failed_call_leaves_its_key_free(caller: Caller, app: App) -> None:
    damaged = [inline(encode((400, 400))[:4000])]
    assert caller.call(damaged, Idempotency_Key="k").code == 4003
    assert caller.call([inline(encode())], Idempotency_Key="k").code == 0


def test_4292_while_the_first_call_runs_and_charged_once(caller: Caller, app: App) -> None:
    image = [inline(encode((2500, 2500)))] * 4
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: caller.call(image, Idempotency_Key="k"), range(4)))
    codes = {answer.code for answer in answers}
    assert 0 in codes
    assert codes <= {0, 4292}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.code == 4292)
    assert app.debits.filter(state="settled").count() == 1


def taken(app: App, at: datetime, *, lease: timedelta, call_id: UUID | None = None) -> idempotency.Hold:
    return idempotency.take(
        "k",
        app_pk=app.pk,
        api="face_detect",
        body_sha1="a" * 40,
        call_id=call_id or calls.new_id(at),
        at=at,
        lease_until=at + lease,
    )


def test_a_key_whose_call_died_can_be_used_again_after_its_lease(app: App) -> None:
    at, lease = timezone.now(), timedelta(seconds=30)
    dead = taken(app, at, lease=lease)
    with pytest.raises(ApiError) as caught:
        taken(app, at + lease / 2, lease=lease)
    assert caught.value.code == errors.IDEMPOTENCY_BUSY
    later = at + lease + timedelta(seconds=1)
    second = taken(app, later, lease=lease)
    assert (dead.is_charged, second.is_charged) == (False, False)
    idempotency.release(dead)  # the dead call's grip is void
    idempotency.keep(second, later)
    assert IdempotencyKey.objects.get(app=app).charged_at == later
    assert taken(app, later, lease=lease).is_charged


def test_5004_a_call_that_outlives_its_lease_is_not_charged_beside_its_successor(app: App) -> None:
    """It was thought dead, and came back with an answer when another had taken its key."""
    at, lease = timezone.now(), timedelta(seconds=30)
    call = LiveCall(calls.new_id(at), Api.FACE_DETECT.value, at, "127.0.0.1", key=app.keys.get())
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=at, hold_s=200)
    call.hold = taken(app, at, lease=lease, call_id=call.id)
    later = at + lease + timedelta(seconds=1)
    successor = taken(app, later, lease=lease)
    with pytest.raises(ApiError) as caught:
        calls.succeed(call, later)
    assert caught.value.code == errors.NO_ANSWER
    assert app.debits.get().state == "held"
    calls.fail(call, caught.value, later)
    assert app.debits.get().state == "returned"
    assert IdempotencyKey.objects.get(app=app).call_id == successor.call_id


def test_a_key_is_another_one_after_a_day(app: App) -> None:
    at, lease = timezone.now(), timedelta(seconds=30)
    idempotency.keep(taken(app, at, lease=lease), at)
    almost = at + timedelta(hours=24) - timedelta(seconds=1)
    assert taken(app, almost, lease=lease).is_charged
    idempotency.forget(almost)
    assert IdempotencyKey.objects.filter(app=app).exists()
    assert not taken(app, at + timedelta(hours=24), lease=lease).is_charged
    assert idempotency.forget(at + timedelta(hours=48)) >= 1
    assert not IdempotencyKey.objects.filter(app=app).exists()


def test_many_takes_at_once_one_holder(app: App) -> None:
    at = timezone.now()
    start = threading.Barrier(8)

    def take(_: int) -> bool:
        start.wait()
        try:
            taken(app, at, lease=timedelta(seconds=30))
        except ApiError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1
