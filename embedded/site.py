"""The product's own processes, as bin/start and the tests run them: web, the workers, beat."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from common.celery import queues
from embedded.paths import REPOSITORY
from embedded.services.managed_process import Process

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")  # no messages between workers
# The only variables of an inference worker: those of the operating system, and the worker's settings.
WORKER_VARIABLES = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w+|VIRTUAL_ENV|LD_LIBRARY_PATH|SSL_CERT_FILE"
    r"|(CUDA|NVIDIA|ORT|OMP|MALLOC)_\w+"
    r"|REDIS_URL|VALKEY_TIMEOUT_S|LOG_LEVEL|MODELS_DIR|CALIBRATION_DIR|FACECLOUD_VAR_DIR|FACECLOUD_WORKER_ID"
    r"|WORKER_\w+|PICTURE_MAX_S|LIVENESS_FILE|INFERENCE_PROVIDERS"
)


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an inference worker may have: neither secrets nor the database's address."""
    return {name: value for name, value in environment.items() if WORKER_VARIABLES.fullmatch(name)}


def web_process(environment: Mapping[str, str], *, host: str, port: int, logs: Path) -> Process:
    """Return the web server: gunicorn with deploy/gunicorn.conf.py."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = ["--config", "deploy/gunicorn.conf.py", "--bind", address]
    return _python("web", "gunicorn", *options, "facecloud.wsgi", environment=environment, logs=logs)


def worker_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """Return the inference worker, without secrets or database access. WORKER_CONCURRENCY sets its slots."""
    return _celery(
        "worker", "inference", "worker", *QUIET, environment=worker_environment(environment), logs=logs
    )


def scheduled_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """Return the worker of scheduled tasks, which must not wait for pictures or a mail server."""
    return _background(queues.SCHEDULED, environment=environment, logs=logs)


def mail_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """Return the worker that sends mail."""
    return _background(queues.MAIL, environment=environment, logs=logs)


def beat_process(environment: Mapping[str, str], *, logs: Path) -> Process:
    """Return Celery beat, which sends the scheduled tasks."""
    schedule = logs.parent / "beat-schedule"
    options = ["--schedule", str(schedule), "--pidfile="]
    return _celery("beat", "facecloud", "beat", *options, environment=environment, logs=logs)


def _background(queue: str, *, environment: Mapping[str, str], logs: Path) -> Process:
    options = [*QUIET, "--queues", queue, "--hostname", f"{queue}@%h"]
    return _celery(queue, "facecloud", "worker", *options, environment=environment, logs=logs)


def _celery(name: str, app: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return _python(name, "celery", "--app", app, *arguments, environment=environment, logs=logs)


def _python(name: str, module: str, *arguments: str, environment: Mapping[str, str], logs: Path) -> Process:
    return Process(
        name,
        [sys.executable, "-m", module, *arguments],
        log=logs / f"{name}.log",
        cwd=REPOSITORY,
        env={**environment, "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"},
    )
