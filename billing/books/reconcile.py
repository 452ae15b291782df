"""The proof that every unit and every fen is accounted for (`manage.py reconcile`, nightly by Celery beat).

A check is a function of the current time that yields a Break for each row that contradicts others; the first
line of its docstring is printed with its result. Other rooms add checks by dotted path in
settings.RECONCILE_CHECKS. All checks read one snapshot, so that concurrent calls and payments do not appear
as breaks.

Checks of calls and debits are `by_day`: each covers a time range, and a closed day is proved only once
(billing/books/checkpoint.py). The other checks read Periods, Packages and money, whose number grows with
orders and not with calls.

`run_and_record` keeps the result of each run for a year, for /metrics, the live page and the alerts.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max
from django.utils.module_loading import import_string

from billing.books import checkpoint
from billing.books.checkpoint import TimeRange
from billing.books.checks import Break as Break
from billing.books.checks import Check, by_day, of_sums, rows
from billing.models import Package, Period, ReconcileRun
from billing.periods import windows

KEEP_RUNS = timedelta(days=365)


@dataclass(frozen=True)
class Proof:
    """The result of a check: the first line of its docstring, and its breaks."""

    sentence: str
    breaks: list[Break]


def run_and_record(at: datetime, *, anew: bool = False) -> list[Proof]:
    """Run every check; record the result and the days that were proved, unless the database is read-only.

    `anew`: delete the records of proved days, and prove them again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        is_writable = cursor.fetchone() == ("off",)
    started = time.monotonic()
    if anew and is_writable:
        checkpoint.forget()
    checks = [*CHECKS, *map(import_string, settings.RECONCILE_CHECKS)]
    with _snapshot():
        spans = checkpoint.spans(at, anew=anew)
        proofs, broken = _prove(checks, at, spans, anew=anew)
    if is_writable:
        for span in spans:
            if span.is_closed(at) and span not in broken:
                checkpoint.record(span, at)
        breaks = sum(len(proof.breaks) for proof in proofs)
        duration_ms = round((time.monotonic() - started) * 1000)
        ReconcileRun.objects.create(at=at, duration_ms=duration_ms, checks=len(proofs), breaks=breaks)
        ReconcileRun.objects.filter(at__lt=at - KEEP_RUNS).delete()
    return proofs


def last_run() -> ReconcileRun | None:
    """Return the result of the latest run; None before the first one."""
    return ReconcileRun.objects.order_by("-at").first()


def installed_at() -> datetime:
    """Return when this room was last migrated; the age of the books counts from then until the first run."""
    applied = MigrationRecorder.Migration.objects.filter(app="billing").aggregate(at=Max("applied"))
    moment: datetime = applied["at"]
    return moment


def run(at: datetime) -> list[Proof]:
    """Run every check of billing and of settings.RECONCILE_CHECKS for all days, on one snapshot."""
    return prove([*CHECKS, *map(import_string, settings.RECONCILE_CHECKS)], at)


def prove(checks: Iterable[Check], at: datetime) -> list[Proof]:
    """Run these checks for all days on one snapshot."""
    with _snapshot():
        return _prove(checks, at, [checkpoint.everything()])[0]


def _prove(
    checks: Iterable[Check], at: datetime, spans: Sequence[TimeRange], *, anew: bool = False
) -> tuple[list[Proof], set[TimeRange]]:
    """Return the proofs, and the spans that have breaks."""
    proofs, broken = [], set[TimeRange]()
    # With `anew`, ignore the recorded sums: a read-only copy of the database still has them.
    summed = [checkpoint.everything()] if anew else spans
    for check in checks:
        breaks: list[Break] = []
        if isinstance(check, by_day):
            for span in spans:
                if found := list(check(at, span)):
                    broken.add(span)
                    breaks += found
        else:
            breaks += check(at, summed) if isinstance(check, of_sums) else check(at)
        proofs.append(Proof(_sentence(check), breaks))
    return proofs, broken


def _sentence(check: Check) -> str:
    return (check.__doc__ or check.__name__).strip().splitlines()[0]


@contextmanager
def _snapshot() -> Iterator[None]:
    """Open a read-only snapshot, unless the caller (a test) has already opened a transaction."""
    alone = not connection.in_atomic_block
    with transaction.atomic():
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def used_within_granted(at: datetime) -> Iterable[Break]:
    """Check that no Period has a negative usage or has used more than it grants."""
    return rows("""
        SELECT 'period ' || id, used || ' of ' || granted FROM billing_period
         WHERE used < 0 OR used > granted""")


# The days outside the given ranges have recorded sums.
_USED_IS_DEBITED = """
WITH taken AS (
    SELECT line.period_id, sum(line.units) AS units
      FROM billing_debit AS debit JOIN billing_debitline AS line ON line.debit_id = debit.call_id
     WHERE debit.state <> 'returned' AND ({ranges}) GROUP BY line.period_id
    UNION ALL
    SELECT period_id, units FROM billing_provedunits WHERE is_archived OR NOT %(everything)s
)
SELECT 'period ' || period.id, 'used ' || period.used || ', debited ' || coalesce(sum(taken.units), 0)
  FROM billing_period AS period LEFT JOIN taken ON taken.period_id = period.id
 GROUP BY period.id HAVING period.used <> coalesce(sum(taken.units), 0)
"""


@of_sums
def used_is_debited(at: datetime, spans: Sequence[TimeRange]) -> Iterable[Break]:
    """Check that what a Period has used is the sum of its Debits that are not returned."""
    # Write the merged ranges as constants, so that the planner can estimate how many rows are read.
    ranges, values = [], dict[str, object]()
    for number, span in enumerate(checkpoint.merged(spans)):
        bounds = "{0}.call_id >= %(first{1})s AND {0}.call_id < %(end{1})s"
        line_bounds = "{0}.debit_id >= %(first{1})s AND {0}.debit_id < %(end{1})s"
        ranges.append(f"{bounds.format('debit', number)} AND {line_bounds.format('line', number)}")
        values |= {f"first{number}": span.first_id, f"end{number}": span.end_id}
    return rows(
        _USED_IS_DEBITED.format(ranges=" OR ".join(ranges)),
        everything=list(spans) == [checkpoint.everything()],
        **values,
    )


@by_day
def debits_have_their_lines(at: datetime, span: TimeRange) -> Iterable[Break]:
    """Check that a Debit's units are the sum of its lines, from live Periods of its App, API and meter."""
    return rows(
        """
        SELECT 'debit ' || d.call_id, 'units ' || d.units || ', lines ' || coalesce(sum(l.units), 0)
          FROM billing_debit d
          LEFT JOIN billing_debitline l
            ON l.debit_id = d.call_id AND l.debit_id >= %(first_id)s AND l.debit_id < %(end_id)s
          LEFT JOIN billing_period p ON p.id = l.period_id
         WHERE d.call_id >= %(first_id)s AND d.call_id < %(end_id)s
         GROUP BY d.call_id
        HAVING d.units <> coalesce(sum(l.units), 0)
            OR bool_or(p.app_id IS DISTINCT FROM d.app_id OR p.api IS DISTINCT FROM d.api)
            OR bool_or(d.created_at < p.starts_at OR d.created_at >= p.ends_at)
            OR count(DISTINCT p.meter) > 1""",
        **span.values,
    )


@by_day
def settled_units_were_answered(at: datetime, span: TimeRange) -> Iterable[Break]:
    """Check that the settled Debits of each hour, App and API add up to the units stated in its answers.

    The check begins two hours after the table was created, because until then web processes of the previous
    version may confirm calls without counting them. The hour is that of the settle, which may be later than
    that of the id.
    """
    return rows(
        """
        WITH since AS (
            SELECT greatest(%(since)s, %(complete_since)s,
                            date_trunc('hour', min(applied), 'UTC') + interval '2 hours') AS hour
              FROM django_migrations
             WHERE app = 'billing' AND name IN ('0015_answered_hour', '0001_squashed_0023_debits_by_month')
        ), debited AS (
            SELECT date_trunc('hour', closed_at, 'UTC') AS hour, app_id, api,
                   count(*) AS answers, sum(units) AS units
              FROM billing_debit
             WHERE state = 'settled' AND closed_at >= (SELECT hour FROM since) AND closed_at < %(until)s
               AND call_id >= %(earlier_id)s AND call_id < %(end_id)s
             GROUP BY 1, 2, 3
        ), answered AS (
            SELECT * FROM billing_answeredhour WHERE hour >= (SELECT hour FROM since) AND hour < %(until)s
        )
        SELECT 'hour ' || hour || ' of App ' || app_id || ' ' || api,
               coalesce(debited.units, 0) || ' units in ' || coalesce(debited.answers, 0) || ' debits, '
               || coalesce(answered.units, 0) || ' units in ' || coalesce(answered.answers, 0) || ' answers'
          FROM debited FULL JOIN answered USING (hour, app_id, api)
         WHERE (debited.units, debited.answers) IS DISTINCT FROM (answered.units, answered.answers)""",
        **span.values,
    )


def no_hold_is_forgotten(at: datetime) -> Iterable[Break]:
    """Check that no held or settling Debit is more than 5 minutes past its expiry."""
    return rows(
        """
        SELECT 'debit ' || call_id, state || ', expired at ' || hold_expires_at FROM billing_debit
         WHERE state IN ('held', 'settling') AND hold_expires_at < %(at)s - interval '5 minutes'""",
        at=at,
    )


def balance_is_the_sum(at: datetime) -> Iterable[Break]:
    """Check that a wallet's balance is the sum of its entries."""
    return rows("""
        SELECT 'wallet ' || w.customer_id,
               'balance ' || w.balance || ', entries ' || coalesce(sum(e.amount), 0)
          FROM billing_wallet w LEFT JOIN billing_walletentry e ON e.wallet_id = w.customer_id
         GROUP BY w.customer_id HAVING w.balance <> coalesce(sum(e.amount), 0)""")


def statements_are_continuous(at: datetime) -> Iterable[Break]:
    """Check that each wallet entry's balance is the previous one plus its amount."""
    return rows("""
        SELECT 'wallet entry ' || id, before || ' + ' || amount || ' is not ' || balance_after
          FROM (
              SELECT id, amount, balance_after,
                     lag(balance_after, 1, 0.00) OVER (PARTITION BY wallet_id ORDER BY id) AS before
                FROM billing_walletentry
          ) e
         WHERE before + amount <> balance_after""")


def vouchers_add_up(at: datetime) -> Iterable[Break]:
    """Check that a voucher's remaining value is its face value plus its entries, between 0 and face value."""
    return rows("""
        SELECT 'voucher ' || v.id,
               v.remaining || ' left of ' || v.face_value || ', entries ' || coalesce(sum(e.amount), 0)
          FROM billing_voucher v LEFT JOIN billing_voucherentry e ON e.voucher_id = v.id
         GROUP BY v.id
        HAVING v.remaining <> v.face_value + coalesce(sum(e.amount), 0)
            OR v.remaining < 0 OR v.remaining > v.face_value""")


def paid_once_and_in_full(at: datetime) -> Iterable[Break]:
    """Check that a paid order has one Package and entries for its amount, and other orders have neither."""
    return rows("""
        SELECT 'order ' || o.number,
               o.state || ', amount ' || o.amount || ', cash ' || coalesce(w.paid, 0) || ', vouchers '
               || coalesce(v.paid, 0) || ', packages ' || coalesce(k.packages, 0)
          FROM billing_order o
          LEFT JOIN (SELECT order_id, -sum(amount) AS paid FROM billing_walletentry
                      WHERE kind = 'payment' GROUP BY order_id) w ON w.order_id = o.id
          LEFT JOIN (SELECT order_id, -sum(amount) AS paid FROM billing_voucherentry
                      WHERE amount < 0 GROUP BY order_id) v ON v.order_id = o.id
          LEFT JOIN (SELECT order_id, count(*) AS packages FROM billing_package GROUP BY order_id) k
            ON k.order_id = o.id
         WHERE coalesce(w.paid, 0) <> o.cash_paid
            OR coalesce(v.paid, 0) <> o.voucher_paid
            OR coalesce(k.packages, 0) <> CASE WHEN o.state = 'paid' THEN 1 ELSE 0 END
            OR (o.state = 'paid' AND (o.cash_paid + o.voucher_paid <> o.amount OR o.paid_at >= o.expires_at))
            OR o.amount <> o.unit_price * o.quantity * o.months""")


def orders_match_their_customers(at: datetime) -> Iterable[Break]:
    """Check that an order's App, wallet and vouchers belong to its customer, and its vouchers were valid."""
    return rows("""
        SELECT 'order ' || o.number, 'of customer ' || o.customer_id || ', App of ' || a.customer_id
          FROM billing_order o JOIN accounts_app a ON a.id = o.app_id
         WHERE a.customer_id <> o.customer_id
        UNION ALL
        SELECT 'wallet entry ' || e.id, 'of customer ' || e.wallet_id || ', order ' || o.number
          FROM billing_walletentry e JOIN billing_order o ON o.id = e.order_id
         WHERE e.wallet_id <> o.customer_id
        UNION ALL
        SELECT 'voucher entry ' || e.id, 'voucher ' || v.code || ', order ' || o.number || ', at ' || e.at
          FROM billing_voucherentry e
          JOIN billing_voucher v ON v.id = e.voucher_id
          JOIN billing_order o ON o.id = e.order_id
          JOIN billing_sku s ON s.id = o.sku_id
         WHERE v.customer_id IS DISTINCT FROM o.customer_id
            OR e.amount < 0 AND (e.at < v.valid_from OR e.at >= v.valid_until)
            OR v.apis <> '{}' AND s.api <> ALL (v.apis)""")


def refunds_return_what_was_paid(at: datetime) -> Iterable[Break]:
    """Check that a refunded Package grants nothing and returned exactly what was paid, and others nothing."""
    return rows("""
        SELECT 'order ' || o.number,
               'refunded ' || coalesce(k.refunded_at::text, 'no') || ', cash back ' || coalesce(w.back, 0)
               || ', vouchers back ' || coalesce(v.back, 0) || ', still granted ' || coalesce(p.granted, 0)
          FROM billing_order o
          LEFT JOIN billing_package k ON k.order_id = o.id
          LEFT JOIN (SELECT package_id, sum(granted) AS granted FROM billing_period GROUP BY package_id) p
            ON p.package_id = k.id
          LEFT JOIN (SELECT order_id, sum(amount) AS back FROM billing_walletentry
                      WHERE kind = 'refund' GROUP BY order_id) w ON w.order_id = o.id
          LEFT JOIN (SELECT order_id, sum(amount) AS back FROM billing_voucherentry
                      WHERE amount > 0 GROUP BY order_id) v ON v.order_id = o.id
         WHERE CASE WHEN k.refunded_at IS NULL
                    THEN coalesce(w.back, 0) <> 0 OR coalesce(v.back, 0) <> 0
                    ELSE coalesce(w.back, 0) <> o.cash_paid OR coalesce(v.back, 0) <> o.voucher_paid
                         OR p.granted <> 0
               END""")


def packages_are_as_ordered(at: datetime) -> Iterable[Break]:
    """Check that each Package has the Periods of its payment day, months, units, App and API."""
    periods = Period.objects.order_by("package_id", "number").values_list(
        "package_id", "app_id", "api", "meter", "starts_at", "ends_at", "granted"
    )
    rows_of_period = periods.iterator(chunk_size=5000)
    ahead = next(rows_of_period, None)
    packages = Package.objects.select_related("order__sku").order_by("pk")
    for package in packages.iterator(chunk_size=5000):
        found = []
        while ahead is not None and ahead[0] == package.pk:
            found.append(ahead[1:])
            ahead = next(rows_of_period, None)
        order = package.order
        units = order.units_per_month * order.quantity
        granted = 0 if package.refunded_at else units
        months = windows(package.starts_at, order.months + package.extra_months)
        expected = [(order.app_id, order.sku.api, order.meter, start, end, granted) for start, end in months]
        if found != expected:
            yield Break(f"package {package.pk}", f"periods {found}, expected {expected}")
        written = (package.app_id, package.api, package.units_per_period, package.starts_at, package.ends_at)
        if written != (order.app_id, order.sku.api, units, order.paid_at, months[-1][1]):
            yield Break(f"package {package.pk}", f"does not agree with order {order.number}")


CHECKS: list[Check] = [
    used_within_granted,
    used_is_debited,
    debits_have_their_lines,
    settled_units_were_answered,
    no_hold_is_forgotten,
    balance_is_the_sum,
    statements_are_continuous,
    vouchers_add_up,
    paid_once_and_in_full,
    orders_match_their_customers,
    refunds_return_what_was_paid,
    packages_are_as_ordered,
]
