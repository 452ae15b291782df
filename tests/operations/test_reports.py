"""Every figure of the reports equals that of the raw rows, whatever part the roll-ups have closed."""

import csv
import io
import json
import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import App, User
from billing import orders
from billing.books import sales_reports as money
from billing.models import Api, Order, Package, WalletEntry
from billing.payments import refunds
from faceapi.models import Call, ServiceHour, UsageDay
from faceapi.usage import operator_reports, rollups
from faceapi.usage.histogram import slot
from faceapi.usage.operator_reports import Step, UsageFilter
from operations.reports.tables import ranks
from tests.console.conftest import Place
from tests.operations.conftest import Login, World, call

pytestmark = pytest.mark.django_db


def span(now: datetime, days: int = 10, step: Step = "day", **narrowed: object) -> UsageFilter:
    tomorrow = rollups.local_day(now) + timedelta(days=1)
    return UsageFilter(tomorrow - timedelta(days=days), tomorrow, step, **narrowed)  # of many types


def start_of(at: datetime, step: Step) -> datetime:
    local = timezone.localtime(at).replace(minute=0, second=0, microsecond=0)
    return local.replace(hour=0) if step == "day" else local


def raw(spanned: UsageFilter) -> list[Call]:
    found = Call.objects.filter(at__gte=spanned.since, at__lt=spanned.until)
    if spanned.api:
        found = found.filter(api=spanned.api)
    if spanned.region:
        found = found.filter(region=spanned.region)
    if spanned.app:
        found = found.filter(app=spanned.app)
    if spanned.customer:
        found = found.filter(app__customer=spanned.customer)
    return list(found)


def agrees(spanned: UsageFilter) -> None:
    made, rows = operator_reports.usage(spanned), raw(spanned)
    total = made.total
    assert rows
    assert total.calls == len(rows)
    assert total.ok == sum(row.code == 0 for row in rows)
    units: Counter[str] = Counter()
    for row in rows:
        units[row.api] += row.units
    assert total.units_by_api == units
    assert total.images == sum(row.images for row in rows)
    served = [row for row in rows if row.code == 0]
    assert total.latency_sum_ms == sum(row.latency_ms for row in served)
    assert total.queue_sum_ms == sum(row.queue_ms for row in served)
    assert total.infer_sum_ms == sum(row.infer_ms for row in served)
    by_step = Counter(start_of(row.at, spanned.step) for row in rows)
    assert {start: one.calls for start, one in made.by_step.items() if one.calls} == by_step
    assert {code: one.calls for code, one in made.by_code.items()} == Counter(row.code for row in rows)
    assert {api: one.calls for api, one in made.by_api.items()} == Counter(row.api for row in rows)
    assert {pk: one.calls for pk, one in made.by_region.items()} == Counter(row.region_id for row in rows)
    by_app = operator_reports.by_app(spanned)
    assert {app: one.calls for app, one in by_app.items()} == Counter(row.app_id for row in rows)
    for share, percentile in zip((0.5, 0.95, 0.99), (total.p50_ms, total.p95_ms, total.p99_ms), strict=True):
        # The nearest-rank percentile, which a histogram determines to within its slot.
        exact = sorted(row.latency_ms for row in served)[ceil(share * len(served)) - 1]
        assert percentile is not None
        assert slot(exact) == slot(ceil(percentile))


@pytest.mark.parametrize("closed", ["nothing", "five days ago", "all that can be"])
@pytest.mark.parametrize("step", ["day", "hour"])
def test_figures_equal_those_of_the_calls(world: World, now: datetime, closed: str, step: Step) -> None:
    if closed == "five days ago":
        rollups.close(now - timedelta(days=5))
    elif closed == "all that can be":
        rollups.close(now)
    app = world.app
    agrees(span(now, step=step))
    agrees(span(now, 4, step))
    agrees(span(now, step=step, api="face_detect"))
    agrees(span(now, step=step, region=app.region_id))
    agrees(span(now, step=step, customer=app.customer_id))
    agrees(span(now, step=step, app=app.pk, api="face_compare"))


def test_closing_is_idempotent_and_late_rows_are_corrected(world: World, now: datetime) -> None:
    assert rollups.close(now) > 0
    assert rollups.close(now) == 0
    assert list(rollups.differences()) == []
    agrees(span(now))
    late = now - timedelta(days=3)
    call(world.app, "face_detect", late)  # recorded long after its hour was closed
    assert {found.day for found in rollups.differences()} == {rollups.local_day(late)}
    rollups.rebuild(late)
    rollups.close(now)
    assert list(rollups.differences()) == []
    agrees(span(now))


def test_an_hour_is_closed_only_after_its_last_possible_call(world: World, now: datetime) -> None:
    rollups.close(now)
    until = rollups.hours_closed_until()
    assert until is not None
    assert until <= now - rollups.GRACE + timedelta(hours=1)
    assert not ServiceHour.objects.filter(hour__gt=now - rollups.GRACE).exists()
    assert not UsageDay.objects.filter(day__gte=rollups.local_day(now - rollups.GRACE)).exists()


def table(client: Client, address: str) -> list[dict[str, str]]:
    reply = client.get(address)
    assert reply.status_code == 200
    assert reply["Content-Type"].startswith("text/csv")
    rows = csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig")))
    return [{name: text.removesuffix("\t") for name, text in row.items()} for row in rows]


def test_the_page_and_its_csv_agree(world: World, now: datetime, log_in: Login) -> None:
    viewer = log_in("viewer")
    rows = raw(span(now, 30))
    page = viewer.get("/ops/usage/?range=30d").content.decode()
    assert re.search(rf"<dd>\s*{len(rows)}<small>", page)
    by_day = table(viewer, "/ops/usage/usage-by-time.csv?range=30d")
    assert len(by_day) == 30
    days = Counter(timezone.localtime(row.at).strftime("%Y-%m-%d") for row in rows)
    assert {row["日期（UTC+8）"]: int(row["调用次数"]) for row in by_day if row["调用次数"] != "0"} == days
    by_code = table(viewer, "/ops/usage/usage-by-code.csv?range=30d")
    assert {int(row["返回码"]): int(row["调用次数"]) for row in by_code} == Counter(row.code for row in rows)
    apps = table(viewer, "/ops/usage/top-apps.csv?range=30d")
    names = dict(App.objects.values_list("pk", "app_id"))
    assert {row["应用 ID"]: int(row["调用次数"]) for row in apps} == Counter(names[r.app_id] for r in rows)
    customers = table(viewer, "/ops/usage/top-customers.csv?range=30d")
    for head, apis in (("计费量（张）", {"face_detect", "face_analyse"}), ("计费量（次）", {"face_compare"})):
        charged = sum(row.units for row in rows if row.api in apis)
        assert charged
        assert sum(int(row[head]) for row in customers) == charged
    assert [int(row["调用次数"]) for row in customers] == sorted(
        (int(row["调用次数"]) for row in customers), reverse=True
    )


def test_a_report_is_filtered_by_customer_or_app(world: World, now: datetime, log_in: Login) -> None:
    viewer = log_in("viewer")
    app = world.apps[2]
    for who, expected in (
        (app.app_id, {"app": app.pk}),
        (app.customer.username, {"customer": app.customer_id}),
        (app.customer.email.upper(), {"customer": app.customer_id}),
    ):
        rows = table(viewer, f"/ops/usage/usage-by-api.csv?range=30d&who={who}")
        assert sum(int(row["调用次数"]) for row in rows) == len(raw(span(now, 30, **expected)))
    assert viewer.get("/ops/usage/?who=nobody-of-that-name").status_code == 400
    assert viewer.get("/ops/usage/usage-by-api.csv?who=nobody-of-that-name").status_code == 404


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("range=custom&since=2026-03-01&until=2026-03-01", 24),
        ("range=today&step=day", 1),
        ("range=7d", 7),
        ("range=custom&since=2026-03-01&until=2026-03-07&step=hour", 7 * 24),
        ("range=30d&step=hour", 30),
    ],
)
def test_a_report_of_a_few_days_is_hourly(log_in: Login, query: str, steps: int) -> None:
    assert len(table(log_in("viewer"), f"/ops/usage/usage-by-time.csv?{query}")) == steps


def test_future_hours_are_neither_drawn_nor_exported(world: World, now: datetime, log_in: Login) -> None:
    call(world.app, "face_detect", now)
    viewer, owner = log_in("viewer"), Client()
    owner.force_login(world.app.customer)
    for client, page, file in (
        (viewer, "/ops/usage/?range=today", "/ops/usage/usage-by-time.csv?range=today"),
        (
            owner,
            f"/console/apps/{world.app.app_id}/report/?range=today",
            f"/console/apps/{world.app.app_id}/report.csv?range=today",
        ),
    ):
        before = timezone.localtime().hour + 1
        exported = len(table(client, file))
        drawn = client.get(page).content.decode()
        after = timezone.localtime().hour + 1  # an hour may end during the test
        chart = json.loads(re.findall(r'<script id="chart-calls"[^>]*>(.*?)</script>', drawn)[0])
        assert {exported, *(len(series["values"]) for series in chart["series"])} <= {before, after}
        assert len(chart["labels"]) == 24
        assert re.fullmatch(r"截至 \d\d:\d\d", chart["progress"])
        assert (
            drawn.count("截至") == 3 if client is owner else 4
        )  # next to each chart; the chart's own data escape it


def test_a_past_range_is_not_in_progress(log_in: Login) -> None:
    page = log_in("viewer").get("/ops/usage/?range=custom&since=2026-03-01&until=2026-03-01").content.decode()
    assert "截至" not in page


@pytest.mark.parametrize(
    "query",
    [
        "range=custom",
        "range=custom&since=2026-03-02&until=2026-03-01",
        "range=custom&since=1990-01-01&until=2026-01-01",
        "range=custom&since=9999-12-31&until=9999-12-31",
        "since=yesterday",
    ],
)
def test_an_invalid_range_is_reported(log_in: Login, query: str) -> None:
    reply = log_in("viewer").get(f"/ops/usage/?{query}")
    assert reply.status_code == 400
    assert 'role="alert"' in reply.content.decode()


def test_a_change_from_hours_to_days_is_reported(log_in: Login) -> None:
    viewer = log_in("viewer")
    told = "按小时最多显示 7 天"
    assert told in viewer.get("/ops/usage/?range=30d&step=hour").content.decode()
    assert told not in viewer.get("/ops/usage/?range=7d&step=hour").content.decode()
    assert told not in viewer.get("/ops/usage/?range=30d").content.decode()


def test_amounts_equal_the_ledger(
    world: World, now: datetime, log_in: Login, operators: dict[str, User], place: Place
) -> None:
    unused = orders.pay(place(world.app.customer, Api.FACE_ANALYSE, app=world.app), now)
    refunded = Package.objects.get(order=unused)
    refunds.refund(refunded, by=operators["finance"], reason="not wanted", at=now)
    asked = span(now, 30)
    days = money.days(asked.since, asked.until)
    paid = list(Order.objects.filter(state="paid"))
    entries = list(WalletEntry.objects.all())
    assert sum(day.cash for day in days) == sum(order.cash_paid for order in paid)
    assert sum(day.voucher for day in days) == sum(order.voucher_paid for order in paid)
    assert sum(day.paid for day in days) == len(paid)
    assert sum(day.created for day in days) == Order.objects.count()
    assert sum(day.new_apps for day in days) == App.objects.count()
    assert sum(day.topped_up for day in days) == sum(e.amount for e in entries if e.kind == "top_up")
    back = [entry.amount for entry in entries if entry.kind == "refund"]
    assert sum(day.refunded_cash for day in days) == sum(back, Decimal("0.00"))
    assert sum(day.revenue for day in days) == sum(day.cash for day in days) - sum(back, Decimal("0.00"))
    assert refunded.order.amount == refunded.order.cash_paid + refunded.order.voucher_paid
    viewer = log_in("viewer")
    for key in ("business-by-day", "revenue-by-api", "revenue-by-customer"):
        rows = table(viewer, f"/ops/business/{key}.csv?range=30d")
        assert sum(Decimal(row["净收入（元）"]) for row in rows) == sum(day.revenue for day in days), key
    customer = world.app.customer
    (row,) = [row for row in rows if row["客户"] == customer.username]
    hers = [order for order in paid if order.customer_id == customer.pk]
    assert int(row["已支付订单"]) == len(hers)
    assert Decimal(row["现金收入（元）"]) == sum(order.cash_paid for order in hers)
    assert Decimal(row["代金券支付（元）"]) == sum(order.voucher_paid for order in hers)
    assert Decimal(row["现金退款（元）"]) == sum(back, Decimal("0.00"))


def charts(viewer: Client) -> dict[str, list[float]]:
    """Return what each chart of the business page draws: the sum of every series."""
    page = viewer.get("/ops/business/").content.decode()
    drawn = re.findall(r'<script id="(chart-[\w-]+)" type="application/json">(.*?)</script>', page)
    return {key: [sum(one["values"]) for one in json.loads(payload)["series"]] for key, payload in drawn}


def test_ending_packages_and_apps_near_their_limit_are_listed(
    world: World, now: datetime, log_in: Login, place: Place
) -> None:
    viewer = log_in("viewer")
    ending = table(viewer, "/ops/business/packages-ending.csv")
    within = Package.objects.filter(ends_at__gt=now, ends_at__lte=now + timedelta(days=30), refunded_at=None)
    assert {row["订单编号"] for row in ending} == set(within.values_list("order__number", flat=True))
    assert {row["已续购"] for row in ending} == {"否"}
    assert charts(viewer)["chart-packages-ending"] == [within.count(), 0]
    assert table(viewer, "/ops/business/apps-near-limit.csv") == []
    left = 2000 - sum(row.units for row in raw(span(now, app=world.app.pk, api="face_detect")))
    while left > 400:
        call(world.app, "face_detect", now, images=min(100, left - 400))
        left -= min(100, left - 400)
    (near,) = table(viewer, "/ops/business/apps-near-limit.csv")
    assert (near["应用 ID"], near["已用"], near["剩余"]) == (world.app.app_id, "1600", "400")
    assert float(near["已用比例"]) == 0.8
    assert charts(viewer)["chart-apps-near-limit"] == [80]
    orders.pay(place(world.app.customer, Api.FACE_DETECT, app=world.app), now)
    (renewed,) = [
        row["应用 ID"] for row in table(viewer, "/ops/business/packages-ending.csv") if row["已续购"] == "是"
    ]
    assert renewed == world.app.app_id
    assert charts(viewer)["chart-packages-ending"] == [within.count() - 1, 1]


def test_a_chart_of_zeros_is_not_drawn() -> None:
    assert not ranks("income", "净收入", [("Alice", 0.0), ("Bob", 0.0)]).has_values
    assert ranks("income", "净收入", [("Alice", 0.0), ("Bob", -1.0)]).has_values


def test_a_report_takes_the_same_queries_for_any_number_of_customers(
    world: World, now: datetime, log_in: Login
) -> None:
    viewer = log_in("viewer")
    for path in ("/ops/usage/?range=30d", "/ops/business/?range=30d"):
        viewer.get(path)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert viewer.get(path).status_code == 200
        assert len(queries) <= 45, path


def test_csv_cells_are_not_formulas(world: World, now: datetime, log_in: Login) -> None:
    customer = world.app.customer
    customer.company = "=HYPERLINK(1)"
    customer.save()
    rows = table(log_in("viewer"), "/ops/usage/top-customers.csv?range=30d")
    assert "'=HYPERLINK(1)" in {row["公司"] for row in rows}
