"""The product's own processes, as bin/start and the tests run them: web, worker, beat."""

import os
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
    """The inference pool: one process, one copy of the models, as many threads as cores."""
    options = ["worker", "--pool", environment.get("WORKER_POOL", "threads")]
    options += ["--concurrency", environment.get("WORKER_CONCURRENCY") or str(os.cpu_count() or 1)]
    options += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return _celery("worker", *options, environment=environment, logs=logs)


def beat_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """The clock of the scheduled work."""
    options = ["beat", "--schedule", str(logs.parent / "beat-schedule"), "--pidfile=", "--loglevel", "INFO"]
    return _celery("beat", *options, environment=environment, logs=logs)


def _celery(name: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return _python(name, "celery", "--app", "facecloud", *arguments, environment=environment, logs=logs)


def _python(name: str, module: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return Process(
        name,
        [sys.executable, "-m", module, *arguments],
        log=logs / f"{name}.log",
        cwd=REPOSITORY,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
