"""gunicorn's settings: `gunicorn -c facecloud/gunicorn.conf.py facecloud.wsgi`. The command line wins over them."""

import os

bind = os.environ.get("WEB_BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_WORKERS", "2"))
# A thread serves one call, most of which is waiting. More of them than calls at once (CALLS_AT_ONCE), so that a
# full house still answers: 5003 to calls, and the pages and the health checks to everybody else.
threads = int(os.environ.get("WEB_THREADS", "32"))
worker_class = "facecloud.web_worker.WebWorker"
worker_connections = 1000
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
timeout = 120  # the heartbeat of a worker process, not of a request
graceful_timeout = 30
keepalive = 75
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
# RAW_URI and the address lists count on nobody rewriting them: X-Forwarded-* is read by the product alone
# (TRUSTED_PROXIES), but for the scheme, which Django reads where SECURE_COOKIES is set.
forwarded_allow_ips = "127.0.0.1,::1"
accesslog = None  # faceapi logs each call, with its request id
