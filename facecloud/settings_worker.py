"""What an inference worker needs: models, Valkey, its pool, its log. No secret, no database, no Django app.

facecloud/settings.py adds the rest for the web and the scheduled work. A worker decodes files from strangers,
so a fault in a decoder must not reach a key or a password: this module reads none, and no .env file either.
"""

from pathlib import Path

from common import logs, machine, queues, valkey_address
from facecloud.env import Env

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

VAR_DIR = Path(env.str("FACECLOUD_VAR_DIR", default=str(BASE_DIR / "var")))  # everything that a run writes
MODELS_DIR = Path(env.str("MODELS_DIR", default=str(VAR_DIR / "models")))
# The calibration set: ours, or one that `bin/bench fit` made from pictures of your own.
CALIBRATION_DIR = Path(env.str("CALIBRATION_DIR", default=str(BASE_DIR / "inference" / "calibration")))
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

REDIS_URL = env.valkey_url("REDIS_URL", default="redis://127.0.0.1:6379/0")
# How long a process waits for Valkey to connect or to answer. More than the longest blocking pop takes.
VALKEY_TIMEOUT_S = env.float("VALKEY_TIMEOUT_S", default=5.0)

# --- Celery: the inference pool ------------------------------------------------
_address = valkey_address.parse(REDIS_URL)
CELERY_BROKER_URL = _address.broker_url()
CELERY_BROKER_USE_SSL = _address.tls() or None  # verified, as by our own client
CELERY_BROKER_CONNECTION_TIMEOUT = VALKEY_TIMEOUT_S
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": VALKEY_TIMEOUT_S,
    "socket_connect_timeout": VALKEY_TIMEOUT_S,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    "priority_steps": [0],  # one list a queue instead of four
    # Nothing waits in Valkey for an acknowledgement: a chunk that a dying worker took is sent again by its
    # call (faceapi/dispatch.py), and what is scheduled comes again with the next tick, or is
    # caught up (common/schedule.py).
    "ack_emulation": False,
}
if _address.is_sentinel:
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "master_name": _address.service,
        "sentinel_kwargs": {
            "socket_timeout": VALKEY_TIMEOUT_S,
            "socket_connect_timeout": VALKEY_TIMEOUT_S,
            **_address.sentinel_login(),
            **({"ssl": True, **_address.tls()} if _address.has_tls else {}),
        },
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # replies go over a Valkey list of the request (docs/decisions)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = queues.INFERENCE
CELERY_TASK_QUEUES = {queues.INFERENCE: {"exchange": queues.INFERENCE}}
CELERY_WORKER_POOL = env.choice("WORKER_POOL", default="threads", choices=["threads", "prefork"])
# One slot more than CPUs: the slot that a large batch leaves free for single calls (docs/decisions). Fewer
# if the container's memory is short (common/machine.py).
CELERY_WORKER_CONCURRENCY = env.count("WORKER_CONCURRENCY", default=machine.worker_slots())
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0
CELERY_WORKER_LOST_WAIT = 1.0  # a child that died has no result to wait for
CELERY_TIMEZONE = TIME_ZONE
# A picture that takes this long hangs: its worker ends and is started again. Below DEADLINE_S, or its call is
# told 5004 before it could be told which picture it was (5001). The worst that is known takes 10 CPU-seconds.
PICTURE_MAX_S = env.float("PICTURE_MAX_S", default=25.0)
INFERENCE_PROVIDERS: list[str] = env.list("INFERENCE_PROVIDERS", default=["CPUExecutionProvider"])

# Touched while this Celery process does its work, for a health check (common/liveness.py). Empty: none.
LIVENESS_FILE = env.str("LIVENESS_FILE", default="")

# --- Logs ------------------------------------------------------------------------
LOGGING = logs.config(env.log_level("LOG_LEVEL", default="INFO"))
