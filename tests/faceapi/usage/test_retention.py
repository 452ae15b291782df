"""Old sums of usage are deleted by the local day, never before their calls."""

from datetime import UTC, date, datetime, timedelta

import pytest

from accounts.applications import create_app
from accounts.models import App, Region, User
from billing.models import ProvedDay
from faceapi.models import ServiceHour, UsageDay, UsageHour
from faceapi.usage import rollups
from faceapi.usage.histogram import SLOTS

NOW = datetime(2030, 5, 2, 3, tzinfo=UTC)
OLD = datetime(2027, 3, 31, 15, tzinfo=UTC)  # the last hour of March in Asia/Shanghai


def hour(app: App, at: datetime) -> None:
    counts = [0] * SLOTS
    UsageHour.objects.create(
        app=app, region=app.region, api="face_detect", hour=at, code=0, calls=1,
        latency_histogram=counts, queue_histogram=counts, infer_histogram=counts,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def some_hours(db: None) -> None:
    app = create_app(
        customer=User.objects.create_user("carol", "carol@example.org"),
        region=Region.objects.all()[0],
        name="门禁",
        description="大楼门禁",
        at=OLD,
    )
    for at in (OLD - timedelta(days=40), OLD, OLD + timedelta(hours=1), NOW - timedelta(days=1)):
        hour(app, at)
    rollups.close(NOW)


def dropped_until(day: date) -> None:
    ProvedDay.objects.create(day=day - timedelta(days=1), proved_at=NOW, is_archived=True)


def left() -> list[int]:
    return [model.objects.count() for model in (UsageHour, UsageDay, ServiceHour)]


def test_sums_are_kept_for_the_configured_number_of_months(settings) -> None:
    settings.USAGE_KEPT_MONTHS = 37
    dropped_until(date(2029, 4, 1))
    assert rollups.forget(NOW) == 2
    assert left() == [2, 2, 2]
    assert rollups.forget(NOW) == 0
    assert list(rollups.differences()) == []
    rollups.close(NOW)
    assert left() == [2, 2, 2]


def test_sums_are_kept_as_long_as_their_calls(settings) -> None:
    settings.USAGE_KEPT_MONTHS = 1
    assert rollups.forget(NOW) == 0
    dropped_until(date(2027, 3, 1))
    assert rollups.forget(NOW) == 1
    assert left() == [3, 3, 3]


def test_zero_months_keep_sums_for_ever(settings) -> None:
    settings.USAGE_KEPT_MONTHS = 0
    dropped_until(date(2029, 4, 1))
    assert rollups.forget(NOW) == 0
