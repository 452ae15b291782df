"""Slots for scans: shared evenly among customers, and never lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from faceapi.limits.fair_slots import FairSlots
from tests.conftest import wait_until


class Work:
    """Calls that hold a slot until the test ends them, in the order in which they got it."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.begun: list[tuple[int, threading.Event]] = []

    def __call__(self, customer: int) -> None:
        end = threading.Event()
        with self.slots.take(customer, timeout_s=120):
            self.begun.append((customer, end))
            end.wait(120)

    @property
    def order(self) -> list[int]:
        return [customer for customer, _end in self.begun]


def waiting(slots: FairSlots) -> int:
    return sum(map(len, slots._waiting.values()))


def test_a_single_customer_gets_all_slots_and_others_are_next() -> None:
    slots = FairSlots(2)
    work = Work(slots)
    with ThreadPoolExecutor(10) as threads:
        for count, customer in enumerate([1, 1, 1, 1, 1, 2, 3, 2], start=1):
            threads.submit(work, customer)
            wait_until(lambda n=count: len(work.begun) + waiting(slots) == n, timeout_s=60, what="its turn")
        assert work.order == [1, 1]
        for number in range(8):
            wait_until(lambda n=number: len(work.begun) >= min(8, n + 2), timeout_s=60, what="the next")
            work.begun[number][1].set()
    # 2 and 3 have none, so they are next; after that, 1 was served longer ago than 2.
    assert work.order == [1, 1, 2, 3, 1, 2, 1, 1]
    assert waiting(slots) == 0


def test_waiting_for_a_slot_times_out() -> None:
    slots = FairSlots(1)
    with slots.take(1, timeout_s=0):
        for timeout_s in (-1.0, 0.0, 0.01):
            with pytest.raises(TimeoutError), slots.take(2, timeout_s=timeout_s):
                pass
    with pytest.raises(ValueError, match="fails"), slots.take(1, timeout_s=0):
        raise ValueError("fails")
    with slots.take(3, timeout_s=0):
        pass


def test_no_slot_is_lost_under_load() -> None:
    slots = FairSlots(3)
    inside, most = [], []

    def hold(number: int) -> None:
        for _ in range(50):
            try:
                with slots.take(number % 5, timeout_s=(number % 3) / 1000):
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
            except TimeoutError:
                pass

    with ThreadPoolExecutor(15) as threads:
        list(threads.map(hold, range(15)))
    assert max(most) <= 3
    with slots.take(1, timeout_s=0), slots.take(1, timeout_s=0), slots.take(2, timeout_s=0):
        assert waiting(slots) == 0
