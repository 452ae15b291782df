"""One customer's load beside another's: whose chunk is next, and what work that is not paid for may cost.

Order is observed, not time: these tests hold on a slow machine.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.limits import unpaid
from faceapi.limits.turns import Lane
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.workers import alive, chunks, claims, frozen, left_behind

SLOTS = 4


@pytest.fixture
def clean() -> Iterator[None]:
    client = valkey.client()

    def forget() -> None:
        keys = [
            key
            for kind in ("turns", "wanted", "served", "turn")
            for key in client.scan_iter(f"inference:{kind}:*")
        ]
        if keys:
            client.delete(*keys)

    forget()
    yield
    forget()


@pytest.mark.usefixtures("clean")
def test_a_customer_alone_has_all_turns_of_a_lane() -> None:
    client = valkey.client()
    assert [Lane(1, True).take(client, f"a{i}", SLOTS) for i in range(5)] == [True] * 3 + [False] * 2
    assert [Lane(1, False).take(client, f"b{i}", SLOTS) for i in range(6)] == [True] * 5 + [False]


@pytest.mark.usefixtures("clean")
def test_turns_that_end_go_to_those_who_have_fewest_and_waited_longest() -> None:
    client = valkey.client()
    heavy, second, third = Lane(1, True), Lane(2, True), Lane(3, True)
    assert all(heavy.take(client, f"h{i}", SLOTS) for i in range(3))
    assert not second.take(client, "s0", SLOTS)
    assert not third.take(client, "t0", SLOTS)
    heavy.give_back(client, ["h0"], wants_more=True)
    assert not heavy.take(client, "h3", SLOTS)  # others have none
    assert second.take(client, "s0", SLOTS)
    heavy.give_back(client, ["h1"], wants_more=True)
    assert not heavy.take(client, "h3", SLOTS)
    assert not second.take(client, "s1", SLOTS)
    assert third.take(client, "t0", SLOTS)
    order = []
    for owner in (heavy, second, third):
        owner.give_back(client, ["h2", "s0", "t0"], wants_more=True)
    for number in range(3):
        order += [lane.customer for lane in (heavy, second, third) if lane.take(client, f"n{number}", SLOTS)]
    assert sorted(order) == [1, 2, 3]  # one each, though all asked three times


@pytest.mark.usefixtures("clean")
def test_a_turn_that_ends_wakes_those_who_wait() -> None:
    client = valkey.client()
    heavy, waiting = Lane(1, True), Lane(2, True)
    assert all(heavy.take(client, f"h{i}", SLOTS) for i in range(3))
    assert not waiting.take(client, "w", SLOTS)
    assert client.llen(waiting.tokens) == 0
    heavy.give_back(client, ["h0"], wants_more=False)
    assert client.llen(waiting.tokens) == 1


def test_batches_of_one_customer_leave_a_slot_to_another(
    caller: Caller, stranger: Caller, worker: Process
) -> None:
    """Three batches share the turns of their customer; a stranger's picture is sent beside them."""
    batch, single = [inline(encode())] * 40, [inline(encode())]
    slots = sum(found.slots for found in alive())
    with ThreadPoolExecutor(4) as pool:
        with frozen(worker):
            waiting = [pool.submit(caller.call, batch) for _ in range(3)]
            wait_until(lambda: len(chunks()) >= slots - 1, timeout_s=20, what="all turns taken")
            before = set(chunks())
            assert len(before) == slots - 1
            beside = pool.submit(stranger.call, single)
            wait_until(lambda: len(chunks()) == slots, timeout_s=20, what="the stranger's chunk")
            assert before < set(chunks())
        assert beside.result().code == 0
        assert [future.result().code for future in waiting] == [0] * 3
    assert left_behind() == []


def test_the_work_of_a_client_that_has_gone_ends(caller: Caller, app: App, worker: Process) -> None:
    body = caller.body([inline(encode((900, 900)))] * 100)
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        sock.sendall(body)
        wait_until(lambda: bool(claims()), timeout_s=60, what="work")
    wait_until(lambda: app.calls.exists(), timeout_s=60, what="the call's end")
    call = app.calls.get()
    assert (call.code, call.units, call.infer_ms) == (errors.BODY_INCOMPLETE, 0, 0)  # not worked to its end
    wait_until(lambda: not chunks(), timeout_s=20, what="no chunk is left")
    assert valkey.client().pttl(f"faceapi:unpaid:{app.customer_id}") > 0
    valkey.client().delete(f"faceapi:unpaid:{app.customer_id}")


# --- the budget --------------------------------------------------------------------


@pytest.fixture
def customer() -> Iterator[int]:
    pk = uuid.uuid4().int % 2**31
    yield pk
    valkey.client().delete(f"faceapi:unpaid:{pk}")


def is_refused(check: Callable[[], None]) -> bool:
    try:
        check()
    except ApiError as error:
        return error.code == errors.RATE and bool(error.retry_after_s)
    return False


def test_unpaid_work_over_the_budget_is_refused(customer: int) -> None:
    client = valkey.client()
    assert not is_refused(lambda: unpaid.check(client, customer))
    unpaid.add(client, customer, 26_000)
    assert not is_refused(lambda: unpaid.check(client, customer))
    unpaid.add(client, customer, 26_000)
    assert is_refused(lambda: unpaid.check(client, customer))
    assert not is_refused(lambda: unpaid.check(client, customer + 1))


def test_a_broken_picture_after_whole_ones_counts_their_work(caller: Caller, app: App) -> None:
    answer = caller.call([*[inline(encode((500, 500)))] * 3, inline(encode((400, 400))[:4000])])
    assert answer.code == errors.UNDECODABLE
    name = f"faceapi:unpaid:{app.customer_id}"
    assert valkey.client().pttl(name) > 0
    valkey.client().delete(name)
