"""The step that prepares the tables and the demo: its last line reports an error of the environment."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet

from embedded.environment import read_env
from embedded.paths import Paths
from embedded.services.managed_process import ServiceError
from embedded.services.postgres import Postgres
from embedded.start import Start
from tests.conftest import REPOSITORY


def prepare(paths: Paths) -> None:
    """Prepare as bin/start does. Raises ServiceError."""
    url = "http://127.0.0.1:8000"
    step = Start(paths, "127.0.0.1", 8000)._step("prepare", "embedded.prepare", url)
    step.start()
    try:
        step.finish(timeout_s=60)
    finally:
        step.stop()


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("CLOCK_SKEW_S", "soon", r"^A setting in the environment or in \.env is wrong: CLOCK_SKEW_S: "),
        ("WEB_WORKERS", "0", r"is wrong: WEB_WORKERS should be at least 1 \("),
        ("WEB_WORKERS", "some", r"is wrong: WEB_WORKERS: "),
        ("WEB_THREADS", "0", r"is wrong: WEB_THREADS should be at least 1 \("),
        ("ENCRYPTION_KEY", "short", r"is wrong: ENCRYPTION_KEY: "),
        (
            "DATABASE_URL",
            "postgres://nobody@127.0.0.1:1/x",
            r"^The database of DATABASE_URL can't be reached",
        ),
        ("REDIS_URL", "redis://127.0.0.1:1", r"^The Valkey or Redis of REDIS_URL can't be reached"),
        ("REDIS_URL", "nonsense", r"is wrong: REDIS_URL should begin with redis://"),
    ],
)
def test_a_failed_preparation_is_reported(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str, told: str
) -> None:
    monkeypatch.setenv(name, wrong)
    with pytest.raises(ServiceError, match=told):
        prepare(paths)


@pytest.fixture
def database(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a separate database, because the demo customer must not be in that of this test run."""
    server = Postgres(data=paths.data, sockets=paths.sockets, log=paths.logs / "postgres.log", durable=False)
    try:
        server.start()
        monkeypatch.setenv("DATABASE_URL", server.url)
        yield
    finally:
        server.stop()


@pytest.mark.usefixtures("database")
def test_the_demo_file_has_the_current_values(paths: Paths) -> None:
    prepare(paths)
    first = read_env(paths.demo)
    assert {"FACECLOUD_PASSWORD", "FACECLOUD_OPERATOR_PASSWORD"} <= first.keys()
    changes = (
        "from datetime import UTC, datetime, timedelta; from accounts import keys, models;"
        "u = models.User.objects.get(username='demo'); u.set_password('of my own'); u.save();"
        "keys.rotate(u.apps.get(), datetime.now(UTC), timedelta(days=1))"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", changes]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=60)
    prepare(paths)
    now = read_env(paths.demo)
    assert first.keys() - now.keys() == {"FACECLOUD_PASSWORD"}
    assert {name for name in now if now[name] != first[name]} == {
        "FACECLOUD_APP_KEY",
        "FACECLOUD_SECRET_KEY",
    }


@pytest.mark.usefixtures("database")
def test_a_lost_encryption_key_is_reported(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(paths)
    new = Fernet.generate_key().decode()
    with monkeypatch.context() as lost:
        lost.setenv("ENCRYPTION_KEY", new)
        with pytest.raises(ServiceError, match=r"^ENCRYPTION_KEY does not match"):
            prepare(paths)
    monkeypatch.setenv("ENCRYPTION_KEY", f"{new},{os.environ['ENCRYPTION_KEY']}")
    prepare(paths)
