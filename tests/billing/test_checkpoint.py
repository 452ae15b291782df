"""A closed day is proved once, and later runs neither miss nor repeat anything."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import App, User
from billing import quota
from billing.books import checkpoint, reconcile
from billing.books.checkpoint import TimeRange
from billing.models import ProvedDay, ProvedUnits, ReconcileRun
from common import time_ids
from tests.billing.conftest import DETECT, Shop
from tests.billing.test_reconcile import tamper

FIRST = datetime(2027, 3, 10, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def answers_were_always_counted(db: None, settings) -> None:
    settings.RECONCILE_CHECKS = []
    assert MigrationRecorder.Migration.objects.filter(app="billing").update(applied=FIRST - 400 * DAY)


@pytest.fixture
def app(alice: User, shop: Shop) -> App:
    return shop.buy(alice, FIRST, units=1000, months=2)


def answered(app: App, at: datetime, images: int = 1) -> None:
    """Return a call of that moment, settled half a minute later."""
    call_id = time_ids.new(at)
    quota.reserve(call_id=call_id, app=app, api=DETECT, images=images, at=at)
    quota.settle(call_id, at + timedelta(seconds=30))
    assert quota.confirm({call_id: images}) == {call_id: "settled"}


def found(at: datetime, *, anew: bool = False) -> list[str]:
    proofs = reconcile.run_and_record(at, anew=anew)
    return [broken.row for proof in proofs for broken in proof.breaks]


def proved() -> list[date]:
    return list(ProvedDay.objects.order_by("day").values_list("day", flat=True))


def test_a_day_is_recorded_a_day_after_its_end(app: App) -> None:
    answered(app, FIRST + timedelta(hours=12), 7)
    answered(app, FIRST + DAY - timedelta(seconds=1), 2)  # its answer is sent on the next day
    answered(app, FIRST + DAY, 5)
    assert found(FIRST + 2 * DAY - timedelta(seconds=1)) == []
    assert proved() == []
    assert found(FIRST + 2 * DAY) == []
    assert proved() == [FIRST.date()]
    assert list(ProvedUnits.objects.values_list("month", "units")) == [(date(2027, 3, 1), 9)]
    assert found(FIRST + 3 * DAY) == []
    assert ProvedUnits.objects.get().units == 14
    assert found(FIRST + 9 * DAY) == []
    assert len(proved()) == 8  # days without a call too


def test_proved_units_are_recorded_by_month(app: App) -> None:
    first_of_april = datetime(2027, 4, 1, tzinfo=UTC)
    answered(app, first_of_april - timedelta(milliseconds=1), 3)
    answered(app, first_of_april, 4)
    assert found(first_of_april + 3 * DAY) == []
    assert dict(ProvedUnits.objects.values_list("month", "units")) == {
        date(2027, 3, 1): 3,
        date(2027, 4, 1): 4,
    }


def test_a_proved_day_is_read_again_only_by_a_complete_run(app: App) -> None:
    answered(app, FIRST, 7)
    answered(app, FIRST + 5 * DAY, 1)
    assert found(FIRST + 5 * DAY) == []
    tamper("UPDATE billing_debitline SET units = 6 WHERE units = 7")
    assert found(FIRST + 5 * DAY) == []
    rows = found(FIRST + 5 * DAY, anew=True)
    assert [row.partition(" ")[0] for row in rows] == ["period", "debit"]
    assert FIRST.date() not in proved()
    assert found(FIRST + 5 * DAY) == rows, "a day with a break is proved again by every run"
    tamper("UPDATE billing_debitline SET units = 7 WHERE units = 6")
    assert found(FIRST + 5 * DAY) == []
    assert FIRST.date() in proved()


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE billing_period SET used = used + 1 WHERE number = 0", "period"),
        ("UPDATE billing_provedunits SET units = units + 1", "period"),
        ("DELETE FROM billing_provedday", "period"),
    ],
)
def test_a_checkpoint_that_does_not_add_up_is_a_break(app: App, statement: str, row: str) -> None:
    answered(app, FIRST, 7)
    assert found(FIRST + 5 * DAY) == []
    tamper(statement)
    assert [name.partition(" ")[0] for name in found(FIRST + 5 * DAY)] == [row]


def test_a_day_with_an_open_hold_is_not_recorded(app: App) -> None:
    quota.reserve(call_id=time_ids.new(FIRST), app=app, api=DETECT, images=1, at=FIRST)
    assert len(found(FIRST + 5 * DAY)) == 1  # a hold that was never returned
    assert FIRST.date() not in proved()
    quota.sweep(FIRST + 5 * DAY)
    assert found(FIRST + 5 * DAY) == []
    assert FIRST.date() in proved()


def test_a_day_is_recorded_once(app: App) -> None:
    answered(app, FIRST, 7)
    day = TimeRange(FIRST, FIRST + DAY)
    assert checkpoint.record(day, FIRST + 2 * DAY)
    assert not checkpoint.record(day, FIRST + 2 * DAY)
    assert ProvedUnits.objects.get().units == 7


def test_a_read_only_copy_is_proved_completely(app: App) -> None:
    answered(app, FIRST, 7)
    assert found(FIRST + 5 * DAY) == []
    tamper("UPDATE billing_debitline SET units = 6 WHERE units = 7")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        assert found(FIRST + 5 * DAY) == []
        assert len(found(FIRST + 5 * DAY, anew=True)) == 2
    assert FIRST.date() in proved()
    assert ReconcileRun.objects.count() == 1


def test_each_debit_is_in_exactly_one_range(app: App) -> None:
    """Whatever the id of the debit is and whichever days were proved."""
    moments = [
        FIRST - 30 * DAY,
        FIRST,
        FIRST + DAY - timedelta(milliseconds=1),
        FIRST + DAY,
        FIRST + 900 * DAY,
    ]
    ids = [time_ids.new(at) for at in moments]
    for at in (FIRST, FIRST + 3 * DAY, FIRST + 30 * DAY):
        spans = checkpoint.spans(at, anew=True)
        assert [sum(span.first_id <= one < span.end_id for span in spans) for one in ids] == [1] * len(ids)


def test_adjacent_ranges_are_merged() -> None:
    days = [TimeRange(FIRST + number * DAY, FIRST + (number + 1) * DAY) for number in range(5)]
    del days[2]
    ends = [TimeRange(None, FIRST), *days, TimeRange(FIRST + 5 * DAY, None)]
    assert checkpoint.merged(ends) == [TimeRange(None, FIRST + 2 * DAY), TimeRange(FIRST + 3 * DAY, None)]


def test_only_a_whole_day_that_is_over_is_closed() -> None:
    at = FIRST + 30 * DAY
    assert TimeRange(FIRST, FIRST + DAY).is_closed(at)
    for span in (
        TimeRange(FIRST, FIRST + 2 * DAY),
        TimeRange(FIRST, FIRST + DAY / 2),
        TimeRange(None, FIRST),
        TimeRange(FIRST, None),
        TimeRange(at - DAY, at),
    ):
        assert not span.is_closed(at)
