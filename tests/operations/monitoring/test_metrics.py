"""/metrics agrees with the raw calls, is protected, and has all metrics of the dashboard and the alerts."""

import json
import re
import socket
from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from billing import tasks
from billing.books import months, reconcile
from billing.models import ReconcileRun
from common import valkey
from common.celery import schedule
from faceapi.models import Call
from faceapi.usage import rollups, unattributed
from tests.conftest import REPOSITORY
from tests.operations.conftest import Login, World, call

pytestmark = pytest.mark.django_db


def samples(client: Client | None = None) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    token = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    reply = (client or Client()).get("/metrics", headers=token)
    assert reply.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.content.decode())
        for sample in family.samples
    }


def test_counters_and_histograms_are_those_of_today(world: World, now: datetime) -> None:
    for _number in range(5):
        call(world.app, "face_detect", now, images=2)
    today = list(Call.objects.filter(at__gte=rollups.local_day(now)).select_related("region"))
    found = samples()
    counted = Counter((row.api, row.region.code, str(row.code)) for row in today)
    for (api, region, code), count in counted.items():
        labels = frozenset({("api", api), ("region", region), ("code", code)})
        assert found["facecloud_calls_total", labels] == count
    served = [row for row in today if row.code == 0 and row.api == "face_detect"]
    detect = frozenset({("api", "face_detect")})
    assert found["facecloud_latency_seconds_count", detect] == len(served)
    total_s = sum(row.latency_ms for row in served) / 1000
    assert found["facecloud_latency_seconds_sum", detect] == pytest.approx(total_s)
    within_s = frozenset({("api", "face_detect"), ("le", "0.3")})
    assert found["facecloud_latency_seconds_bucket", within_s] == sum(row.latency_ms <= 300 for row in served)
    everything = frozenset({("api", "face_detect"), ("le", "+Inf")})
    assert found["facecloud_latency_seconds_bucket", everything] == len(served)


def test_closing_an_hour_changes_no_counter(world: World, now: datetime) -> None:
    call(world.app, "face_detect", now - timedelta(hours=3))
    before = {key: value for key, value in samples().items() if key[0].endswith(("_total", "_bucket"))}
    rollups.close(now)
    after = {key: value for key, value in samples().items() if key[0].endswith(("_total", "_bucket"))}
    assert before == after


def test_unattributed_errors_are_counted() -> None:
    before = unattributed.counts().get(4102, 0)
    headers = {"Authorization": f"CTYUN {'0' * 16}:{'0' * 64}", "X-CTYUN-DT": "1544518784923"}
    reply = Client().post("/api/v1/face_detect.json", b"{}", content_type="application/json", headers=headers)
    assert reply.json()["code"] == 4102
    assert unattributed.counts()[4102] == before + 1
    assert samples()["facecloud_refused_total", frozenset({("code", "4102")})] == before + 1


def test_a_scrape_waits_for_a_hanging_valkey_only_once(settings: Settings) -> None:
    """As with a suspended Valkey, the kernel accepts the connections, and no reply follows."""
    unattributed._by_group.clear()  # or what other tests counted would be written to this server
    unattributed.counts()
    before = settings.REDIS_URL, settings.VALKEY_TIMEOUT_S
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.VALKEY_TIMEOUT_S = 0.2
        valkey.client.cache_clear()
        try:
            found = samples()
        finally:
            settings.REDIS_URL, settings.VALKEY_TIMEOUT_S = before
            valkey.client.cache_clear()
        assert found["facecloud_valkey_up", frozenset()] == 0
        assert waiting_connections(silent) == 1


def waiting_connections(server: socket.socket) -> int:
    """Return the number of connections that were made to the server."""
    found = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return found
        found += 1


def test_metrics_need_the_token_or_an_operator(settings: Settings, log_in: Login) -> None:
    """A request from loopback is not enough, because a proxy may have omitted its headers."""
    settings.METRICS_TOKEN = ""
    for address in ("127.0.0.1", "203.0.113.1"):
        assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 403
    assert log_in("viewer").get("/metrics").status_code == 200
    settings.METRICS_TOKEN = "a-token"
    assert Client().get("/metrics").status_code == 403
    assert log_in("viewer").get("/metrics").status_code == 200
    far = {"REMOTE_ADDR": "203.0.113.1"}
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}, **far).status_code == 403
    assert Client().get("/metrics", headers={"Authorization": "Bearer a-token"}, **far).status_code == 200


def test_a_pod_can_be_scraped_by_its_address(settings: Settings) -> None:
    """Only with the token: without it, an unknown Host is refused as on all pages."""
    settings.METRICS_TOKEN = "a-token"
    settings.ALLOWED_HOSTS = ["face.example.com"]
    pod = {"SERVER_NAME": "10.42.0.7", "SERVER_PORT": "8000"}
    token = {"Authorization": "Bearer a-token"}
    assert Client().get("/metrics", headers=token, **pod).status_code == 200
    assert Client().get("/metrics", **pod).status_code == 400
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}, **pod).status_code == 400
    assert Client().get("/ops/live/", headers=token, **pod).status_code == 400
    assert Client().get("/healthz", **pod).status_code == 200


def asked_for() -> set[str]:
    """Return every metric that the dashboard and the alert rules name."""
    dashboard = json.loads((REPOSITORY / "deploy/grafana/facecloud.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    texts.append((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())
    return set(re.findall(r"\bfacecloud_[a-z_]+", " ".join(texts)))


def test_dashboard_and_alerts_use_existing_metrics(world: World, now: datetime) -> None:
    schedule.note()
    unattributed.note(4102)
    call(world.app, "face_detect", now)
    reconcile.run_and_record(now)
    assert asked_for() - {name for name, _labels in samples()} == set()


def test_the_last_reconcile_run_is_exported(settings: Settings) -> None:
    """Until the first run, the age counts from the installation and there are no other numbers."""
    nothing = frozenset[tuple[str, str]]()
    before = samples()
    assert before["facecloud_reconcile_age_seconds", nothing] >= 0
    assert ("facecloud_reconcile_breaks", nothing) not in before
    settings.RECONCILE_CHECKS = ["tests.billing.test_reconcile.a_check_of_another_room"]
    tasks.reconcile_books()
    after = samples()
    assert after["facecloud_reconcile_breaks", nothing] == 1
    assert after["facecloud_reconcile_checks", nothing] == len(reconcile.CHECKS) + 1
    ReconcileRun.objects.create(at=timezone.now() + timedelta(seconds=1), duration_ms=5, checks=1, breaks=0)
    assert samples()["facecloud_reconcile_breaks", nothing] == 0


def test_dashboard_panels_have_ids_and_queries() -> None:
    dashboard = json.loads((REPOSITORY / "deploy/grafana/facecloud.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
    assert all(target["refId"] and target["expr"] for panel in panels for target in panel["targets"])


def test_coming_and_overdue_months_are_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = frozenset[tuple[str, str]]()
    before = samples()
    assert before["facecloud_months_ahead", nothing] >= 2
    assert before["facecloud_months_overdue", nothing] == 0
    monkeypatch.setattr("operations.monitoring.metrics.months.state", lambda at: months.State(1, 2))
    after = samples()
    assert (after["facecloud_months_ahead", nothing], after["facecloud_months_overdue", nothing]) == (1, 2)
