"""The checks of this room for `manage.py reconcile` (settings.RECONCILE_CHECKS)."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from billing.books.checkpoint import TimeRange
from billing.books.checks import Break, by_day, rows
from faceapi.models import SUMS
from faceapi.usage.rollups import HISTOGRAMS


@by_day
def usage_is_the_sum_of_calls(at: datetime, span: TimeRange) -> Iterable[Break]:
    """Check that every hour of usage is the sum of its calls, apart from refusals without a row.

    Each of its histograms must count every call once.
    """
    counted = ", ".join(f"coalesce(counted.{name}, 0)" for name in SUMS)
    rolled = ", ".join(f"usage.{name}" for name in SUMS if name != "calls")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH counted AS (
                SELECT app_id, api, region_id, code, date_trunc('hour', at) AS hour, count(*) AS calls,
                       sum(images) AS images, sum(units) AS units, sum(latency_ms) AS latency_sum_ms,
                       sum(queue_ms) AS queue_sum_ms, sum(infer_ms) AS infer_sum_ms
                  FROM faceapi_call WHERE id >= %(first_id)s AND id < %(end_id)s GROUP BY 1, 2, 3, 4, 5
            ), rolled AS (
                SELECT * FROM faceapi_usagehour WHERE hour >= %(since)s AND hour < %(until)s
            )
            SELECT coalesce(usage.id::text, 'none'), app_id, api, hour, code,
                   counted.calls, usage.calls, counted.units, usage.units
              FROM counted FULL JOIN rolled AS usage USING (app_id, api, region_id, code, hour)
             WHERE ({counted}) IS DISTINCT FROM (usage.calls - usage.unrecorded, {rolled})
                OR EXISTS (SELECT FROM (VALUES {", ".join(f"({name})" for name in HISTOGRAMS)}) AS h (counts)
                            WHERE (SELECT sum(slot) FROM unnest(counts) AS slot) IS DISTINCT FROM usage.calls)
            """,  # noqa: S608 - our own column names
            span.values,
        )
        for row, app, api, hour, code, calls, rolled_calls, units, rolled_units in cursor.fetchall():
            yield Break(
                f"usage {row}",
                f"App {app} {api} {hour:%F %H}h code {code}: {calls} calls and {units} units, "
                f"but {rolled_calls} and {rolled_units} in the roll-up",
            )


@by_day
def charged_calls_are_the_settled_debits(at: datetime, span: TimeRange) -> Iterable[Break]:
    """Check that settling and settled debits match the calls recorded with code 0, with the same units."""
    return rows(
        """
        SELECT 'call ' || coalesce(debit.call_id, call.id),
               concat('debited ', debit.units, ', recorded ', call.units, ' with code ', call.code)
          FROM (SELECT * FROM billing_debit WHERE state IN ('settling', 'settled')
                   AND call_id >= %(first_id)s AND call_id < %(end_id)s) AS debit
          FULL JOIN (SELECT * FROM faceapi_call WHERE units > 0
                        AND id >= %(first_id)s AND id < %(end_id)s) AS call ON call.id = debit.call_id
         WHERE debit.units IS DISTINCT FROM call.units OR call.code <> 0""",
        **span.values,
    )
