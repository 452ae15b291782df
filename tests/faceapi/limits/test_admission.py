"""Admission: limits of an App, a full queue, no worker, health."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import admission
from faceapi.models import Call
from facecloud.celery import app as celery_app
from inference.worker import exchange
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.workers import frozen, in_its_place, silent


def status(caller: Caller, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{caller.address}{path}", timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_4291_for_calls_over_the_rate(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(rate_per_s=2)
    image = [inline(encode())]
    answers = [caller.call(image) for _ in range(12)]
    codes = [answer.code for answer in answers]
    assert codes[:2] == [0, 0]
    assert 4291 in codes
    refused = answers[codes.index(4291)]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    time.sleep(1.1)
    assert caller.call(image).code == 0


def test_4291_for_calls_over_the_concurrency(caller: Caller, app: App, worker: Process) -> None:
    App.objects.filter(pk=app.pk).update(concurrency=1)
    image = [inline(encode())]
    with ThreadPoolExecutor(1) as pool:
        with frozen(worker):
            inside = pool.submit(caller.call, image * 10)
            wait_until(lambda: app.debits.filter(state="held").exists(), timeout_s=20, what="a call inside")
            refused = [caller.call(image) for _ in range(3)]
        assert [answer.code for answer in refused] == [4291] * 3
        assert inside.result().code == 0
    assert caller.call(image).code == 0  # the slot is free again


def test_a_long_call_keeps_its_slot() -> None:
    client, app_pk = valkey.client(), -1
    with admission.ConcurrencyLeases(lease_s=2).hold(client, app_pk, 1, "slow"):
        time.sleep(4)
        with (
            pytest.raises(ApiError) as caught,
            admission.ConcurrencyLeases(2).hold(client, app_pk, 1, "other"),
        ):
            pass
    assert caught.value.code == errors.RATE
    with admission.ConcurrencyLeases(2).hold(client, app_pk, 1, "other"):
        pass


def test_the_slot_of_a_dead_process_is_free_after_its_lease() -> None:
    client, app_pk = valkey.client(), -2
    died = subprocess.run([sys.executable, "-c", DIES_IN_ITS_PLACE, str(app_pk)], check=False)
    assert died.returncode == -signal.SIGKILL

    def is_free() -> bool:
        try:
            with admission.ConcurrencyLeases(2).hold(client, app_pk, 1, "next"):
                return True
        except ApiError:
            return False

    assert not is_free()
    wait_until(is_free, timeout_s=20, what="the end of the lease")


DIES_IN_ITS_PLACE = """
import os, signal, sys, django
django.setup()
from common import valkey
from faceapi.limits import admission
with admission.ConcurrencyLeases(lease_s=2).hold(valkey.client(), int(sys.argv[1]), 1, "dead"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_customer_leaves_slots_for_others() -> None:
    process_limiter = admission.ProcessLimiter(4)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(process_limiter.pass_through(1))
        with pytest.raises(ApiError) as over_its_share:
            inside.enter_context(process_limiter.pass_through(1))
        inside.enter_context(process_limiter.pass_through(2))
        with pytest.raises(ApiError) as full:
            inside.enter_context(process_limiter.pass_through(2))
    assert (over_its_share.value.code, full.value.code) == (errors.RATE, errors.OVERLOADED)
    with process_limiter.pass_through(1):
        pass


def test_5003_without_a_worker_and_ready_again_with_one(caller: Caller, worker: Process) -> None:
    assert (status(caller, "/healthz"), status(caller, "/readyz")) == (200, 200)
    with silent(worker):
        refused = caller.call([inline(encode())])
        assert (refused.code, refused.status, refused.headers["Retry-After"]) == (5003, 503, "5")
        assert (status(caller, "/healthz"), status(caller, "/readyz")) == (200, 503)
    wait_until(lambda: caller.call([inline(encode())]).code == 0, timeout_s=20, what="a call that is served")
    assert status(caller, "/readyz") == 200


def test_5003_when_too_many_chunks_wait(caller: Caller, worker: Process) -> None:
    with frozen(worker):
        for i in range(70):  # chunks without pictures, which a worker skips
            celery_app.send_task(
                "inference.infer", ("r", f"c{i}", "detect", 1, time.time(), 5), queue=exchange.QUEUE
            )
        time.sleep(admission.LOOK_EVERY_S)
        refused = caller.call([inline(encode())])
    assert (refused.code, refused.headers["Retry-After"]) == (5003, "2")
    wait_until(lambda: not valkey.client().llen(exchange.QUEUE), timeout_s=20, what="an empty queue")
    wait_until(lambda: caller.call([inline(encode())]).code == 0, timeout_s=20, what="a call that is served")


@pytest.mark.parametrize("failure", [5001, 5002, 4003])
def test_the_caller_gets_the_error_that_the_worker_reported(
    caller: Caller, app: App, worker: Process, failure: int
) -> None:
    answer = in_its_place(worker, caller, failure)
    assert (answer.code, answer.json["index"]) == (failure, 1)
    assert app.debits.get().state == "returned"
    assert Call.objects.get(pk=answer.headers["X-Request-Id"]).fault_index == 1
