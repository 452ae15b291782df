"""The sweep of unconfirmed answers, while a lock that it needs is held for long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection, connections

from accounts.models import App, User
from billing import quota
from billing.models import Api
from faceapi import calls
from faceapi.calls import CallContext
from tests import locked
from tests.conftest import wait_until
from tests.faceapi.conftest import buy
from tests.faceapi.test_answers import LATE, state_of
from tests.faceapi.usage.test_reconcile import breaks

RETURNED = ("returned", 5003, 0)


@pytest.fixture
def gallery_app(alice: User, app: App, now: datetime) -> App:
    return buy(alice, Api.FACE_SEARCH, now, app=app)


def settled(app: App, at: datetime, api: str = Api.FACE_SEARCH) -> CallContext:
    """Return a call of 2 units that is settled but not confirmed."""
    call = CallContext(calls.new_id(at), api, at, None, key=app.keys.get(), images=2)
    call.debit = quota.reserve(call_id=call.id, app=app, api=api, images=2, at=at)
    assert calls.succeed(call, at) == 2
    return call


def test_a_locked_gallery_does_not_stop_the_sweep(
    alice: User, gallery_app: App, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """The oldest call is an enrolment of an App whose gallery is being deleted."""
    other = buy(alice, Api.FACE_DETECT, now)
    waiting = [settled(gallery_app, now + timedelta(seconds=number)) for number in range(3)]
    others = [settled(app, now + timedelta(seconds=9), Api.FACE_DETECT) for app in (gallery_app, other)]
    late = now + LATE + timedelta(minutes=1)
    with locked.by_another_session(App.objects.filter(pk=gallery_app.pk)), locked.patience(10):
        with pytest.raises(DatabaseError):
            calls.withdraw_unconfirmed(late)
        assert [state_of(call) for call in others] == [RETURNED] * 2
        assert [state_of(call) for call in waiting] == [("settling", 0, 2)] * 3
        assert caplog.text.count("were not returned") == 1  # the others did not wait for the same lock
    assert calls.withdraw_unconfirmed(late) == 3
    assert [state_of(call) for call in waiting] == [RETURNED] * 3
    assert breaks() == []


@pytest.mark.race
def test_calls_are_served_while_the_sweep_waits(gallery_app: App, now: datetime) -> None:
    """The sweep holds the Period of the calls while it waits, but for less time than they may wait."""
    call = settled(gallery_app, now)

    def sweep() -> None:
        try:
            with locked.patience(30):
                calls.withdraw_unconfirmed(now + LATE)
        finally:
            connections.close_all()

    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return bool(cursor.fetchone()[0])

    with ThreadPoolExecutor(1) as threads:
        with locked.by_another_session(App.objects.filter(pk=gallery_app.pk)):
            sweeping = threads.submit(sweep)
            wait_until(
                lambda: is_waiting() or sweeping.done(), timeout_s=30, what="a sweep that waits for the App"
            )
            with locked.patience(5):  # as in a web process
                served = settled(gallery_app, now)
        with pytest.raises(DatabaseError):
            sweeping.result()
    quota.confirm({served.id: 2})
    assert calls.withdraw_unconfirmed(now + LATE) == 1
    assert state_of(call) == RETURNED
    assert breaks() == []
