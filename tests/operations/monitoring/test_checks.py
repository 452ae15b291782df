"""`manage.py check --deploy` reports nothing on a valid installation, and each fault by its id."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from common import valkey
from common.celery import schedule
from embedded.services.postgres import APPLICATION
from inference.worker import exchange
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db
STRONG = "kq3-Z9vXr7Lw_2TgB8mYpNc5JdHs4FuAe6RtVy1QxWzKoPiMbGhC0nS"


@pytest.fixture
def as_application(db: None) -> None:
    """Continue the transaction of the test as the application's role."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {APPLICATION}")


@pytest.fixture
def well(as_application: None, settings: Settings, models: Path) -> Iterator[Settings]:
    """Yield an installation behind TLS with a worker and a schedule."""
    settings.SECRET_KEY = STRONG
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SITE_URL = "https://faces.example.org"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.MODELS_DIR = models
    client, now = valkey.client(), timezone.now()
    worker = exchange.Worker("test:checks", 1, now.timestamp() + 60)  # alive for longer than the test
    exchange.beat(client, worker, {})
    schedule.note()
    yield settings
    exchange.leave(client, worker)


def faults() -> list[str]:
    """Return the ids that the command reports, including warnings."""
    err = io.StringIO()
    try:
        call_command("check", deploy=True, fail_level="WARNING", stderr=err, stdout=io.StringIO())
    except SystemCheckError as error:
        ids = [word.strip("()") for word in str(error).split() if word.startswith("(") and "." in word]
        return [
            one for one in ids if one != "async.E001"
        ]  # tests/conftest.py causes it if there is a browser
    return []


def test_a_valid_installation_has_no_findings(well: Settings) -> None:
    assert faults() == []


def test_a_connection_as_the_owner_of_the_tables_is_reported(well: Settings) -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
    assert faults() == ["facecloud.W003"]


@pytest.mark.parametrize("key", ["short", "x" * 60, "django-insecure-" + STRONG])
def test_a_weak_secret_key_is_reported(well: Settings, key: str) -> None:
    well.SECRET_KEY = key
    assert "facecloud.E001" in faults()


def test_missing_and_invalid_encryption_keys_are_reported(well: Settings) -> None:
    well.ENCRYPTION_KEYS = []
    assert faults() == ["facecloud.E002"]
    well.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), "no-key"]
    assert faults() == ["facecloud.E003"]


@pytest.mark.parametrize(
    "backend",
    [
        "common.mail_backends.FolderBackend",
        "common.mail_backends.LogBackend",
        "django.core.mail.backends.console.EmailBackend",
    ],
)
def test_a_missing_mail_server_is_reported(well: Settings, backend: str) -> None:
    well.EMAIL_BACKEND = backend
    assert faults() == ["facecloud.W002"]


def test_a_missing_or_insecure_site_url_is_reported(well: Settings) -> None:
    well.SITE_URL = ""
    assert faults() == ["facecloud.E009"]
    well.SITE_URL, well.SECURE_COOKIES = "http://faces.example.org", True
    assert faults() == ["facecloud.E010"]


@contextmanager
def without_workers() -> Iterator[Callable[[], set[str]]]:
    """Yield a function that returns the faults that are found while no worker is registered."""
    client = valkey.client()
    kept = client.zrange(exchange.WORKERS_KEY, 0, -1, withscores=True)

    def found() -> set[str]:
        client.delete(exchange.WORKERS_KEY)  # a worker of another test sends a heartbeat each second
        return set(faults())

    try:
        yield found
    finally:
        client.zadd(exchange.WORKERS_KEY, dict(kept))


def test_missing_models_are_reported_unless_a_worker_has_them(well: Settings, tmp_path: Path) -> None:
    well.MODELS_DIR = tmp_path
    assert faults() == []
    with without_workers() as found:
        wait_until(lambda: found() == {"facecloud.E004", "facecloud.E007"}, timeout_s=20, what="both faults")


def test_an_installation_without_inference_needs_no_models(
    well: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image of web, scheduled, mail and beat has neither onnxruntime nor models."""
    well.MODELS_DIR = tmp_path
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with without_workers() as found:
        wait_until(lambda: found() == {"facecloud.E007"}, timeout_s=20, what="the missing worker alone")


@pytest.mark.parametrize(
    ("are_unapplied", "fault"),
    [
        ("app = 'operations'", "facecloud.E011"),  # a room that the database does not have yet
        ("(app, name) = ('sessions', '0001_initial')", "facecloud.E011"),
        ("(app, name) = ('accounts', '0014_face_limit_positive')", "facecloud.E012"),
    ],
)
def test_tables_of_an_earlier_version_are_reported(well: Settings, are_unapplied: str, fault: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(f"DELETE FROM django_migrations WHERE {are_unapplied}")
    assert [one for one in faults() if one in ("facecloud.E011", "facecloud.E012")] == [fault]


def test_a_missing_worker_and_a_missing_beat_are_reported(well: Settings) -> None:
    schedule.note(age_s=600)
    with without_workers() as found:
        wait_until(lambda: found() == {"facecloud.E007", "facecloud.E008"}, timeout_s=20, what="both faults")


def test_an_unreachable_valkey_is_reported(well: Settings) -> None:
    here, well.REDIS_URL = well.REDIS_URL, "redis://127.0.0.1:1/0"
    valkey.client.cache_clear()
    try:
        assert faults() == ["facecloud.E006"]
    finally:
        well.REDIS_URL = here
        valkey.client.cache_clear()
