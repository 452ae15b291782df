"""How the web process is served, by bin/start, by compose.yaml and by hand alike."""

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

machine.raise_open_files()  # every open connection takes one, and so does every picture in a file
worker_class = "facecloud.web.worker.WebWorker"  # gthread, safe against slow clients
preload_app = True  # loaded once, shared by all workers; clients and threads are made after the fork
timeout = 120
# When it is to end: what the largest call of 100 pictures may take, and a margin to send the reply.
graceful_timeout = int(settings.DEADLINE_S + 100 * settings.DEADLINE_PER_IMAGE_S + 10)
keepalive = 75
limit_request_fields = 64
# One header names the scheme: gunicorn refuses a request whose headers contradict each other, and some
# proxies send X-Forwarded-Ssl: off beside X-Forwarded-Proto: https.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
limit_request_field_size = 8190
control_socket_disable = True
# gunicorn takes SCRIPT_NAME and PATH_INFO as request headers from forwarded_allow_ips, by default loopback:
# any local client could move the site under another path.
forwarder_headers = ""
if os.access("/dev/shm", os.W_OK):  # noqa: S108 - heartbeats of the workers, which a disk may hold up
    worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn creates its files there safely


def when_ready(server: object) -> None:
    """Load the pages before the fork; Django would do so at the first request."""
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018 - a property that imports them


def worker_exit(server: object, worker: object) -> None:
    """Refusals that were counted since the last second are written before the process ends."""
    from faceapi.usage import unattributed

    unattributed.flush()
