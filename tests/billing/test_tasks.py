"""The scheduled tasks of this room."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from accounts.models import User
from billing import notices, quota, tasks
from billing.models import PeriodSample
from tests.billing.conftest import DETECT, NOON, Shop, shanghai


def test_expired_holds_are_returned(alice: User, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    app = shop.buy(alice, units=10)
    quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=4, at=NOON)
    with time_machine.travel(NOON + timedelta(minutes=2)):
        tasks.sweep_holds()
    assert quota.remaining(app, DETECT, NOON) == 6
    with time_machine.travel(NOON + timedelta(minutes=3)):
        tasks.sweep_holds()
    assert quota.remaining(app, DETECT, NOON) == 10
    assert "the units of 1 expired holds" in caplog.text


def test_unpaid_orders_are_notified_and_then_cancelled(alice: User, shop: Shop, mailoutbox: list) -> None:
    order = shop.order(alice)
    with time_machine.travel(NOON + timedelta(hours=25)):
        tasks.expire_orders()
        tasks.send_notices()
    assert notices.unread_count(alice) == len(mailoutbox) == 1
    with time_machine.travel(NOON + timedelta(hours=48)):
        tasks.expire_orders()
        tasks.send_notices()
    order.refresh_from_db()
    assert (order.state, order.cancel_reason) == ("cancelled", "expired")
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    "at", [shanghai(2027, 3, 10, 23, 59, 59), shanghai(2027, 3, 11, 0, 0, 7), shanghai(2027, 3, 11, 0, 10)]
)
def test_usage_is_sampled_at_the_nearest_local_midnight(alice: User, shop: Shop, call, at: datetime) -> None:
    """Beat's host may be ahead of PostgreSQL's clock."""
    call(shop.buy(alice), NOON, 3)
    with time_machine.travel(at, tick=False):
        tasks.sample_usage()
    assert PeriodSample.objects.get().at == shanghai(2027, 3, 11)


@pytest.mark.parametrize(
    "at", [shanghai(2027, 3, 10, 23, 49), shanghai(2027, 3, 11, 0, 11), shanghai(2027, 3, 11, 12)]
)
def test_usage_is_not_sampled_far_from_midnight(
    alice: User, shop: Shop, call, at: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Beat sends the task late if it was down at midnight; the usage of midnight is not known then."""
    call(shop.buy(alice), NOON, 3)
    with time_machine.travel(at, tick=False):
        tasks.sample_usage()
    assert not PeriodSample.objects.exists()
    assert "the usage at midnight was not recorded" in caplog.text
