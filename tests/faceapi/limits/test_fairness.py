"""Fairness between customers: whose chunk is next, and the limit of unpaid work.

Order is observed, not time: these tests hold on a slow machine.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from faceapi import dispatch, errors
from faceapi.errors import ApiError
from faceapi.limits import unpaid
from faceapi.limits.turns import Lane
from faceapi.request.spool import Budget, Spool, SpoolSlice
from inference.images.headers import read_header
from inference.worker import exchange
from inference.worker.exchange import Reply
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, encode, inline
from tests.faceapi.dispatch.workers import alive, chunks, claims, counted_alive, frozen, left_behind

SLOTS = 4


@pytest.fixture
def clean() -> Iterator[None]:
    client = valkey.client()

    def forget() -> None:
        keys = [
            key
            for kind in ("turns", "waiting", "asking", "served", "turn")
            for key in client.scan_iter(f"inference:{kind}:*")
        ]
        if keys:
            client.delete(*keys)

    forget()
    yield
    forget()


@pytest.mark.usefixtures("clean")
def test_a_single_customer_gets_all_turns_of_a_lane() -> None:
    client = valkey.client()
    assert [Lane(1, "a", True).take(client, f"a{i}", SLOTS) for i in range(5)] == [True] * 3 + [False] * 2
    assert [Lane(1, "b", False).take(client, f"b{i}", SLOTS) for i in range(6)] == [True] * 5 + [False]


@pytest.mark.usefixtures("clean")
def test_turns_go_to_those_with_the_fewest_who_waited_longest() -> None:
    client = valkey.client()
    heavy, second, third = Lane(1, "h", True), Lane(2, "s", True), Lane(3, "t", True)
    assert all(heavy.take(client, f"h{i}", SLOTS) for i in range(3))
    assert not second.take(client, "s0", SLOTS)
    assert not third.take(client, "t0", SLOTS)
    heavy.give_back(client, ["h0"], wants_more=True)
    assert not heavy.take(client, "h3", SLOTS)  # other customers have none yet
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
    assert sorted(order) == [1, 2, 3]  # one each, although all requested three


@pytest.mark.usefixtures("clean")
def test_the_end_of_a_turn_wakes_waiting_calls() -> None:
    client = valkey.client()
    heavy, waiting = Lane(1, "h", True), Lane(2, "w", True)
    assert all(heavy.take(client, f"h{i}", SLOTS) for i in range(3))
    assert not waiting.take(client, "w", SLOTS)
    assert client.llen(waiting.tokens) == 0
    heavy.give_back(client, ["h0"], wants_more=False)
    assert client.llen(waiting.tokens) == 1


@pytest.mark.usefixtures("clean")
def test_calls_of_one_customer_are_served_in_order_of_arrival() -> None:
    """The end of a call wakes the customer's next one, and a new call does not go before it."""
    client = valkey.client()
    calls = [Lane(1, f"call {number}", False) for number in range(SLOTS + 4)]
    running, waiting = calls[: SLOTS + 1], calls[SLOTS + 1 :]
    assert all(lane.take(client, lane.call, SLOTS) for lane in running)
    assert not any(lane.take(client, lane.call, SLOTS) for lane in waiting)
    running[0].give_back(client, [running[0].call], wants_more=False)
    assert [client.llen(lane.tokens) for lane in waiting] == [1, 0, 0]
    assert not Lane(1, "new", False).take(client, "new", SLOTS)
    assert not waiting[1].take(client, waiting[1].call, SLOTS)
    running[1].give_back(client, [running[1].call], wants_more=False)
    assert waiting[1].take(client, waiting[1].call, SLOTS)  # there is a turn for the first two
    assert waiting[0].take(client, waiting[0].call, SLOTS)
    assert not waiting[2].take(client, waiting[2].call, SLOTS)


@pytest.mark.usefixtures("clean")
def test_taking_a_turn_wakes_the_next_call_if_another_turn_is_free() -> None:
    client = valkey.client()
    running = Lane(1, "running", True)
    first, second = Lane(1, "first", True), Lane(1, "second", True)
    assert all(running.take(client, f"r{i}", SLOTS) for i in range(3))
    assert not first.take(client, "f", SLOTS)
    assert not second.take(client, "s", SLOTS)
    running.give_back(client, ["r0", "r1"], wants_more=False)
    assert (client.llen(first.tokens), client.llen(second.tokens)) == (1, 0)
    assert first.take(client, "f", SLOTS)
    assert client.llen(second.tokens) == 1


def test_batches_of_one_customer_leave_a_slot_to_another(
    caller: Caller, stranger: Caller, worker: Process
) -> None:
    """Three batches share the turns of their customer; another customer's picture is sent meanwhile."""
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


def test_work_stops_when_the_client_disconnects(caller: Caller, app: App, worker: Process) -> None:
    """The worker is suspended with some pictures left, so that it can't finish before the site looks."""
    body = caller.body([inline(encode((900, 900)))] * 100)
    with caller.raw() as sock:
        sock.sendall(caller.head(body, f"Content-Length: {len(body)}"))
        sock.sendall(body)
        wait_until(lambda: bool(claims()), timeout_s=60, what="work")
        with frozen(worker):
            sock.close()
            wait_until(lambda: app.calls.exists(), timeout_s=60, what="the call's end")
    call = app.calls.get()
    assert (call.code, call.units, call.infer_ms) == (errors.BODY_INCOMPLETE, 0, 0)  # the work was stopped
    wait_until(lambda: not chunks(), timeout_s=20, what="no chunk is left")
    assert valkey.client().pttl(f"faceapi:unpaid:{app.customer_id}") > 0
    valkey.client().delete(f"faceapi:unpaid:{app.customer_id}")


@pytest.mark.usefixtures("clean")
def test_a_chunk_in_progress_keeps_its_turn_after_its_call_has_ended(worker: Process, customer: int) -> None:
    """Of two pictures, a worker still processes one at the deadline, so the call keeps a slot."""
    client, request_id, picture = valkey.client(), uuid.uuid4().hex, encode((100, 100))

    def turns() -> set[str]:
        members = client.zrange("inference:turns:single", 0, -1)
        return {member.decode().partition(" ")[2] for member in members}

    with (
        frozen(worker),
        counted_alive("test"),
        Spool(Budget(10**8, 10**8)) as spool,
        ThreadPoolExecutor(1) as pool,
    ):
        for _ in range(2):
            spool.write(picture)
        waiting = pool.submit(
            dispatch.infer,
            request_id=request_id,
            operation="detect",
            customer_pk=customer,
            spans=[SpoolSlice(number * len(picture), len(picture)) for number in range(2)],
            spool=spool,
            deadline=time.monotonic() + 4,
        )
        wait_until(lambda: len(chunks(request_id)) == 2, timeout_s=20, what="a chunk for each picture")
        begun, other = chunks(request_id)
        assert exchange.claim(client, begun, 1, worker_id="test", ttl_s=60)
        assert turns() == {begun, other}
        with pytest.raises(ApiError) as caught:
            waiting.result()
        assert caught.value.code == errors.NO_ANSWER
        assert turns() == {begun}
        assert client.zscore("inference:turns:single", f"{customer} {begun}") > time.time() + 20
        exchange.answer(client, request_id, Reply(begun, [{}], None, 0.0, 1.0), count=1, ttl_s=30)
        assert turns() == set()
        assert left_behind(request_id) == []


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


def test_the_work_before_a_broken_picture_counts_as_unpaid(caller: Caller, app: App) -> None:
    answer = caller.call([*[inline(encode((500, 500)))] * 3, inline(encode((400, 400))[:4000])])
    assert answer.code == errors.UNDECODABLE
    name = f"faceapi:unpaid:{app.customer_id}"
    assert valkey.client().pttl(name) > 0
    valkey.client().delete(name)


# --- the size of chunks --------------------------------------------------------------


def played(
    worker: Process, customer: int, picture: bytes, images: int, took_ms: float
) -> list[tuple[str, int]]:
    """Simulate a worker that takes `took_ms` for each picture. Return the lane and the size of each chunk."""
    client, request_id, seen = valkey.client(), uuid.uuid4().hex, []
    taken: set[str] = set()

    def new_chunks() -> list[str]:
        """Return the chunks that were not taken; the pictures of those may not have been deleted yet."""
        return [chunk_id for chunk_id in chunks(request_id) if chunk_id not in taken]

    with (
        frozen(worker),
        counted_alive("test"),
        Spool(Budget(10**8, 10**8)) as spool,
        ThreadPoolExecutor(1) as pool,
    ):
        for _ in range(images):
            spool.write(picture)
        waiting = pool.submit(
            dispatch.infer,
            request_id=request_id,
            operation="detect",
            customer_pk=customer,
            spans=[SpoolSlice(number * len(picture), len(picture)) for number in range(images)],
            headers=[read_header(picture)] * images,
            spool=spool,
            deadline=time.monotonic() + 60,
        )
        while sum(count for _, count in seen) < images:
            wait_until(lambda: bool(new_chunks()) or waiting.done(), timeout_s=20, what="a chunk")
            if waiting.done():
                waiting.result()  # raises what ended the call
            (chunk_id, *_) = new_chunks()
            taken.add(chunk_id)
            turns = [member.decode() for member in client.zrange("inference:turns:bulk", 0, -1)]
            lane = "bulk" if f"{customer} {chunk_id}" in turns else "single"
            count = stored(client, chunk_id)
            assert exchange.claim(client, chunk_id, count, worker_id="test", ttl_s=30)
            reply = Reply(chunk_id, [{}] * count, None, 0.0, took_ms * count)
            exchange.answer(client, request_id, reply, count=count, ttl_s=30)
            seen.append((lane, count))
        assert len(waiting.result().results) == images
    return seen


def stored(client: redis.Redis, chunk_id: str) -> int:
    """Return the number of a chunk's pictures, once no further one is stored."""
    count, before = 0, -1
    while count != before:
        time.sleep(0.05)
        before, count = count, len(list(client.scan_iter(f"inference:image:{chunk_id}:*")))
    return count


@pytest.mark.usefixtures("clean")
def test_pictures_known_to_be_cheap_are_sent_in_chunks_of_four(worker: Process, customer: int) -> None:
    sizes = played(worker, customer, encode((100, 100)), 16, took_ms=3)
    assert sizes[0] == ("single", 1)
    assert ("single", 4) in sizes  # the last chunk may be smaller
    assert {size for _, size in played(worker, customer, encode((100, 100)), 16, took_ms=3)} == {4}


@pytest.mark.usefixtures("clean")
def test_pictures_slower_than_estimated_are_sent_alone_and_leave_a_slot_free(
    worker: Process, customer: int
) -> None:
    """Twelve pictures alone would not be a batch."""
    heavy = played(worker, customer, encode((100, 100)), 12, took_ms=2000)
    assert {size for _, size in heavy} == {1}
    assert heavy[-1][0] == "bulk"
    assert {lane for lane, _ in played(worker, customer, encode((100, 100)), 12, took_ms=3)} == {"bulk"}


@pytest.mark.usefixtures("clean")
def test_single_slow_pictures_leave_a_slot_free_too(worker: Process, customer: int) -> None:
    for _ in range(5):  # until the customer's pictures are known to be slow
        last = played(worker, customer, encode((100, 100)), 1, took_ms=2000)
    assert last == [("bulk", 1)]
    for _ in range(8):
        last = played(worker, customer, encode((100, 100)), 1, took_ms=3)
    assert last == [("single", 1)]


@pytest.mark.usefixtures("clean")
def test_large_pictures_share_a_chunk_only_up_to_its_work(worker: Process, customer: int) -> None:
    picture = encode(
        (1500, 1500), kind="PNG", compress_level=0
    )  # each has a third of the work that a chunk may have
    played(worker, customer, picture, 1, took_ms=60)
    assert {size for _, size in played(worker, customer, picture, 4, took_ms=60)} == {2}
