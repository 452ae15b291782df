"""The live view describes each fault with a remedy, and states if there is none."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import psycopg2
import pytest
import redis
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.html import escape

from accounts.models import Region
from billing import quota
from billing.books import reconcile
from billing.models import ReconcileRun
from common import valkey
from common.celery import schedule
from embedded.services.postgres import APPLICATION
from faceapi.models import Call
from faceapi.usage import unattributed
from inference.worker import exchange
from operations.monitoring import health
from operations.monitoring.findings import RULES, findings
from operations.monitoring.health import Books, PostgresState, State, Traffic, ValkeyState, WorkerState
from tests.operations.conftest import Login, World, call

NOW = datetime.fromisoformat("2026-11-22T12:00:00+08:00")
ABOUT = {"version": "0.1.0", "models": {"yunet": "95e0fed521ef"}, "started_at_s": 1.0}
PROVED = Books(NOW - timedelta(hours=8.5), checks=13, duration_ms=1500, age_s=8.5 * 3600)
WELL = State(
    at=NOW,
    valkey=ValkeyState(
        memory_bytes=10,
        memory_limit_bytes=100,
        queued={"inference": 3},
        workers=[WorkerState("one", 3, 0.5, ABOUT), WorkerState("two", 3, 0.5, ABOUT)],
        schedule_seen_at=NOW - timedelta(seconds=50),
    ),
    postgres=PostgresState(connections=10, connection_limit=100),
    traffic=Traffic(calls=100, ok=99, images=240),
    queue_limit=200,
    books=PROVED,
)


def test_a_healthy_system_has_no_findings() -> None:
    assert findings(WELL) == []
    assert (WELL.traffic.images_per_s, WELL.valkey.slots) == (4.0, 6)


def test_a_schedule_is_not_late_just_after_the_start() -> None:
    young = replace(WELL.valkey, schedule_seen_at=None, started_at=NOW - timedelta(seconds=20))
    assert findings(replace(WELL, valkey=young)) == []


def test_a_schedule_is_late_without_an_inference_worker_too() -> None:
    stopped = replace(WELL.valkey, workers=[], schedule_seen_at=NOW - timedelta(minutes=4))
    told = [finding.what for finding in findings(replace(WELL, valkey=stopped))]
    assert [what[:4] for what in told] == ["没有可用", "定时任务"]


OTHER = WorkerState("two", 3, 0.5, {**ABOUT, "version": "0.2.0"})
OTHER_MODELS = WorkerState("two", 3, 0.5, {**ABOUT, "models": {"yunet": "000000000000"}})
MIXED = replace(WELL.valkey, workers=[WELL.valkey.workers[0], OTHER])
FULL = replace(WELL.valkey, queued={"inference": 200})


NEAR = Region(code="cn-sh6", name="上海6", name_en="Shanghai 6")
FAR = Region(code="cn-gz4", name="广州4", name_en="Guangzhou 4", queue="inference.cn-gz4")
REGIONS = replace(WELL, all_regions=[NEAR, FAR])
DEAD = exchange.Death("two", NOW.timestamp() - 60)
TROUBLES = [
    ("bad", "Valkey 没有响应", replace(WELL, valkey=ValkeyState(error="ConnectionError"))),
    ("bad", "没有可用的推理 worker", replace(WELL, valkey=replace(WELL.valkey, workers=[]))),
    ("bad", "推理队列已满", replace(WELL, valkey=FULL)),
    ("warn", "推理队列过半", replace(WELL, valkey=replace(WELL.valkey, queued={"inference": 100}))),
    ("bad", "定时任务没有运行", replace(WELL, valkey=replace(WELL.valkey, schedule_seen_at=None))),
    (
        "bad",
        "定时任务没有运行",
        replace(WELL, valkey=replace(WELL.valkey, schedule_seen_at=NOW - timedelta(minutes=4))),
    ),
    ("bad", "意外退出或失联：two", replace(WELL, valkey=replace(WELL.valkey, deaths=[DEAD]))),
    ("bad", "地域的队列：广州4，", REGIONS),
    ("warn", "时钟", replace(WELL, valkey=replace(WELL.valkey, clock_offsets={"web-1": -8.0, "web-2": 0.1}))),
    (
        "bad",
        "没有进展",
        replace(
            WELL,
            valkey=replace(WELL.valkey, workers=[WorkerState("one", 3, 0.5, {**ABOUT, "stuck_s": 101.0})]),
        ),
    ),
    ("warn", "邮件", replace(WELL, valkey=replace(WELL.valkey, queued_mails=21))),
    ("warn", "发送失败", replace(WELL, valkey=replace(WELL.valkey, failed_mails=1))),
    ("warn", "内存", replace(WELL, valkey=replace(WELL.valkey, memory_bytes=81))),
    (
        "warn",
        "版本不一致",
        replace(WELL, valkey=replace(WELL.valkey, workers=[WELL.valkey.workers[0], OTHER])),
    ),
    (
        "bad",
        "模型不一致",
        replace(WELL, valkey=replace(WELL.valkey, workers=[WELL.valkey.workers[0], OTHER_MODELS])),
    ),
    ("warn", "连接数", replace(WELL, postgres=replace(WELL.postgres, connections=86))),
    ("warn", "事务", replace(WELL, postgres=replace(WELL.postgres, longest_transaction_s=301))),
    ("bad", "内部错误", replace(WELL, traffic=replace(WELL.traffic, broken=1))),
    ("bad", "超时", replace(WELL, traffic=replace(WELL.traffic, timed_out=1))),
    ("warn", "5003", replace(WELL, traffic=replace(WELL.traffic, overloaded=1))),
    ("bad", "5003", replace(WELL, traffic=replace(WELL.traffic, overloaded=20))),
    ("bad", "对账发现 3 处矛盾（2026-11-22 03:30）", replace(WELL, books=replace(PROVED, breaks=3))),
    ("warn", "对账已有 27 小时", replace(WELL, books=replace(PROVED, age_s=27.5 * 3600))),
    ("warn", "对账已有 26 小时", replace(WELL, books=Books(age_s=26.5 * 3600))),
    ("warn", "预扣", replace(WELL, traffic=replace(WELL.traffic, held_too_long=1))),
    ("warn", "备案", replace(WELL, persons=90_000)),
    ("warn", "3 张", replace(WELL, faces_of_closed_accounts=3)),
]


@pytest.mark.parametrize(("level", "word", "state"), TROUBLES)
def test_each_finding_has_a_remedy(level: str, word: str, state: State) -> None:
    (found,) = findings(state)
    assert found.level == level
    assert word in found.what
    assert len(found.remedy) > 8


def test_a_region_is_served_by_the_workers_of_its_queue() -> None:
    far = WorkerState("far", 2, 0.5, {**ABOUT, "queues": ["inference.cn-gz4"]})
    queued = {"inference": 3, "inference.cn-gz4": 5}
    state = replace(REGIONS, valkey=replace(WELL.valkey, workers=[*WELL.valkey.workers, far], queued=queued))
    assert findings(state) == []
    assert [(one.region.code, one.slots, one.queued_chunks) for one in state.regions] == [
        ("cn-sh6", 6, 3),
        ("cn-gz4", 2, 5),
    ]
    assert (state.valkey.queued_chunks, state.queue_share) == (8, 5 / 200)


@pytest.mark.django_db
def test_the_live_page_shows_a_region_without_worker(log_in: Login, now: datetime) -> None:
    viewer = log_in("viewer")
    headers = {"HX-Request": "true"}
    alive_s = now.timestamp() + 60  # however slow this machine is
    worker = exchange.Worker(f"test:{uuid4().hex[:6]}", 3, alive_s)
    exchange.beat(valkey.client(), worker, ABOUT)
    try:
        assert 'id="regions"' not in viewer.get("/ops/live/", headers=headers).content.decode()
        Region.objects.filter(code="cn-gz4").update(queue="inference.cn-gz4")
        page = viewer.get("/ops/live/", headers=headers).content.decode()
        assert 'id="regions"' in page
        assert page.count("没有 worker</span>") == 1
        metrics = viewer.get("/metrics").content.decode()
        assert 'facecloud_region_workers{region="cn-gz4"} 0.0' in metrics
    finally:
        exchange.leave(valkey.client(), worker)


AFTER_DEATH = replace(WELL, valkey=replace(WELL.valkey, deaths=[DEAD]))


@pytest.mark.parametrize(
    "trouble",
    [
        replace(WELL, valkey=replace(FULL, deaths=[DEAD])),
        replace(AFTER_DEATH, traffic=replace(WELL.traffic, overloaded=20)),
        replace(AFTER_DEATH, traffic=replace(WELL.traffic, timed_out=1)),
    ],
)
def test_the_remedy_for_a_worker_death_is_not_more_capacity(trouble: State) -> None:
    cause, *others = findings(trouble)
    assert "意外退出" in cause.what
    assert others
    assert [one.remedy for one in others if "增加" in one.remedy or "提高" in one.remedy] == []
    long_ago = replace(trouble, at=NOW + timedelta(minutes=20))
    assert [one for one in findings(long_ago) if "意外退出" in one.what] == []


def test_each_rule_has_a_case() -> None:
    assert [rule for rule in RULES if not any(rule.holds(state) for *_words, state in TROUBLES)] == []


@pytest.mark.django_db
def test_live_figures_match_the_calls(world: World, now: datetime, log_in: Login) -> None:
    unattributed._by_group.clear()  # counted by other tests, for Apps that were deleted
    before = health.measure_traffic(now)
    call(world.app, "face_detect", now - timedelta(seconds=5), images=4)
    with unattributed._flushing:  # the thread cannot flush meanwhile
        for _ in range(3):
            call(world.app, "face_detect", now - timedelta(seconds=20), code=5003)
    unattributed.flush()  # one row as a sample, the others counted
    call(world.app, "face_detect", now - timedelta(seconds=61), images=4)
    quota.reserve(call_id=uuid4(), app=world.app, api="face_detect", images=1, at=now)
    after = health.measure_traffic(max(now, timezone.now()))
    assert (after.calls - before.calls, after.ok - before.ok) == (4, 1)
    assert (after.images - before.images, after.overloaded - before.overloaded) == (4, 3)
    assert after.in_flight - before.in_flight == 1


@pytest.mark.django_db
def test_a_call_counts_in_the_minute_in_which_it_ended(world: World, now: datetime) -> None:
    """A call that times out arrived more than half a minute before it ended."""
    before = health.measure_traffic(now)
    late = call(world.app, "face_detect", now - timedelta(seconds=70), code=5004)
    Call.objects.filter(pk=late).update(latency_ms=32_000)
    after = health.measure_traffic(now)
    assert (after.calls - before.calls, after.timed_out - before.timed_out) == (1, 1)


@contextmanager
def open_transaction(name: str) -> Iterator[Callable[[], float]]:
    """Open a transaction as the owner of the tables; yields a function that returns its age in seconds."""
    opened = psycopg2.connect(**connection.get_connection_params(), application_name=name)
    with closing(opened), opened.cursor() as cursor:

        def age_s() -> float:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp() - now())")
            return float(cursor.fetchone()[0])

        age_s()
        yield age_s


@pytest.mark.django_db
def test_a_transaction_of_another_role_is_measured_but_no_backup() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {APPLICATION}")
    with open_transaction("pg_dump") as age_s:
        dump_s = age_s()
        assert health.measure_postgres().longest_transaction_s < dump_s
    with open_transaction("psql") as age_s:
        forgotten_s = age_s()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_stat_clear_snapshot()"
            )  # which lasts until the end of the test's transaction
        assert health.measure_postgres().longest_transaction_s >= forgotten_s


@pytest.mark.django_db
def test_the_last_reconcile_run_is_shown(now: datetime) -> None:
    never = health.measure_books(reconcile.installed_at() + timedelta(hours=27))
    assert never.proved_at is None
    assert never.is_late
    reconcile.run_and_record(now - timedelta(hours=25))
    # This run was recorded late.
    ReconcileRun.objects.create(at=now - timedelta(hours=27), duration_ms=1, checks=1, breaks=5)
    seen = health.measure_books(now)
    assert (seen.proved_at, seen.age_s, seen.breaks) == (now - timedelta(hours=25), 25 * 3600, 0)
    assert not seen.is_late
    assert health.measure_books(now + timedelta(hours=2)).is_late


@pytest.mark.django_db
def test_the_usage_page_starts_with_the_current_state(
    now: datetime, log_in: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = log_in("viewer")
    # A separate database of Valkey, without the workers, deaths and refusals of other tests.
    unattributed._by_group.clear()  # or their refusals would be written to it
    client = redis.Redis.from_url(settings.REDIS_URL, db=6)
    client.flushdb()
    monkeypatch.setattr(valkey, "client", lambda: client)
    worker = exchange.Worker(f"test:{uuid4().hex[:6]}", 3, now.timestamp() + 60)
    exchange.beat(client, worker, ABOUT)
    schedule.note()
    try:
        # PostgreSQL is shared with other tests, whose connections may cause findings.
        found = [one.what for one in findings(health.measure(now))]
        page = viewer.get("/ops/usage/").content.decode()
        assert ("一切正常" in page) == (not found)
        assert all(escape(what) in page for what in found[:1])  # the worst
    finally:
        exchange.leave(client, worker)
    assert "没有可用的推理 worker" in viewer.get("/ops/usage/").content.decode()
    client.flushdb()
    client.close()


@pytest.mark.django_db
def test_workers_and_queue_are_read_from_valkey(now: datetime, log_in: Login) -> None:
    client = valkey.client()
    worker = exchange.Worker(f"test:{uuid4().hex[:6]}", 3, now.timestamp() + 60)
    try:
        exchange.beat(client, worker, ABOUT)
        schedule.note()
        state = health.measure_valkey(now)
        (seen,) = [one for one in state.workers if one.id == worker.id]
        assert (seen.slots, seen.models) == (3, "yunet")
        page = log_in("viewer").get("/ops/live/", headers={"HX-Request": "true"}).content.decode()
        assert worker.id in page
        assert "<html" not in page  # only the part that changes
        old_s = valkey.now_s(client) - exchange.DEAD_AFTER_S - 1
        client.zadd(exchange.WORKERS_KEY, {f"{worker.id} {worker.slots}": old_s})
        gone = health.measure_valkey(now)  # by Valkey's clock, not by that of this host
        assert worker.id not in {one.id for one in gone.workers}
    finally:
        exchange.leave(client, worker)
