"""The cost of `reconcile` with a large number of calls: all at once, first day by day, and nightly.

`bin/bench reconcile --calls 1000000` fills a temporary database with that number of calls of 1 000 Apps over
100 days, each with its debit, and runs the proof as `manage.py reconcile` does. It prints the CPU time of
this process and its database session together, without parallel queries, and the wall-clock time.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from bench.postgresql.database import on_temporary_postgresql

APPS, ORDERS_EACH = 1000, 10
# A call for each debit.
CALLS = """
INSERT INTO faceapi_call (id, app_id, app_key_id, region_id, api, at, code, http_status, images, units,
                          body_bytes, latency_ms, queue_ms, infer_ms)
SELECT call_id, debit.app_id, 0, app.region_id, api, debit.created_at, 0, 200, units, units, 100000, 40, 5, 20
  FROM billing_debit AS debit JOIN accounts_app AS app ON app.id = debit.app_id
"""
USAGE = """
INSERT INTO faceapi_usagehour (app_id, region_id, api, hour, code, calls, images, units, latency_sum_ms,
       queue_sum_ms, infer_sum_ms, latency_histogram, queue_histogram, infer_histogram)
SELECT app_id, region_id, api, date_trunc('hour', at), code, count(*), sum(images), sum(units),
       sum(latency_ms), sum(queue_ms), sum(infer_ms),
       array_fill(0, ARRAY[%(rest)s]) || count(*)::int, array_fill(0, ARRAY[%(rest)s]) || count(*)::int,
       array_fill(0, ARRAY[%(rest)s]) || count(*)::int
  FROM faceapi_call GROUP BY 1, 2, 3, 4, 5
"""


def main() -> int:
    return on_temporary_postgresql("bench.postgresql.reconcile", __doc__, run)


def run(calls: int) -> bool:
    generate(calls)
    return measure()


def generate(calls: int) -> None:
    """Create orders, debits, a call for each debit, and the roll-ups."""
    from django.db import connection, transaction
    from django.db.migrations.recorder import MigrationRecorder
    from django.utils import timezone

    from bench.postgresql.populate import populate
    from faceapi.usage.histogram import SLOTS

    populate(apps=APPS, orders=APPS * ORDERS_EACH, debits=calls)
    MigrationRecorder.Migration.objects.filter(app="billing").update(
        applied=timezone.now() - timedelta(days=400)
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(CALLS)
        cursor.execute(USAGE, {"rest": SLOTS - 1})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def measure() -> bool:
    """Print the cost of each kind of run; return whether none found a break."""
    import psutil
    from django.db import connection
    from django.utils import timezone

    from billing.books import reconcile
    from billing.models import Debit
    from faceapi.models import Call

    at = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        session = psutil.Process(cursor.fetchone()[0])

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        def cpu_s() -> float:
            database = session.cpu_times()
            return float(time.process_time() + database.user + database.system)

        started, used = time.perf_counter(), cpu_s()
        yield
        print(f"{what:48} CPU {cpu_s() - used:6.1f} s, wall {time.perf_counter() - started:6.1f} s")

    runs: dict[str, Callable[[], list[reconcile.Proof]]] = {
        "every call at once": lambda: reconcile.run(at),
        "the first run, day by day": lambda: reconcile.run_and_record(at),
        "the next run, on the same day": lambda: reconcile.run_and_record(at),
        "the next night": lambda: reconcile.run_and_record(at + timedelta(days=1)),
        "--all": lambda: reconcile.run_and_record(at, anew=True),
    }
    print(f"{Call.objects.count():,} calls, {Debit.objects.count():,} debits")
    sound = True
    for what, prove in runs.items():
        with timed(what):
            proofs = prove()
        for proof in proofs:
            sound &= not proof.breaks
            for broken in proof.breaks[:3]:
                print("BREAK", proof.sentence, broken)
    return sound


if __name__ == "__main__":
    sys.exit(main())
