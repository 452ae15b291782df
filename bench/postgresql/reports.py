"""The report and the call log with a large number of calls: server time, and a check of the sums.

`bin/bench reports --calls 10000000` fills a temporary database with calls of the last 30 days (one tenth of
them of one App), sums them into the roll-ups, and requests that App's pages as a customer does. For each page
it also prints the number of database blocks that the queries read. That number does not depend on other load,
and must not grow with the number of calls.
"""

import statistics
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bench.postgresql.database import on_temporary_postgresql

if TYPE_CHECKING:
    from django.test import Client

LIMIT_MS = 200
DAYS = 30
APPS = 10
REPORTS = ("range=today", "range=7d", "range=7d&step=hour", "range=30d", "range=30d&api=face_detect")
# 5004 and 30 s occur in no call, 4104 in every sixteenth.
FILTERS = ("", "&code=4104", "&code=failed", "&code=5004", "&slow=30000", "&api=face_compare&code=5003")
# The same calls as operators see them: those of all customers.
OF_ALL = (
    "",
    "&code=4104",
    "&code=failed",
    "&code=5004",
    "&code=0&api=face_compare",
    "&api=face_compare&code=5003",
)
ROUNDS = 15


def main() -> int:
    return on_temporary_postgresql("bench.postgresql.reports", __doc__, run)


def run(calls: int) -> bool:
    return measure(generate(calls))


def generate(calls: int) -> str:
    """Create calls spread over DAYS and APPS and their roll-ups; return the id of the App to report on."""
    from django.db import connection
    from django.utils import timezone

    from accounts.applications import create_app
    from accounts.models import Region, User
    from faceapi.usage import rollups
    from faceapi.usage.histogram import BOUNDS_MS, SLOTS

    now = timezone.now()
    customer = User.objects.create_user("bench", "bench@example.org")
    region = Region.objects.order_by("pk")[0]
    apps = [
        create_app(customer=customer, region=region, name=f"应用{n}", description="测量", at=now)
        for n in range(APPS)
    ]
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO faceapi_call (id, app_id, app_key_id, region_id, api, at, code, http_status, images,
                                      units, body_bytes, latency_ms, queue_ms, infer_ms)
            SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
                    || '7' || substr(md5(random()::text), 1, 3) || '8'
                    || substr(md5(random()::text), 1, 15))::uuid,
                   app, (%(keys)s::bigint[])[slot], %(region)s, api, at, code,
                   CASE WHEN code = 0 THEN 200 ELSE 400 END, 1, (code = 0)::int, 100000, latency, 5,
                   latency / 2
              FROM (SELECT 1 + n %% %(count)s AS slot, (%(apps)s::bigint[])[1 + n %% %(count)s] AS app,
                           (ARRAY['face_detect', 'face_analyse', 'face_compare'])[1 + n / 7 %% 3] AS api,
                           %(now)s - interval '1 day' * (%(days)s * n::float8 / %(calls)s) AS at,
                           (ARRAY[0,0,0,0,0,0,0,0,0,0,0,0,0,4006,4104,5003])[1 + n / 11 %% 16] AS code,
                           (20 + 400 * random() * random())::int AS latency
                      FROM generate_series(0, %(calls)s - 1) n) made""",
            {
                "apps": [app.pk for app in apps],
                "keys": [app.keys.get().pk for app in apps],
                "count": APPS,
                "region": region.pk,
                "now": now,
                "days": DAYS,
                "calls": calls,
            },
        )
        slot = "width_bucket(latency_ms - 0.5, %s::float8[]) + 1"
        counts = ", ".join(
            f"coalesce(sum(calls) FILTER (WHERE slot = {number}), 0)::int" for number in range(1, SLOTS + 1)
        )
        empty = f"array_fill(0, ARRAY[{SLOTS}])"
        cursor.execute("SET work_mem = '512MB'")
        cursor.execute(
            f"""
            INSERT INTO faceapi_usagehour (app_id, region_id, api, hour, code, calls, images, units,
                   latency_sum_ms, queue_sum_ms, infer_sum_ms,
                   latency_histogram, queue_histogram, infer_histogram)
            SELECT app_id, region_id, api, hour, code, sum(calls), sum(images), sum(units),
                   sum(latency), sum(queue), sum(infer), ARRAY[{counts}], {empty}, {empty}
              FROM (SELECT app_id, region_id, api, date_trunc('hour', at) AS hour, code, {slot} AS slot,
                           count(*) AS calls, sum(images) AS images, sum(units) AS units,
                           sum(latency_ms) AS latency, sum(queue_ms) AS queue, sum(infer_ms) AS infer
                      FROM faceapi_call GROUP BY 1, 2, 3, 4, 5, 6) sorted
             GROUP BY app_id, region_id, api, hour, code""",
            [list(map(float, BOUNDS_MS))],
        )
        cursor.execute("ANALYZE")
    rollups.close(now)
    print(f"{calls:,} calls in {time.monotonic() - started:.0f} s")
    return apps[0].app_id


def pages(app_id: str) -> list[str]:
    """Return the pages to measure: reports, and call logs (first page, filters, a late page)."""
    from django.utils import timezone

    from common import time_ids
    from faceapi.usage.call_log import Cursor

    late = timezone.now() - timedelta(days=25)
    after = urlencode({"after": str(Cursor(late, time_ids.first(late)))})
    found = ["/console/", "/console/apps/", "/console/usage/?range=30d"]
    found += [f"/console/apps/{app_id}/report/?{query}" for query in REPORTS]
    for log in (f"/console/apps/{app_id}/calls/?range=30d", "/console/calls/?range=30d"):
        found += [log + one for one in (*FILTERS, f"&{after}")]
    return found


def blocks_of(client: "Client", page: str) -> int:
    """Return the number of blocks that PostgreSQL reads for the queries of a page."""
    from django.db import connection

    asked: list[tuple[str, Any]] = []

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        client.get(page)
    blocks = 0
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.lstrip().startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
                plan = cursor.fetchone()[0][0]["Plan"]
                blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return blocks


def measure(app_id: str) -> bool:
    """Print the server time for each page; return whether all are below LIMIT_MS."""
    from django.db.models import Sum
    from django.test import Client
    from django.utils import timezone

    from accounts.models import App, User
    from faceapi.models import Call, UsageHour
    from faceapi.usage.operator_reports import UsageFilter, usage

    app = App.objects.get(app_id=app_id)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(app.customer)
    operator = Client(headers={"host": "127.0.0.1"})
    operator.force_login(User.objects.create_superuser("bench-operator", "operator@example.org"))
    asked = [(client, page) for page in pages(app_id)]
    asked += [(operator, f"/ops/calls/?range=30d{one}") for one in OF_ALL]
    passed = True
    for reader, page in asked:
        times = []
        for _round in range(ROUNDS):
            started = time.perf_counter()
            reply = reader.get(page)
            times.append((time.perf_counter() - started) * 1000)
            assert reply.status_code == 200
        middle = statistics.median(times)
        passed &= middle < LIMIT_MS
        shown = page.replace(app_id, "APP")
        print(
            f"{shown:64} median {middle:6.0f} ms   best {min(times):6.0f}   worst {max(times):6.0f}"
            f"   {blocks_of(client, page):8,} blocks"
        )
    until = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    shown = usage(UsageFilter(until - timedelta(days=DAYS + 2), until, app=app.pk)).total.calls
    rolled = UsageHour.objects.filter(app=app).aggregate(calls=Sum("calls"))["calls"]
    counted = Call.objects.filter(app=app).count()
    print(f"calls of the App: {counted:,} counted, {rolled:,} rolled up, {shown:,} shown")
    return passed and counted == rolled == shown


if __name__ == "__main__":
    sys.exit(main())
