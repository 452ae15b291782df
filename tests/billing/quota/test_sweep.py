"""A hold that cannot be returned now does not stop the sweep."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError

from accounts.models import App, User
from billing import overdue, quota
from billing.models import Debit, Period
from tests import locked
from tests.billing.conftest import DETECT, NOON, Shop, breaks

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(minutes=1)


def hold(app: App, images: int, *, seconds: float) -> Debit:
    return quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=images, at=NOON, hold_s=seconds)


def used(app: App) -> int:
    return Period.objects.get(app=app).used


def test_a_hold_that_fails_does_not_stop_the_sweep(
    alice: User, bob: User, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's Period lost its units, so that the hold that expires first cannot be returned to it."""
    monkeypatch.setattr(overdue, "BATCH", 2)
    broken, sound = shop.buy(alice), shop.buy(bob)
    for number in range(1, 6):
        hold(broken if number == 1 else sound, 2, seconds=number)
    Period.objects.filter(app=broken).update(used=0)
    with pytest.raises(IntegrityError):
        quota.sweep(LATER)
    assert used(sound) == 0
    Period.objects.filter(app=broken).update(used=2)
    assert quota.sweep(LATER) == 1
    assert not breaks(LATER)


def test_a_locked_period_does_not_stop_the_sweep(
    alice: User, bob: User, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the holds of one App, only the first waits for the lock."""
    monkeypatch.setattr(overdue, "LOCK_TIMEOUT_S", 0.1)
    stuck, free = shop.buy(alice), shop.buy(bob)
    for number in range(1, 4):
        hold(stuck, 2, seconds=number)
    hold(free, 2, seconds=10)
    with locked.by_another_session(Period.objects.filter(app=stuck)), locked.patience(10):
        with pytest.raises(DatabaseError):
            quota.sweep(LATER)
        assert (used(stuck), used(free)) == (6, 0)
        assert caplog.text.count("were not returned") == 1
    assert quota.sweep(LATER) == 3
    assert not breaks(LATER)
