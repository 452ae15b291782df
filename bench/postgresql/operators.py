"""CPU time of the operators' reports on a large number of calls of many customers.

`bin/bench operators --calls 10000000` fills a temporary database with the hourly roll-ups of that many calls
(200 Apps of 50 customers, 90 days) and 100,000 orders of 10,000 other Apps (100 days), closes the days and
hours as the scheduled task does, and opens the pages as an operator.

The result is the CPU time of the web thread and its database session (without parallel queries, whose
processes would not be counted): on a busy machine, wall-clock time depends mostly on the other load.
"""

import statistics
import sys
import time
from datetime import timedelta

from bench.postgresql.database import on_temporary_postgresql

LIMIT_MS = 300
ROUNDS = 9
DAYS, CUSTOMERS, APPS = 90, 50, 200
SHOP = {"apps": 10_000, "orders": 100_000, "debits": 100_000}  # every App orders each tenth day
PAGES = (
    "/ops/usage/?range=today",
    "/ops/usage/?range=7d",
    "/ops/usage/?range=7d&step=hour",
    "/ops/usage/?range=30d",
    "/ops/usage/?range=90d",
    "/ops/usage/?range=90d&api=face_detect&region=1",
    "/ops/usage/?range=90d&who=bench-7",
    "/ops/usage/?range=90d&who=called-0007",
    "/ops/business/?range=90d",
    "/ops/",
    "/ops/customers/",
    "/ops/customers/?sort=last",
    "/ops/desk/?q=bench-7",
    "/ops/prices/",
    "/ops/incidents/?range=90d",
    "/admin/billing/order/?q=bench-7",
    "/metrics",
)
# Each App calls each API in every third hour, which gives as many rows as possible for the number of calls.
USAGE = """
INSERT INTO faceapi_usagehour (app_id, region_id, api, hour, code, calls, images, units, latency_sum_ms,
        queue_sum_ms, infer_sum_ms, latency_histogram, queue_histogram, infer_histogram)
SELECT app.id, app.region_id, api.name, hour, code, calls, calls, CASE code WHEN 0 THEN calls ELSE 0 END,
       calls * 120, calls * 4, calls * 90, h.slots, h.slots, h.slots
  FROM accounts_app app
 CROSS JOIN generate_series(%(since)s::timestamptz, %(until)s, interval '1 hour') hour
 CROSS JOIN unnest(ARRAY['face_detect', 'face_analyse', 'face_compare']) WITH ORDINALITY api (name, number)
 CROSS JOIN unnest(ARRAY[0, 4003]) code
 CROSS JOIN LATERAL (SELECT CASE code WHEN 0 THEN %(calls)s ELSE %(calls)s / 9 + 1 END) c (calls)
 CROSS JOIN LATERAL (SELECT array_agg(CASE slot WHEN 20 THEN calls ELSE 0 END) AS slots
                       FROM generate_series(1, %(slots)s) slot) h
 WHERE app.app_id LIKE 'called-%%'
   AND (app.id + extract(hour FROM hour)::int + api.number) %% 3 = 0
"""


def main() -> int:
    return on_temporary_postgresql("bench.postgresql.operators", __doc__, run)


def run(calls: int) -> bool:
    generate(calls)
    return measure()


def generate(calls: int) -> None:
    """Create orders, customers, Apps and their roll-ups, and close them as the scheduled task does."""
    from django.db import connection
    from django.utils import timezone

    from accounts.models import App, Region, User
    from bench.postgresql.populate import populate
    from faceapi.models import ServiceHour, UsageDay, UsageHour
    from faceapi.usage import rollups
    from faceapi.usage.histogram import SLOTS

    populate(**SHOP)
    now = timezone.now()
    customers = User.objects.bulk_create(
        User(username=f"bench-{number}", email=f"bench-{number}@example.org") for number in range(CUSTOMERS)
    )
    regions = list(Region.objects.order_by("pk"))
    App.objects.bulk_create(
        App(
            app_id=f"called-{number:04}",
            customer=customers[number % CUSTOMERS],
            region=regions[number % len(regions)],
            name=f"应用{number}",
            description="测量",
            created_at=now - timedelta(days=DAYS),
        )
        for number in range(APPS)
    )
    started = time.monotonic()
    since = rollups.local_day(now) - timedelta(days=DAYS - 1)
    row_of_success = calls // (DAYS * 24 * APPS) or 1
    with connection.cursor() as cursor:
        cursor.execute(
            USAGE, {"since": since, "until": now, "calls": row_of_success * 9 // 10 or 1, "slots": SLOTS}
        )
        print(f"{cursor.rowcount:,} rows of UsageHour in {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        rollups.close(now)
        print(f"closed in {time.monotonic() - started:.0f} s: ", end="")
        print(f"{UsageDay.objects.count():,} of UsageDay, {ServiceHour.objects.count():,} of ServiceHour")
        cursor.execute("SELECT sum(calls) FROM faceapi_usagehour")
        print(f"{cursor.fetchone()[0]:,} calls")
        cursor.execute("VACUUM ANALYZE")
    if any(rollups.differences()):
        raise SystemExit("the roll-ups are not the sum of the hours")
    print(f"{UsageHour._meta.db_table}: the closed sums agree")


def measure() -> bool:
    """Measure each page; return whether all medians are within the limit."""
    import psutil
    from django.db import connection
    from django.test import Client

    from accounts.models import User

    operator = User.objects.create_superuser("bench-operator", "operator@example.org")
    client = Client()
    client.force_login(operator)
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        session = psutil.Process(cursor.fetchone()[0])

    def cpu_ms() -> float:
        database = session.cpu_times()
        return (time.process_time() + database.user + database.system) * 1000

    slowest = 0.0
    for page in PAGES:
        wall, cpu = [], []
        for _round in range(ROUNDS + 1):
            started, used = time.perf_counter(), cpu_ms()
            reply = client.get(page, headers={"host": "localhost"})
            wall.append((time.perf_counter() - started) * 1000)
            cpu.append(cpu_ms() - used)
            if reply.status_code != 200:
                raise SystemExit(f"{page}: {reply.status_code}")
        median = statistics.median(cpu[1:])
        slowest = max(slowest, median)
        print(f"{page:45} CPU {median:5.0f} ms, wall {statistics.median(wall[1:]):6.0f} ms (medians)")
    print(f"slowest page: {slowest:.0f} ms of CPU, limit {LIMIT_MS} ms")
    return slowest <= LIMIT_MS


if __name__ == "__main__":
    sys.exit(main())
