"""The shared lock: many shared holders, or one exclusive holder."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference.worker.shared_lock import SharedExclusiveLock

LONG_S, MOMENT_S = 5.0, 0.05


def test_shared_holders_are_concurrent() -> None:
    room, all_inside = SharedExclusiveLock(), threading.Barrier(3)

    def work(_: int) -> int:
        with room.enter(alone=False):
            return all_inside.wait(LONG_S)

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(work, range(3))) == [0, 1, 2]


def test_exclusive_entry_waits_for_holders_and_blocks_new_ones() -> None:
    room, log = SharedExclusiveLock(), list[str]()
    may_leave, wants_in = threading.Event(), threading.Event()

    def first() -> None:
        with room.enter(alone=False):
            wants_in.set()
            may_leave.wait(LONG_S)
            log.append("first")

    def alone() -> None:
        with room.enter(alone=True):
            log.append("alone")

    def behind() -> None:
        with room.enter(alone=False):
            log.append("behind")

    with ThreadPoolExecutor(3) as pool:
        pool.submit(first)
        wants_in.wait(LONG_S)
        is_alone = pool.submit(alone)
        while not room._is_taken:
            time.sleep(MOMENT_S)
        last = pool.submit(behind)
        time.sleep(MOMENT_S)
        assert log == []
        may_leave.set()
        is_alone.result(LONG_S)
        last.result(LONG_S)
    assert log == ["first", "alone", "behind"]


def test_an_error_releases_the_lock() -> None:
    room = SharedExclusiveLock()
    for alone in (True, False):
        with pytest.raises(ValueError, match="inside"), room.enter(alone=alone):
            raise ValueError("inside")
    with room.enter(alone=True):
        pass
