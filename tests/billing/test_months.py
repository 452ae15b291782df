"""Monthly partitions of calls and debits: created in advance, dropped once proved, with agreeing books.

Tables are altered within the transaction of each test, which is rolled back.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import App, User
from billing import notices, quota, tasks
from billing.books import checkpoint, months, reconcile
from billing.models import AnsweredHour, Debit, DebitLine, Notice, NoticeKind, Period, ProvedDay
from common import time_ids
from embedded.services.postgres import APPLICATION
from facecloud.env import Env
from tests.billing.conftest import DETECT, Shop

MARCH = datetime(2040, 3, 10, tzinfo=UTC)
APRIL = datetime(2040, 4, 10, tzinfo=UTC)
LATER = datetime(2040, 5, 2, tzinfo=UTC)  # a whole month after March
DAY = timedelta(days=1)
TABLES = ["billing_debit", "billing_debitline", "faceapi_call"]


@pytest.fixture(autouse=True)
def answers_were_always_counted(db: None, settings) -> None:
    settings.RECONCILE_CHECKS = []
    settings.CALLS_KEPT_MONTHS = 1
    assert MigrationRecorder.Migration.objects.filter(app="billing").update(applied=MARCH - 400 * DAY)


@pytest.fixture
def app(alice: User, shop: Shop) -> App:
    return shop.buy(alice, MARCH, units=1000, months=2)


def answered(app: App, at: datetime, images: int = 1) -> Any:
    call_id = time_ids.new(at)
    quota.reserve(call_id=call_id, app=app, api=DETECT, images=images, at=at)
    quota.settle(call_id, at + timedelta(seconds=30))
    assert quota.confirm({call_id: images}) == {call_id: "settled"}
    return call_id


def made(*months_of: date) -> None:
    settle_keys()
    with connection.cursor() as cursor:
        for month in months_of:
            cursor.execute("SELECT months_make(%s, %s)", [TABLES, month])


def settle_keys() -> None:
    """Check the deferred foreign keys now, as a commit would: until then a table cannot be altered."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def keep(at: datetime) -> list[str]:
    settle_keys()
    return months.keep(at)


def found(at: datetime, *, anew: bool = False) -> list[str]:
    proofs = reconcile.run_and_record(at, anew=anew)
    return [broken.row for proof in proofs for broken in proof.breaks]


def partition_of(table: str, key: str, value: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {table} WHERE {key} = %s", [value])
        return str(cursor.fetchone()[0])


def test_an_installation_has_the_partitions_of_the_coming_months(settings) -> None:
    settings.CALLS_KEPT_MONTHS = 13
    now = datetime.now(UTC)
    assert months.state(now).ahead >= 2
    assert months.state(now).overdue == 0
    keep(now)
    assert months.state(now) == months.State(ahead=months.AHEAD, overdue=0)
    assert months.state(now + timedelta(days=366)) == months.State(ahead=0, overdue=0)


def test_a_call_is_stored_in_the_partition_of_its_month(app: App) -> None:
    made(date(2040, 3, 1), date(2040, 4, 1))
    last = answered(app, datetime(2040, 4, 1, tzinfo=UTC) - timedelta(milliseconds=1))
    first = answered(app, datetime(2040, 4, 1, tzinfo=UTC))
    assert partition_of("billing_debit", "call_id", last) == "billing_debit_2040_03"
    assert partition_of("billing_debit", "call_id", first) == "billing_debit_2040_04"
    assert partition_of("billing_debitline", "debit_id", last) == "billing_debitline_2040_03"


def test_rows_of_the_default_partition_move_to_their_month(app: App) -> None:
    """After a restore of an old backup, or after months without the schedule."""
    far = datetime(2040, 4, 2, tzinfo=UTC) + timedelta(days=1)
    call_id = answered(app, far, 7)
    assert partition_of("billing_debit", "call_id", call_id) == "billing_debit_default"
    made(date(2040, 4, 1))
    assert partition_of("billing_debit", "call_id", call_id) == "billing_debit_2040_04"
    assert partition_of("billing_debitline", "debit_id", call_id) == "billing_debitline_2040_04"
    assert found(far + DAY) == []


def test_the_books_agree_after_an_old_month_was_dropped(app: App) -> None:
    answered(app, MARCH, 7)
    answered(app, datetime(2040, 4, 1, tzinfo=UTC) - timedelta(seconds=1), 2)  # its answer: in April
    kept = answered(app, datetime(2040, 4, 1, tzinfo=UTC), 5)
    made(date(2040, 3, 1), date(2040, 4, 1))
    assert found(LATER) == []
    used = list(Period.objects.order_by("pk").values_list("used", flat=True))

    dropped = keep(LATER)
    assert {"billing_debit_2040_03", "billing_debitline_2040_03", "faceapi_call_2040_03"} <= set(dropped)
    assert list(Debit.objects.values_list("pk", flat=True)) == [kept]
    assert DebitLine.objects.count() == 1
    assert list(Period.objects.order_by("pk").values_list("used", flat=True)) == used
    assert not AnsweredHour.objects.filter(hour__lt=datetime(2040, 4, 1, tzinfo=UTC)).exists()
    assert checkpoint.archived_until() == datetime(2040, 4, 1, tzinfo=UTC)
    assert months.state(LATER).overdue == 0

    assert found(LATER) == []
    assert found(LATER, anew=True) == []
    assert found(LATER + 3 * DAY) == []
    Period.objects.filter(number=0).update(used=1)
    assert [row.partition(" ")[0] for row in found(LATER)] == ["period"]


def test_days_without_debits_do_not_keep_a_month(app: App) -> None:
    """Days without a debit have no record of their own."""
    made(date(2040, 3, 1), date(2040, 4, 1))
    assert "billing_debit_2040_03" in keep(LATER)
    assert checkpoint.archived_until() == datetime(2040, 4, 1, tzinfo=UTC)
    answered(app, APRIL, 3)
    assert found(APRIL + DAY) == []


def test_an_unproved_month_is_kept(app: App) -> None:
    answered(app, MARCH, 7)
    made(date(2040, 3, 1))
    with pytest.raises(DatabaseError, match="2040-03-10 is not proved yet"), transaction.atomic():
        keep(LATER)
    assert Debit.objects.count() == 1
    assert not ProvedDay.objects.filter(is_archived=True).exists()
    assert months.state(LATER).overdue >= 1
    assert found(LATER) == []
    ProvedDay.objects.filter(day=date(2040, 3, 20)).delete()
    with pytest.raises(DatabaseError, match="2040-03-20 is not proved yet"), transaction.atomic():
        keep(LATER)


@pytest.mark.parametrize(("kept", "gone"), [(0, False), (1, True), (2, False)])
def test_the_setting_determines_which_months_are_dropped(app: App, settings, kept: int, gone: bool) -> None:
    settings.CALLS_KEPT_MONTHS = kept
    answered(app, MARCH, 7)
    made(date(2040, 3, 1))
    assert found(LATER) == []
    keep(LATER)
    assert Debit.objects.exists() is not gone


def test_the_scheduled_task_drops_old_months(app: App, monkeypatch) -> None:
    answered(app, MARCH, 7)
    made(date(2040, 3, 1))
    assert found(LATER) == []
    settle_keys()
    monkeypatch.setattr("common.postgresql.clock.now", lambda: LATER)
    tasks.keep_months()
    assert not Debit.objects.exists()


def test_a_final_debit_stays_final_in_every_partition(app: App) -> None:
    early = answered(app, MARCH)
    made(date(2040, 4, 1))
    for call_id in (early, answered(app, APRIL)):
        with pytest.raises(IntegrityError, match="stays so"), transaction.atomic():
            Debit.objects.filter(pk=call_id).update(state="held", closed_at=None)


def test_a_line_needs_its_debit_in_every_partition(app: App) -> None:
    made(date(2040, 4, 1))
    period = Period.objects.first()
    for at in (MARCH, APRIL, APRIL + 3000 * DAY, datetime(2020, 1, 1, tzinfo=UTC)):
        savepoint = transaction.savepoint()
        DebitLine.objects.create(debit_id=time_ids.new(at), period=period, units=1)
        with pytest.raises(IntegrityError, match="foreign key"):
            settle_keys()
        transaction.savepoint_rollback(savepoint)


def test_every_partition_has_the_indexes_of_its_table() -> None:
    made(date(2051, 1, 1))
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT parent, count(DISTINCT indexes) FROM (
                   SELECT inhparent::regclass::text AS parent, inhrelid, count(index.*) AS indexes
                     FROM pg_inherits LEFT JOIN pg_index AS index ON indrelid = inhrelid
                    WHERE inhparent = ANY (%s::regclass[]) GROUP BY 1, 2
               ) AS each GROUP BY 1""",
            [TABLES],
        )
        assert dict(cursor.fetchall()) == dict.fromkeys(TABLES, 1)
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'faceapi_call'")
        assert {"call_app_failed", "call_app_slow"} <= {name for (name,) in cursor.fetchall()}


@pytest.fixture
def as_application(django_db_setup: None) -> Iterator[Any]:
    parameters = {name: connection.get_connection_params().get(name) for name in ("host", "port", "dbname")}
    opened = psycopg2.connect(**parameters, user=APPLICATION, password=APPLICATION)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT months_drop('{accounts_auditentry}', '2027-01-01')",
        "SELECT months_drop('{billing_walletentry}', '2027-01-01')",
        "SELECT months_make('{accounts_app}', '2027-01-01')",
        "SELECT months_drop('{pg_class}', '2027-01-01')",
    ],
)
def test_the_application_can_drop_nothing_else(as_application: Any, statement: str) -> None:
    with as_application.cursor() as cursor, pytest.raises(psycopg2.Error, match="not partitioned by month"):
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE faceapi_call_default", "TRUNCATE billing_debit", "ALTER TABLE billing_debit DETACH PARTITION"
     " billing_debit_default"],
)  # fmt: skip
def test_the_application_cannot_alter_a_partition_directly(as_application: Any, statement: str) -> None:
    with as_application.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(statement)


def test_the_application_can_create_months(as_application: Any) -> None:
    with as_application.cursor() as cursor:
        cursor.execute("SELECT months_make(%s, '2053-02-01')", [TABLES])
        assert cursor.fetchone() == (3,)
        cursor.execute("SELECT months_make(%s, '2053-02-01')", [TABLES])
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM billing_debit_2053_02")  # by name too
    as_application.rollback()


def test_a_lock_timeout_is_retried(as_application: Any, monkeypatch) -> None:
    """So other sessions do not wait long behind the creation of a month, which waits for a reader."""
    calls: list[int] = []

    def release(*_: object) -> None:
        calls.append(1)
        as_application.rollback()

    monkeypatch.setattr("time.sleep", release)
    with as_application.cursor() as cursor:
        cursor.execute("LOCK TABLE billing_debit_default IN ROW EXCLUSIVE MODE")
    with transaction.atomic():
        assert months._with_retries(lambda: _in_savepoint(date(2053, 2, 1))) == 3
    assert calls == [1]


def _in_savepoint(month: date) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT months_make(%s, %s)", [TABLES, month])
        return int(cursor.fetchone()[0])


def test_old_notices_are_deleted(alice: User, settings) -> None:
    def notice(key: str, at: datetime) -> Notice:
        return Notice(customer=alice, kind=NoticeKind.TOP_UP, key=key, created_at=at)

    Notice.objects.bulk_create(
        [notice("old", datetime(2040, 3, 31, 15, 59, tzinfo=UTC)),
         notice("kept", datetime(2040, 3, 31, 16, 0, tzinfo=UTC))]
    )  # fmt: skip
    settings.NOTICES_KEPT_MONTHS = 0
    at = datetime(2041, 5, 2, tzinfo=UTC)
    assert notices.forget(at) == 0
    settings.NOTICES_KEPT_MONTHS = 13
    assert notices.forget(at) == 1
    assert notices.forget(at) == 0
    assert list(Notice.objects.values_list("key", flat=True)) == ["kept"]


def test_a_negative_number_of_months_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("CALLS_KEPT_MONTHS", "-1")
    with pytest.raises(ImproperlyConfigured, match="number of months"):
        Env().months("CALLS_KEPT_MONTHS", default=13)
