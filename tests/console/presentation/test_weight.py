"""The bytes that a page with charts transfers, compressed as bin/start and the image serve it."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser

from accounts.models import App, User
from bench.ports import free_port
from billing.models import Api
from embedded.site import web_process
from faceapi.models import UsageHour
from faceapi.usage.histogram import SLOTS
from tests.conftest import REPOSITORY, answers, wait_until
from tests.console.conftest import Visitor, visit

pytestmark = pytest.mark.browser

MOST_BYTES = 160_000


@pytest.fixture
def built(
    browser: Browser, product_environment: dict[str, str], tmp_path: Path, transactional_db: None
) -> Iterator[Visitor]:
    """Yield a visitor of a site that serves its static files as in production."""
    environment = {**product_environment, "STATIC_MANIFEST": "true", "STATIC_ROOT": str(tmp_path / "static")}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, timeout=300)
    port = free_port()
    process = web_process(environment, host="127.0.0.1", port=port, logs=settings.VAR_DIR / "log")
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/healthz"), timeout_s=120, what=f"{url}/healthz")
        yield from visit(browser, url)
    finally:
        process.stop()


def bytes_of(visitor: Visitor, path: str) -> int:
    """Return the bytes that the browser receives for a page with an empty cache, including headers."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    visitor.page.goto(visitor.url + path, wait_until="networkidle")
    assert visitor.page.evaluate("typeof Chart") == "function", path
    session.detach()
    return round(sum(received))


def test_pages_with_charts_transfer_few_bytes(built: Visitor, alice: User, app: App, now: datetime) -> None:
    """The charts show hourly usage of every API with several codes."""
    slots: list[int] = [0] * SLOTS
    UsageHour.objects.bulk_create(
        UsageHour(
            app=app, region=app.region, api=api, code=code, calls=12,
            hour=now.replace(minute=0, second=0, microsecond=0), images=12, units=12, latency_sum_ms=900,
            queue_sum_ms=10, infer_sum_ms=800,
            latency_histogram=slots, queue_histogram=slots, infer_histogram=slots,
        )
        for api in Api.values
        for code in (0, 4003, 4104)
    )  # fmt: skip
    built.log_in(alice)
    weights = {
        path: bytes_of(built, path)
        for path in (
            "/console/",
            "/console/usage/?range=30d",
            f"/console/apps/{app.app_id}/report/?range=7d&step=hour",
        )
    }
    assert {path: weight for path, weight in weights.items() if weight > MOST_BYTES} == {}
