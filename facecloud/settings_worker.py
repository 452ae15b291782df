"""Settings of an inference worker: models, Valkey, its pool, its log. No secrets, no database, no Django app.

facecloud/settings.py adds the rest for web processes and scheduled tasks. A worker decodes untrusted files,
and a vulnerability in a decoder must not expose a key or a password. So this module reads no secrets and no
.env file.
"""

from pathlib import Path

from common import logs, machine, valkey_address
from common.celery import queues
from facecloud.env import Env

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

VAR_DIR = Path(env.str("FACECLOUD_VAR_DIR", default=str(BASE_DIR / "var")))  # all files written at run time
MODELS_DIR = Path(env.str("MODELS_DIR", default=str(VAR_DIR / "models")))
# The calibration set: that of the repository, or one fitted on your own pictures with `bin/bench fit`.
CALIBRATION_DIR = Path(env.str("CALIBRATION_DIR", default=str(BASE_DIR / "inference" / "calibration")))
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

REDIS_URL = env.valkey_url("REDIS_URL", default="redis://127.0.0.1:6379/0")
# Timeout for connecting to Valkey and for its replies; longer than the longest blocking pop.
VALKEY_TIMEOUT_S = env.float("VALKEY_TIMEOUT_S", default=5.0)

# --- Celery: the inference pool ------------------------------------------------
_address = valkey_address.parse(REDIS_URL)
CELERY_BROKER_URL = _address.broker_url()
CELERY_BROKER_USE_SSL = _address.tls() or None  # with certificate verification, as in common/valkey.py
CELERY_BROKER_CONNECTION_TIMEOUT = VALKEY_TIMEOUT_S
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": VALKEY_TIMEOUT_S,
    "socket_connect_timeout": VALKEY_TIMEOUT_S,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    "priority_steps": [0],  # one list for each queue instead of four
    # No acknowledgements: the chunk of a worker that died is dispatched again by its call
    # (faceapi/dispatch.py), and a scheduled task is sent again by beat or by common/celery/schedule.py.
    "ack_emulation": False,
}
if _address.is_sentinel:
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "master_name": _address.service,
        "sentinel_kwargs": _address.sentinel_options(),
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # replies are sent through a Valkey list (inference/worker/exchange.py)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = queues.INFERENCE
# The queues of regions that this worker takes from: inference, inference.<place> or several.
WORKER_QUEUES = env.inference_queues("WORKER_QUEUES", default=[queues.INFERENCE])
CELERY_TASK_QUEUES = {queue: {"exchange": queue} for queue in WORKER_QUEUES}
CELERY_WORKER_POOL = env.choice("WORKER_POOL", default="threads", choices=["threads", "prefork"])
# One slot more than CPUs, which a large batch leaves free for single calls; fewer if the memory of the
# container or systemd unit is short (common/machine.py).
CELERY_WORKER_CONCURRENCY = env.count("WORKER_CONCURRENCY", default=machine.worker_slots())
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0
CELERY_WORKER_LOST_WAIT = 1.0  # no result is expected from a child that died
CELERY_TIMEZONE = TIME_ZONE
# A picture that takes longer is considered to hang: its worker exits and is restarted. Must be below
# DEADLINE_S, otherwise the call gets 5004 before 5001 can name the picture. The slowest known picture takes
# 10 CPU-seconds.
PICTURE_MAX_S = env.float("PICTURE_MAX_S", default=25.0)
INFERENCE_PROVIDERS: list[str] = env.list("INFERENCE_PROVIDERS", default=["CPUExecutionProvider"])

# A file that a Celery process touches while it is alive, for health checks (common/celery/liveness.py).
# Empty: none.
LIVENESS_FILE = env.str("LIVENESS_FILE", default="")

# --- Logs ------------------------------------------------------------------------
LOGGING = logs.config(env.log_level("LOG_LEVEL", default="INFO"))
