"""A daily task is re-sent if its worker died, or if no worker ran when it was due."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from common import valkey
from common.celery import schedule

DAY_S = 86_400
PROOF = "billing.reconcile_books"


@pytest.fixture(autouse=True)
def everything_succeeded() -> Iterator[None]:
    client = valkey.client()
    client.delete(schedule.STARTED_KEY, schedule.SUCCEEDED_KEY)
    for task in schedule.CAUGHT_UP:
        schedule.note_start(task)
        schedule.note_success(task)
    yield
    client.delete(schedule.STARTED_KEY, schedule.SUCCEEDED_KEY)


def happened(key: str, task: str, ago_s: float) -> None:
    client = valkey.client()
    client.hset(key, task, valkey.now_s(client) - ago_s)


def sent() -> list[str]:
    found: list[str] = []
    schedule.send_overdue(found.append)
    return found


def test_nothing_is_re_sent_if_all_tasks_succeeded() -> None:
    assert sent() == []


def test_a_reconcile_whose_worker_died_is_re_sent_once() -> None:
    happened(schedule.STARTED_KEY, PROOF, schedule.AGAIN_AFTER_S + 60)
    happened(schedule.SUCCEEDED_KEY, PROOF, DAY_S + schedule.AGAIN_AFTER_S + 60)
    assert sent() == [PROOF]
    assert sent() == []  # it may be running now


def test_a_running_reconcile_is_not_re_sent() -> None:
    happened(schedule.STARTED_KEY, PROOF, schedule.AGAIN_AFTER_S - 60)
    happened(schedule.SUCCEEDED_KEY, PROOF, 2 * DAY_S)
    assert sent() == []


def test_reconcile_is_re_sent_after_valkey_lost_its_state() -> None:
    valkey.client().delete(schedule.STARTED_KEY, schedule.SUCCEEDED_KEY)
    assert set(sent()) == schedule.CAUGHT_UP


def test_each_task_that_is_caught_up_is_scheduled() -> None:
    scheduled = {str(entry["task"]) for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled >= schedule.CAUGHT_UP
