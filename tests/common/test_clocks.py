"""Hosts with different clocks agree on which workers are alive and when a hold expires."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings

from common import clock, valkey
from embedded.services.managed_process import Process
from embedded.site import QUIET, worker_environment
from inference.worker import exchange
from tests.conftest import REPOSITORY, wait_until


@pytest.fixture(params=[-600, 600])
def shifted(request: pytest.FixtureRequest, product_environment: dict[str, str]) -> Iterator[Process]:
    """Yield a worker on a host whose clock is ten minutes behind, or ahead."""
    logs = Path(settings.VAR_DIR) / "log" / "shifted"
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.common.shifted", str(request.param)]
    process = Process(
        "worker",
        [*command, "celery", "--app", "inference", "worker", *QUIET],
        log=logs / "worker.log",
        cwd=REPOSITORY,
        env={**worker_environment(product_environment), "FACECLOUD_WORKER_ID": f"shifted:{uuid4().hex}"},
    )
    process.start()
    yield process
    process.stop()


def alive() -> set[str]:
    client = valkey.client()
    return {worker.id for worker in exchange.workers(client, now_s=valkey.now_s(client))}


def test_a_workers_wrong_clock_does_not_affect_its_liveness(shifted: Process) -> None:
    client = valkey.client()
    neighbour = exchange.Worker("neighbour", 2, valkey.now_s(client))
    exchange.beat(client, neighbour, {})
    try:
        wait_until(
            lambda: any("shifted" in one for one in alive()), timeout_s=120, what=f"it ({shifted.log})"
        )
        exchange.beat(client, exchange.Worker("neighbour", 2, valkey.now_s(client)), {})
        assert "neighbour" in alive()  # its heartbeat is not taken for an old one
        wait_until(
            lambda: any(abs(off) > 500 for off in clock.offsets(client).values()),
            timeout_s=60,
            what="the report of its clock",
        )
        os.kill(shifted.pid, signal.SIGKILL)
        wait_until(
            lambda: not any("shifted" in one for one in alive()),
            timeout_s=4 * exchange.DEAD_AFTER_S,
            what="the end of its heartbeat",
        )
    finally:
        exchange.leave(client, neighbour)
        for key in client.scan_iter(f"{clock.KEY}*"):
            client.delete(key)


DIFFERENCE = """
import sys
import django
django.setup()
from django.db import connection
from django.utils import timezone
from common.postgresql import clock, processes
getattr(processes, sys.argv[1])()
ours = clock.now()  # before any connection is open
with connection.cursor() as cursor:
    cursor.execute("SELECT clock_timestamp()")
    (server,) = cursor.fetchone()
print(abs((ours - server).total_seconds()), abs((timezone.now() - server).total_seconds()))
"""


@pytest.mark.parametrize("kind", ["web", "background"])
@pytest.mark.parametrize("shift_s", [-600, 600])
def test_holds_expire_by_the_database_clock(
    shift_s: int, kind: str, product_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "difference.py").write_text(DIFFERENCE)
    done = subprocess.run(
        [sys.executable, "-m", "tests.common.shifted", str(shift_s), "difference", kind],
        cwd=REPOSITORY,
        env=product_environment
        | {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "facecloud.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ours, hosts = map(float, done.stdout.split())
    assert ours < 30 < 500 < hosts
