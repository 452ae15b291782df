"""Shared fixtures: real services, the models, a warm worker, the site, one real photograph.

PostgreSQL and Valkey come from bin/test (or DATABASE_URL and REDIS_URL); nothing here replaces them.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase
from playwright.sync_api import Browser, sync_playwright

from bench.ports import free_port
from common import valkey
from embedded.pip_settings import uv_environment
from embedded.services.managed_process import Process
from embedded.services.postgres import APPLICATION
from embedded.site import web_process, worker_process
from facecloud import database_role
from inference.models.setup import missing_files
from inference.worker import exchange
from tests import parallel, rows

REPOSITORY = Path(__file__).resolve().parent.parent

# No test fails because an example took long: the machine may be busy.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("tests")


def pytest_xdist_auto_num_workers() -> int:
    return parallel.default_number()


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(parallel.Workers())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run fast tests first, so that a broken rule is found before a browser starts.

    Parallel runs start with the slow ones, so that they do not remain for one worker at the end.
    """
    slow = {"browser", "race", "chaos", "end_to_end"}
    is_parallel = hasattr(config, "workerinput")
    items.sort(key=lambda item: any(item.get_closest_marker(name) for name in slow) != is_parallel)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report skipped tests as failed if FORBID_SKIPS is set, as in .ci/run."""
    report = yield
    if report.skipped and os.environ.get("FORBID_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which this run forbids: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _umask_of_one_test() -> Iterator[None]:
    """Restore the umask: the commands set their own, and some tests run them in this process."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the real models, fetched and checked on the first run, shared by all runs."""
    folder = Path(settings.MODELS_DIR)
    if missing_files(folder):
        command = [sys.executable, "-m", "inference.models.setup", "--models", str(folder)]
        subprocess.run(
            command, cwd=REPOSITORY, env={**os.environ, **uv_environment()}, check=True, timeout=240
        )
    return folder


@pytest.fixture(scope="session")
def astronaut(models: Path) -> bytes:
    """Return a PNG photograph of one person, 512x512: the sample of the demo call."""
    return (models / "astronaut.png").read_bytes()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Create the test database, and a role for the product's processes with the rights of production.

    The tests themselves connect as the owner, and empty all tables after a test that commits, which triggers
    would refuse. If no selected test needs the database, pytest-django has created none.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return
        database_role.grant(APPLICATION, APPLICATION)
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'no_truncate'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER no_truncate")
        rows.keep()
    TransactionTestCase._fixture_teardown = lambda self: rows.restore()  # type: ignore[attr-defined]  # private


def as_application(url: str) -> str:
    """Return the address of the same database for the application's role."""
    parts = urlsplit(url)
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{APPLICATION}:{APPLICATION}@{server}"))


@pytest.fixture(scope="session")
def product_environment(django_db_setup: None, models: Path) -> dict[str, str]:
    """Return the environment of a product process that uses this run's test database and Valkey."""
    database = settings.DATABASES["default"]
    return {
        **os.environ,
        "DATABASE_URL": as_application(os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{database['NAME']}"),
        "MODELS_DIR": str(models),
    }


@pytest.fixture(scope="session")
def worker(product_environment: dict[str, str]) -> Iterator[Process]:
    """Yield a warm Celery worker, a real process. Tests that use it need `transactional_db`."""
    process = worker_process(product_environment, logs=settings.VAR_DIR / "log")
    process.start()
    try:
        wait_until(
            lambda: bool(exchange.workers(valkey.client(), now_s=time.time())),
            timeout_s=90,
            what=f"a warm worker ({process.log})",
        )
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="session")
def site(worker: Process, product_environment: dict[str, str]) -> Iterator[str]:
    """Yield the address of the real site: gunicorn with the worker. Tests also need `transactional_db`."""
    port = free_port()
    process = web_process(product_environment, host="127.0.0.1", port=port, logs=settings.VAR_DIR / "log")
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz"), timeout_s=60, what=f"{url}/readyz")
        yield url
    finally:
        process.stop()


@pytest.fixture(scope="session")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """Yield the only Chromium of this run, because Playwright allows one per thread."""
    from tests.console.screenshots import launch

    # Playwright keeps an event loop in this thread, but the ORM calls are synchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as play:
        chromium = launch(play)
        yield chromium
        chromium.close()
        connections.close_all()  # the connections opened while the loop was running


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.05)
