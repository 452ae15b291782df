"""Liveness files show whether a consumer receives messages, and whether beat sends tasks."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.paths import memory_folder
from embedded.services.managed_process import Process
from embedded.services.valkey import Valkey
from embedded.site import QUIET
from tests.conftest import REPOSITORY, wait_until


@pytest.fixture
def broker() -> Iterator[Valkey]:
    """Yield a Valkey that a test may stop."""
    with tempfile.TemporaryDirectory(prefix="facecloud-", dir=memory_folder()) as folder:
        server = Valkey(sockets=Path(folder), log=Path(folder) / "valkey.log")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def celery(name: str, broker: Valkey, folder: Path, *arguments: str) -> Process:
    return Process(
        name,
        [sys.executable, "-m", "celery", "--app", "facecloud", *arguments],
        log=folder / f"{name}.log",
        cwd=REPOSITORY,
        env={**os.environ, "REDIS_URL": broker.url, "LIVENESS_FILE": str(folder / name)},
    )


def is_touched_again(file: Path) -> bool:
    """Return whether the file is touched within the next seconds."""
    before = file.stat().st_mtime_ns
    wait_until(lambda: file.stat().st_mtime_ns != before, timeout_s=60, what="the file is touched")
    return True


def test_a_consumer_touches_its_file_only_while_it_is_connected(broker: Valkey, tmp_path: Path) -> None:
    process = celery("scheduled", broker, tmp_path, "worker", *QUIET, "--queues", "scheduled")
    file = tmp_path / "scheduled"
    process.start()
    try:
        wait_until(file.exists, timeout_s=120, what="the consumer is connected")
        assert is_touched_again(file)
        broker.stop()
        lost = "Connection to broker lost"
        wait_until(lambda: lost in process.log.read_text(), timeout_s=60, what="the connection is lost")
        file.unlink()
        waits = process.log.read_text().count("Cannot connect")
        wait_until(
            lambda: process.log.read_text().count("Cannot connect") >= waits + 3,
            timeout_s=120,
            what="three attempts to connect",
        )
        assert not file.exists()
        broker.start()
        wait_until(file.exists, timeout_s=120, what="the consumer is connected again")
    finally:
        process.stop()


def test_beat_touches_its_file_when_a_task_was_sent(broker: Valkey, tmp_path: Path) -> None:
    schedule = str(tmp_path / "schedule")
    process = celery("beat", broker, tmp_path, "beat", "--schedule", schedule, "--pidfile=")
    process.start()
    try:
        wait_until((tmp_path / "beat").exists, timeout_s=120, what="the first task is sent")
        broker.stop()
        (tmp_path / "beat").unlink()
    finally:
        process.stop()
    assert not (tmp_path / "beat").exists()
