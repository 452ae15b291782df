"""The step that prepares tables and demo: what is wrong in the environment is its last word."""

import os

import pytest
from cryptography.fernet import Fernet

from facecloud.local.places import Places
from facecloud.local.postgres import Postgres
from facecloud.local.process import ServiceError
from facecloud.local.start import Start


def prepare(places: Places) -> None:
    """As bin/start does it. Raises ServiceError."""
    url = "http://127.0.0.1:8000"
    step = Start(places, "127.0.0.1", 8000)._step("prepare", "facecloud.local.prepare", url)
    step.start()
    try:
        step.finish(timeout_s=60)
    finally:
        step.stop()


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("CLOCK_SKEW_S", "soon", r"^A setting in the environment or in \.env is wrong: CLOCK_SKEW_S: "),
        ("ENCRYPTION_KEY", "short", r"^ENCRYPTION_KEY is wrong: "),
        (
            "DATABASE_URL",
            "postgres://nobody@127.0.0.1:1/x",
            r"^The database of DATABASE_URL can't be reached",
        ),
        ("REDIS_URL", "redis://127.0.0.1:1", r"^The Valkey or Redis of REDIS_URL can't be reached"),
        ("REDIS_URL", "nonsense", r"^The Valkey or Redis of REDIS_URL can't be reached"),
    ],
)
def test_what_is_wrong_is_told(
    places: Places, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str, told: str
) -> None:
    monkeypatch.setenv(name, wrong)
    with pytest.raises(ServiceError, match=told):
        prepare(places)


def test_an_encryption_key_that_was_lost_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Postgres(
        data=places.data, sockets=places.sockets, log=places.logs / "postgres.log", durable=False
    )
    try:
        server.start()
        monkeypatch.setenv("DATABASE_URL", server.url)
        lose_and_find_the_key(places, monkeypatch)
    finally:
        server.stop()


def lose_and_find_the_key(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(places)
    new = Fernet.generate_key().decode()
    with monkeypatch.context() as lost:
        lost.setenv("ENCRYPTION_KEY", new)
        with pytest.raises(ServiceError, match=r"^ENCRYPTION_KEY is not the one that this database's"):
            prepare(places)
    monkeypatch.setenv("ENCRYPTION_KEY", f"{new},{os.environ['ENCRYPTION_KEY']}")
    prepare(places)
