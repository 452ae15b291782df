"""How the web process is served, by bin/start and by compose.yaml alike. Each thread serves one call."""

import os

worker_class = "facecloud.web_worker.WebWorker"  # gthread, with a limit to how long headers may take
# The settings refuse what is no count; this is read before they can be imported.
workers = int(os.environ.get("WEB_WORKERS") or 2)
# More than CALLS_AT_ONCE, so that pages are served beside a full load of calls.
threads = int(os.environ.get("WEB_THREADS") or 32)
preload_app = True  # loaded once, shared by all workers; clients and threads are made after the fork
timeout = 120
graceful_timeout = 15
keepalive = 75
limit_request_fields = 64
limit_request_field_size = 8190
control_socket_disable = True
if os.access("/dev/shm", os.W_OK):  # noqa: S108 - heartbeats of the workers, which a disk may hold up
    worker_tmp_dir = "/dev/shm"  # noqa: S108


def when_ready(server: object) -> None:
    """The pages too are loaded before the fork; Django would do so at the first request."""
    from django.urls import get_resolver

    get_resolver().url_patterns  # noqa: B018 - a property that imports them
