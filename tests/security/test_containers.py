"""compose.yaml confines each process, and Valkey's users can access what they need and nothing else."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from bench.ports import free_port
from embedded.paths import memory_folder
from embedded.services.managed_process import Process
from embedded.services.valkey import server
from embedded.site import QUIET, worker_environment
from inference.worker import exchange
from inference.worker.exchange import Chunk
from tests.conftest import REPOSITORY, wait_until

OURS = ("web", "worker", "scheduled", "mail", "beat", "migrate")
SECRETS = {"DJANGO_SECRET_KEY", "ENCRYPTION_KEY", "DATABASE_URL", "DATABASE_OWNER_URL", "POSTGRES_PASSWORD"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    return loaded


@pytest.mark.parametrize("name", [*OURS, "valkey", "postgres"])
def test_a_container_is_confined(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert "cap_add" not in service


def test_the_image_runs_as_a_numeric_user(services: dict[str, Any]) -> None:
    """With a numeric user, Kubernetes can check that it is not root without reading the image."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"] * 2


def test_the_worker_gets_no_secret(services: dict[str, Any]) -> None:
    assert "env_file" not in services["worker"]
    assert set(services["worker"]["environment"]) & SECRETS == set()
    assert "redis://worker:" in services["worker"]["environment"]["REDIS_URL"]


def test_only_migrate_connects_as_owner(services: dict[str, Any]) -> None:
    for name in OURS:
        environment = services[name]["environment"]
        assert bool(environment.get("DATABASE_OWNER_URL")) == (name == "migrate"), name
        if name != "worker":
            assert environment["POSTGRES_PASSWORD"] == ""
            assert "DATABASE_OWNER_URL" in environment  # set here, so that .env cannot set it
            assert "postgres://facecloud_app:" in environment["DATABASE_URL"]


# --- Valkey ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Yield a Valkey as compose starts it."""
    number = free_port()
    with tempfile.TemporaryDirectory(prefix="facecloud-", dir=memory_folder()) as folder:
        process = Process(
            "Valkey",
            [
                "sh",
                REPOSITORY / "deploy" / "valkey" / "start.sh",
                "--bind",
                "127.0.0.1",
                "--port",
                str(number),
            ],
            log=Path(folder) / "valkey.log",
            cwd=Path(folder),
            env={
                "PATH": f"{server().parent}:{os.environ['PATH']}",
                "TMPDIR": folder,
                "VALKEY_PASSWORD": "application",
                "VALKEY_WORKER_PASSWORD": "worker",
            },
        )
        process.start()
        try:
            wait_until(lambda: answers(number), timeout_s=30, what=f"Valkey: {process.last_lines()}")
            yield number
        finally:
            process.stop()


def answers(port: int) -> bool:
    try:
        return bool(as_user(port, "facecloud", "application").ping())
    except redis.ConnectionError:
        return False


def as_user(port: int, name: str, password: str) -> redis.Redis:
    return redis.Redis(port=port, username=name, password=password)


def test_anonymous_connections_are_rejected(port: int) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()
    with pytest.raises(redis.AuthenticationError):
        as_user(port, "worker", "wrong").ping()


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "session:1"), ("SET", "faceapi:rate", "1"), ("LRANGE", "scheduled", "0", "1"),
        ("LPUSH", "scheduled", "{}"), ("KEYS", "*"), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"),
        ("ACL", "LIST"), ("SCRIPT", "FLUSH"), ("SHUTDOWN",), ("MONITOR",), ("SCAN", "0"), ("RANDOMKEY",),
        ("REPLICAOF", "127.0.0.1", "1"), ("PUBLISH", "0.celery.pidbox", "{}"), ("SAVE",), ("CLIENT", "LIST"),
    ],
)  # fmt: skip
def test_the_worker_is_refused(port: int, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.ResponseError, match="permission"):
        as_user(port, "worker", "worker").execute_command(*command)


@pytest.mark.parametrize("command", [("CONFIG", "GET", "*"), ("SHUTDOWN",), ("ACL", "LIST"), ("MONITOR",)])
def test_the_application_has_no_admin_rights(port: int, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.ResponseError, match="permission"):
        as_user(port, "facecloud", "application").execute_command(*command)


def test_a_worker_serves_a_call_with_its_few_rights(
    port: int, models: Path, astronaut: bytes, tmp_path: Path
) -> None:
    """The real worker warms up, sends heartbeats, takes a chunk and answers."""
    client = as_user(port, "facecloud", "application")
    address = f"redis://worker:worker@127.0.0.1:{port}/0"
    environment = worker_environment({**os.environ, "REDIS_URL": address, "MODELS_DIR": str(models)})
    process = Process(
        "worker",
        [sys.executable, "-m", "celery", "--app", "inference", "worker", *QUIET],
        log=tmp_path / "worker.log",
        cwd=REPOSITORY,
        env=environment,
    )
    process.start()
    try:
        wait_until(
            lambda: bool(exchange.workers(client, now_s=time.time())),
            timeout_s=120,
            what=f"a warm worker: {process.last_lines(8)}",
        )
        exchange.store(client, Chunk("r", "r.0", 0, 1), [astronaut], ttl_s=120)
        send = (
            "import facecloud.celery, time; from common.celery.broker import publish;"
            "publish('inference.infer', 'r.0', ('r', 'r.0', 'detect', 1, time.time(), 120, False),"
            " queue='inference')"
        )
        subprocess.run(
            [sys.executable, "-c", send],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "facecloud.settings",
                "REDIS_URL": f"redis://facecloud:application@127.0.0.1:{port}/0",
            },
            check=True,
        )
        reply = exchange.wait(client, "r", timeout_s=60)
        assert reply is not None
        assert reply.failure is None
        assert len(reply.results[0]["faces"]) == 1
        assert "NOPERM" not in process.log.read_text()
    finally:
        process.stop()
