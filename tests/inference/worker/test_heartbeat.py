"""The heartbeat of a worker: its id, and what must not end it."""

from collections.abc import Iterator

import pytest
from celery.worker import state

from inference.worker import exchange, tasks


def test_each_process_has_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a container, where the next process has the same host name and pid."""
    found = set()
    for _process in range(2):
        monkeypatch.delenv("FACECLOUD_WORKER_ID", raising=False)
        found.add(tasks.worker_id())
        assert tasks.worker_id() in found
        assert " " not in tasks.worker_id()  # which separates it from the slots in Valkey
    assert len(found) == 2


def test_requests_that_change_while_they_are_counted_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def changing() -> Iterator[object]:
        raise RuntimeError("Set changed size during iteration")
        yield

    pool = tasks.Pool(2)
    monkeypatch.setattr(state, "active_requests", changing())
    assert pool.stuck_s() < 60


class Stop(BaseException):
    """Ends the endless loop of a heartbeat."""


def test_a_failed_heartbeat_does_not_end_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = []

    def beat(_self: tasks.Heartbeat) -> None:
        beats.append(1)
        if len(beats) == 1:
            raise ValueError("unforeseen")
        raise Stop

    monkeypatch.setattr(exchange, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(tasks.Heartbeat, "beat", beat)
    with pytest.raises(Stop):
        tasks.Heartbeat(1, ["inference"]).run()
