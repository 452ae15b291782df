"""The product's own processes, as bin/start and the tests run them: web, worker, beat."""

import sys
from collections.abc import Mapping
from pathlib import Path

from facecloud.local.places import REPOSITORY
from facecloud.local.process import Process


def web_process(environment: Mapping[str, str], *, host: str, port: int, logs: Path) -> Process:
    """gunicorn with deploy/gunicorn.conf.py."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = ["--config", "deploy/gunicorn.conf.py", "--bind", address]
    return _python("web", "gunicorn", *options, "facecloud.wsgi", environment=environment, logs=logs)


def worker_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """The inference pool and the scheduled work; pool and concurrency are settings."""
    return _celery("worker", "--without-gossip", "--without-mingle", environment=environment, logs=logs)


def beat_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """The clock of the scheduled work."""
    schedule = logs.parent / "beat-schedule"
    return _celery("beat", "--schedule", str(schedule), "--pidfile=", environment=environment, logs=logs)


def _celery(name: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return _python(name, "celery", "--app", "facecloud", name, *arguments, environment=environment, logs=logs)


def _python(name: str, module: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return Process(
        name,
        [sys.executable, "-m", module, *arguments],
        log=logs / f"{name}.log",
        cwd=REPOSITORY,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
