"""The gunicorn settings of the web processes, for bin/start, compose.yaml and manual starts."""

import importlib
import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from common import machine
from facecloud.web import threads as web_threads

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
try:
    workers = settings.WEB_WORKERS
    threads = settings.WEB_THREADS
    worker_connections = settings.WEB_CONNECTIONS
    web_threads.check(threads, calls=settings.CALLS_AT_ONCE, uploads=settings.UPLOADS_AT_ONCE)
except ImproperlyConfigured as error:
    sys.exit(f"A setting in the environment or in .env is wrong: {error}")

machine.raise_open_files()  # each connection and each spool file needs a file descriptor
worker_class = "facecloud.web.worker.WebWorker"  # gthread, safe against slow clients
preload_app = True  # loaded once, shared by all workers; connections and threads are created after the fork
timeout = 120
# At shutdown: the time of the largest call of 100 pictures, and a margin to send the reply.
graceful_timeout = int(settings.DEADLINE_S + 100 * settings.DEADLINE_PER_IMAGE_S + 10)
keepalive = 75
limit_request_fields = 64
# Only one header sets the scheme: gunicorn refuses a request with contradictory headers, and some proxies
# send both X-Forwarded-Ssl: off and X-Forwarded-Proto: https.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# Proxies whose X-Forwarded-For is trusted set the scheme too. gunicorn's default is this variable, which it
# reads before .env, or only loopback.
trusted_for_scheme = ",".join(["127.0.0.1", "::1", *settings.TRUSTED_PROXIES])
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", trusted_for_scheme)
limit_request_field_size = 8190
control_socket_disable = True
# gunicorn accepts SCRIPT_NAME and PATH_INFO as request headers from forwarded_allow_ips, by default loopback,
# so any local client could move the site under another path.
forwarder_headers = ""
memory_dir = "/dev/shm"  # noqa: S108 - gunicorn creates its files there safely
if os.access(memory_dir, os.W_OK):  # on a disk, the heartbeats of the workers could be delayed
    worker_tmp_dir = memory_dir


def when_ready(server: object) -> None:
    """Import the URLs and views before the fork; otherwise Django would import them at the first request."""
    importlib.import_module(settings.ROOT_URLCONF)


def worker_exit(server: object, worker: object) -> None:
    """Write the refusals that were counted in the last second before the process ends."""
    from faceapi.usage import unattributed

    unattributed.flush()
