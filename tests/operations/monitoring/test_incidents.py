"""Incidents: when they begin, continue and end, and how they are shown."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import translation

from accounts.models import Region
from operations.models import Incident
from operations.monitoring import incident_marks, incidents
from operations.monitoring.findings import RULES, UNWATCHED
from operations.monitoring.health import PostgresState, State, Traffic, ValkeyState, WorkerState
from tests.operations.conftest import Login

NOON = datetime.fromisoformat("2026-07-15T12:00:00+08:00")
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.django_db


def well(at: datetime) -> State:
    valkey = ValkeyState(
        workers=[WorkerState("w", 3, 0.0, {})], started_at=at - timedelta(days=1), schedule_seen_at=at
    )
    return State(at, valkey, PostgresState(connection_limit=100), Traffic(), queue_limit=300)


def without_workers(at: datetime, overloaded: int = 0) -> State:
    state = well(at)
    valkey = replace(state.valkey, workers=[])
    return replace(state, valkey=valkey, traffic=Traffic(calls=10, overloaded=overloaded))


def kinds() -> list[str]:
    return list(Incident.objects.order_by("started_at", "rule").values_list("rule", flat=True))


def test_an_incident_lasts_as_long_as_its_finding() -> None:
    for minute in range(3):
        incidents.record(well(NOON + minute * MINUTE))
    assert kinds() == []
    for minute in range(3, 6):
        incidents.record(without_workers(NOON + minute * MINUTE, overloaded=7))
    incident = Incident.objects.get(rule="no-worker")
    assert (incident.started_at, incident.ended_at) == (NOON + 3 * MINUTE, None)
    incidents.record(well(NOON + 6 * MINUTE))
    incident.refresh_from_db()
    assert (incident.ended_at, incident.failed_calls) == (NOON + 6 * MINUTE, 21)
    # The same fault again is a new incident.
    incidents.record(without_workers(NOON + 7 * MINUTE))
    assert Incident.objects.filter(rule="no-worker").count() == 2


def test_regions_without_a_worker_are_named_in_the_readers_language() -> None:
    far = Region.objects.get(code="cn-gz4")
    far.queue = "inference.cn-gz4"
    incidents.record(replace(well(NOON), all_regions=[far]))
    incident = Incident.objects.get(rule="region-no-worker")
    for language, name in (("zh-hans", "广州4"), ("en", "Guangzhou 4")):
        with translation.override(language):
            assert name in incident_marks.sentence(incident)


def test_concurrent_recorders_open_one_incident() -> None:
    for _again in range(2):
        incidents.record(without_workers(NOON))
    assert Incident.objects.filter(rule="no-worker", ended_at=None).count() == 1


def test_a_gap_of_the_schedule_is_an_incident() -> None:
    incidents.record(well(NOON))
    incidents.record(well(NOON + 3 * MINUTE))
    assert kinds() == []
    incidents.record(well(NOON + 20 * MINUTE))
    gap = Incident.objects.get(rule="unwatched")
    assert (gap.started_at, gap.ended_at) == (NOON + 3 * MINUTE, NOON + 20 * MINUTE)


def test_old_incidents_are_deleted() -> None:
    incidents.record(without_workers(NOON))
    incidents.record(well(NOON + MINUTE))
    incidents.record(well(NOON + MINUTE + incidents.KEPT + MINUTE))
    assert kinds() == ["unwatched"]


def test_every_rule_has_a_unique_key() -> None:
    keys = [rule.key for rule in RULES] + [UNWATCHED.key]
    assert len(set(keys)) == len(keys)


def test_a_mark_covers_the_steps_of_its_incident(log_in: Login, time_machine: object) -> None:
    incidents.record(without_workers(NOON))
    incidents.record(well(NOON + 70 * MINUTE))
    midnight = NOON.replace(hour=0)
    hours = [midnight + timedelta(hours=hour) for hour in range(24)]
    found = {mark.text[14:]: mark for mark in incident_marks.marks(hours, timedelta(hours=1), NOON)}
    (mark,) = [one for text, one in found.items() if "没有可用的推理 worker" in text]
    assert (mark.first, mark.last) == (12, 13)
    days = [midnight - timedelta(days=1), midnight]
    assert {(one.first, one.last) for one in incident_marks.marks(days, timedelta(days=1), NOON)} == {(1, 1)}
    assert incident_marks.marks(hours[:6], timedelta(hours=1), NOON) == []
    time_machine.move_to(NOON + timedelta(hours=3), tick=False)  # type: ignore[attr-defined]
    page = log_in("viewer").get("/ops/usage/?range=today")
    assert "图中红色区域：" in page.content.decode()
    assert [one["first"] for one in page.context["charts"][0].payload["marks"]][-1] == 12


def test_incidents_are_on_the_page_and_in_the_csv_file(log_in: Login, time_machine: object) -> None:
    time_machine.move_to(NOON + timedelta(hours=1), tick=False)  # type: ignore[attr-defined]
    viewer = log_in("viewer")
    assert "这段时间没有故障记录" in viewer.get("/ops/incidents/").content.decode()
    incidents.record(without_workers(NOON, overloaded=7))
    page = viewer.get("/ops/incidents/?range=today").content.decode()
    assert "没有可用的推理 worker" in page
    assert "进行中" in page
    incidents.record(well(NOON + 2 * MINUTE))
    file = viewer.get("/ops/incidents/incidents.csv?range=today").content.decode()
    assert "2 分钟" in file
    assert "7" in file
    assert viewer.get("/ops/incidents/nothing.csv").status_code == 404
