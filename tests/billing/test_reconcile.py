"""Reconcile: no breaks in consistent books, and each check finds its kind of break."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import App, User
from billing import quota, tasks
from billing.books import reconcile
from billing.models import AnsweredHour, Package, ReconcileRun
from tests.billing.conftest import DETECT, NOON, Shop, breaks


@pytest.fixture(autouse=True)
def answers_were_always_counted(db: None) -> None:
    """Treat answers as always counted: the books of these tests are older than the migration."""
    assert MigrationRecorder.Migration.objects.filter(app="billing").update(
        applied=NOON - timedelta(days=400)
    )


def found(at=NOON) -> set[str]:
    """Return the names of the checks that find a break."""
    return {check.__name__ for check in reconcile.CHECKS if reconcile.prove([check], at)[0].breaks}


def test_consistent_books_have_no_breaks(books: App) -> None:
    assert not breaks()


def tamper(*statements: str) -> None:
    """Bypass rules, CHECKs and triggers, as somebody with access to the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


BREAKS: list[tuple[list[str], set[str]]] = [
    (
        [
            "ALTER TABLE billing_period DROP CONSTRAINT period_used_within_granted",
            "UPDATE billing_period SET used = granted + 1 WHERE number = 1",
        ],
        {"used_within_granted", "used_is_debited"},
    ),
    (["UPDATE billing_period SET used = used + 1 WHERE number = 0 AND granted > 0"], {"used_is_debited"}),
    (
        ["UPDATE billing_debit SET state = 'settled', closed_at = now() WHERE state = 'returned'"],
        {"used_is_debited", "settled_units_were_answered"},
    ),
    (["DELETE FROM billing_debitline"], {"used_is_debited", "debits_have_their_lines"}),
    (
        ["UPDATE billing_debit SET units = 9 WHERE state = 'settled'"],
        {"debits_have_their_lines", "settled_units_were_answered"},
    ),
    (
        ["UPDATE billing_debit SET api = 'face_compare'"],
        {"debits_have_their_lines", "settled_units_were_answered"},
    ),
    (["UPDATE billing_answeredhour SET units = units - 1"], {"settled_units_were_answered"}),
    (["DELETE FROM billing_answeredhour"], {"settled_units_were_answered"}),
    (["UPDATE billing_debit SET created_at = '2020-01-01'"], {"debits_have_their_lines"}),
    (["UPDATE billing_debit SET hold_expires_at = '2020-01-01'"], {"no_hold_is_forgotten"}),
    (["UPDATE billing_wallet SET balance = balance + 0.01"], {"balance_is_the_sum"}),
    (
        ["UPDATE billing_walletentry SET amount = 51 WHERE kind = 'top_up'"],
        {"balance_is_the_sum", "statements_are_continuous"},
    ),
    (["UPDATE billing_voucher SET remaining = 1"], {"vouchers_add_up"}),
    (
        ["DELETE FROM billing_voucherentry"],
        {"vouchers_add_up", "paid_once_and_in_full"},
    ),
    (
        [
            "ALTER TABLE billing_order DROP CONSTRAINT order_state_agrees",
            "UPDATE billing_order SET paid_at = expires_at WHERE cash_paid > 0",
        ],
        {"paid_once_and_in_full", "packages_are_as_ordered"},
    ),
    (["UPDATE billing_order SET customer_id = customer_id + 1"], {"orders_match_their_customers"}),
    (
        ["UPDATE billing_walletentry SET wallet_id = 0"],
        {"orders_match_their_customers", "balance_is_the_sum"},
    ),
    (
        ["UPDATE billing_voucher SET valid_from = '2020-01-01', valid_until = '2020-01-02'"],
        {"orders_match_their_customers"},
    ),
    (["UPDATE billing_voucher SET apis = '{face_compare}'"], {"orders_match_their_customers"}),
    (
        [
            "INSERT INTO billing_walletentry"
            " (wallet_id, by_id, kind, amount, balance_after, order_id, reason, token, at)"
            " SELECT customer_id, customer_id, 'refund', 1, 1, id, 'x', number, now() FROM billing_order"
            " WHERE state = 'cancelled'",
        ],
        {"refunds_return_what_was_paid", "balance_is_the_sum", "statements_are_continuous"},
    ),
    (
        ["DELETE FROM billing_period", "DELETE FROM billing_package"],
        {"paid_once_and_in_full", "debits_have_their_lines", "refunds_return_what_was_paid"},
    ),
    (
        ["UPDATE billing_package SET refunded_at = NULL, refunded_by_id = NULL"],
        {"refunds_return_what_was_paid", "packages_are_as_ordered"},
    ),
    (
        ["UPDATE billing_period SET granted = 100 WHERE granted = 0"],
        {"refunds_return_what_was_paid", "packages_are_as_ordered"},
    ),
    (["UPDATE billing_period SET ends_at = ends_at + interval '1 day'"], {"packages_are_as_ordered"}),
    (["DELETE FROM billing_period WHERE number = 2"], {"packages_are_as_ordered"}),
    (["UPDATE billing_package SET ends_at = ends_at + interval '1 day'"], {"packages_are_as_ordered"}),
]


@pytest.mark.parametrize(("statements", "names"), BREAKS)
def test_each_break_is_found(books: App, statements: list[str], names: set[str]) -> None:
    tamper(*statements)
    assert found() == names


def test_every_check_has_a_case_that_breaks_it() -> None:
    proved = set[str]().union(*[names for _statements, names in BREAKS])
    assert proved == {check.__name__ for check in reconcile.CHECKS}


def test_checks_of_other_rooms_are_included(books: App, settings) -> None:
    settings.RECONCILE_CHECKS = ["tests.billing.test_reconcile.a_check_of_another_room"]
    (proof,) = [proof for proof in reconcile.run(NOON) if proof.breaks]
    assert (proof.sentence, proof.breaks) == ("Seven is eight.", [reconcile.Break("seven", "7 is not 8")])


def a_check_of_another_room(at: object) -> list[reconcile.Break]:
    """Seven is eight."""
    return [reconcile.Break("seven", "7 is not 8")]


def test_the_command_prints_each_check_and_the_ids(books: App, settings) -> None:
    settings.RECONCILE_CHECKS = []
    quota.sweep(NOON + timedelta(days=1))
    output = StringIO()
    call_command("reconcile", stdout=output)
    assert output.getvalue().count("ok ") == len(reconcile.CHECKS)
    tamper("UPDATE billing_wallet SET balance = balance + 1")
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", stdout=output)
    assert ended.value.code == 1
    assert f"wallet {books.customer_id}: balance" in output.getvalue()
    assert "1 breaks" in output.getvalue()


def test_the_nightly_run_logs_breaks(books: App, settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.RECONCILE_CHECKS = []
    quota.sweep(NOON + timedelta(days=1))
    tasks.reconcile_books()
    assert not caplog.records
    Package.objects.update(ends_at=NOON + timedelta(days=1))
    tasks.reconcile_books()
    assert "does not agree with order" in caplog.text


def test_each_run_is_recorded_for_a_year(books: App, settings) -> None:
    settings.RECONCILE_CHECKS = ["tests.billing.test_reconcile.a_check_of_another_room"]
    assert reconcile.last_run() is None
    reconcile.run_and_record(NOON)
    proofs = reconcile.run_and_record(NOON + timedelta(days=1))
    last = reconcile.last_run()
    assert last is not None
    assert (last.at, last.checks) == (NOON + timedelta(days=1), len(reconcile.CHECKS) + 1)
    assert last.breaks == sum(len(proof.breaks) for proof in proofs) > 0
    reconcile.run_and_record(NOON + timedelta(days=365, seconds=1))
    assert [run.at for run in ReconcileRun.objects.order_by("at")] == [
        NOON + timedelta(days=1), NOON + timedelta(days=365, seconds=1),
    ]  # fmt: skip


def test_a_debit_settled_without_an_answer_is_a_break(books: App) -> None:
    """Money and the Call would agree: only the count of the answers reveals it."""
    call_id = uuid4()
    quota.reserve(call_id=call_id, app=books, api=DETECT, images=2, at=NOON)
    quota.settle(call_id, NOON)
    assert found() == set()
    tamper(f"UPDATE billing_debit SET state = 'settled' WHERE call_id = '{call_id}'")
    assert found() == {"settled_units_were_answered"}


def test_debits_settled_before_counting_began_are_not_compared(books: App) -> None:
    tamper("DELETE FROM billing_answeredhour")
    assert found() == {"settled_units_were_answered"}
    MigrationRecorder.Migration.objects.filter(app="billing").update(applied=NOON)
    assert found() == set()


@pytest.mark.parametrize("name", ["0015_answered_hour", "0001_squashed_0023_debits_by_month"])
def test_counting_began_with_the_first_migration_that_made_the_table(books: App, name: str) -> None:
    """In an upgraded database that is the old migration; in a new one both have the same time."""
    tamper("DELETE FROM billing_answeredhour")
    migrations = MigrationRecorder.Migration.objects.filter(app="billing")
    migrations.exclude(name=name).update(applied=NOON)
    assert found() == {"settled_units_were_answered"}
    migrations.exclude(name=name).delete()
    assert found() == {"settled_units_were_answered"}


def test_an_answer_is_counted_once(books: App) -> None:
    """Confirmed again, too late or with other units, it adds nothing."""
    before = {(row.hour, row.api): (row.answers, row.units) for row in AnsweredHour.objects.all()}
    at = NOON + timedelta(hours=3)
    kept, late = uuid4(), uuid4()
    for call_id in (kept, late):
        quota.reserve(call_id=call_id, app=books, api=DETECT, images=2, at=at)
        quota.settle(call_id, at)
    quota.withdraw(late, at)
    assert quota.confirm({kept: 3}) == {kept: "wrong"}
    for _again in range(2):
        assert quota.confirm({kept: 2, late: 2}) == {kept: "settled", late: "returned"}
    after = {(row.hour, row.api): (row.answers, row.units) for row in AnsweredHour.objects.all()}
    assert after == {**before, (at.replace(minute=0), DETECT): (1, 2)}
    assert found() == set()


def test_a_recorded_run_cannot_be_changed(books: App) -> None:
    reconcile.run_and_record(NOON)
    with pytest.raises(IntegrityError, match="stays so"), transaction.atomic():
        ReconcileRun.objects.update(breaks=0)


def test_a_run_that_fails_is_not_recorded(books: App, settings) -> None:
    settings.RECONCILE_CHECKS = ["tests.billing.test_reconcile.a_check_that_fails"]
    with pytest.raises(RuntimeError):
        tasks.reconcile_books()
    assert reconcile.last_run() is None


def a_check_that_fails(at: object) -> list[reconcile.Break]:
    """Nothing fails."""
    raise RuntimeError


def test_a_read_only_copy_is_checked_but_not_recorded(books: App) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        assert reconcile.run_and_record(NOON)
    assert reconcile.last_run() is None


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_web_processes_count_concurrently(alice: User, shop: Shop) -> None:
    """Each confirms many calls of the same two hours; nothing is lost, and there is no deadlock."""
    app = shop.buy(alice)
    hours = (NOON, NOON + timedelta(hours=1))

    def settled(at: datetime) -> UUID:
        call_id = uuid4()
        quota.reserve(call_id=call_id, app=app, api=DETECT, images=2, at=at)
        quota.settle(call_id, at)
        return call_id

    def web_process(calls: list[UUID]) -> None:
        try:
            for first in range(0, len(calls), 4):
                quota.confirm(dict.fromkeys(calls[first : first + 4], 2))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        shares = [[settled(hours[(number + turn) % 2]) for number in range(40)] for turn in range(4)]
        list(pool.map(web_process, shares))
    counted = AnsweredHour.objects.order_by("hour").values_list("answers", "units")
    assert list(counted) == [(80, 160), (80, 160)]


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_traffic_during_a_run_is_not_a_break(alice: User, shop: Shop) -> None:
    """All checks read one snapshot: a call between two of them is not seen by half of them."""
    app = shop.buy(alice)

    def a_call_in_between(at: object) -> list[reconcile.Break]:
        """Make a call on a separate connection."""
        from threading import Thread

        def work() -> None:
            quota.reserve(call_id=uuid4(), app=app, api=DETECT, images=1, at=NOON)
            connections.close_all()

        thread = Thread(target=work)
        thread.start()
        thread.join()
        return []

    checks: list[Callable] = [reconcile.used_within_granted, a_call_in_between, reconcile.used_is_debited]
    assert not any(proof.breaks for proof in reconcile.prove(checks, NOON))
    assert quota.remaining(app, DETECT, NOON) == 999
