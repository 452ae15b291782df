"""Scans of stored faces: what a call holds while it waits for its turn."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from accounts.models import App
from common.postgresql import base
from common.postgresql.pool import Pool
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.gallery import scans
from faceapi.limits.fair_slots import FairSlots

APP = App(customer_id=1)


@pytest.fixture
def pool(
    monkeypatch: pytest.MonkeyPatch, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Pool]:
    """Let the threads of a test share one connection."""
    made = Pool(1, idle_s=3600)
    monkeypatch.setattr(base, "_pool", made)
    with django_db_blocker.unblock():
        yield made
    while (left := made._pop()) is not None:
        left.close()


@pytest.mark.usefixtures("pool")
def test_calls_that_wait_for_a_scan_hold_no_database_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of four calls scans twice, with one slot and one connection for all."""
    monkeypatch.setattr(scans, "SLOTS", FairSlots(1))

    def call() -> object:
        try:
            for _face in range(2):
                with scans.scanning(APP, timeout_s=60):
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 7")
                        ((found,),) = cursor.fetchall()
                    time.sleep(0.1)  # the other calls wait for the slot meanwhile
            return found
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert [one.result() for one in [threads.submit(call) for _call in range(4)]] == [7] * 4


def test_no_scan_begins_after_the_deadline() -> None:
    with pytest.raises(ApiError) as refused, scans.scanning(APP, timeout_s=-0.1):
        pytest.fail("a free slot was taken")
    assert refused.value.code == errors.NO_ANSWER
