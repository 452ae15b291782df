"""/healthz: this process answers. /readyz: a call could be served now (database, broker, a warm worker)."""

import contextlib

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common import clock, valkey
from inference.worker import exchange


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process lives. Asks nobody else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every part answers, otherwise 503; the body says which part does not.

    A worker whose slots have all held the same chunks for WORKER_STUCK_S or longer is not ready.
    """
    parts = {"database": _database(), "broker": False, "worker": False}
    with contextlib.suppress(redis.RedisError, ValueError):
        client = valkey.client()
        alive = exchange.workers(client, now_s=clock.now_s(client))
        told = exchange.about(client, [worker.id for worker in alive])
        parts["worker"] = any(about.get("stuck_s", 0.0) < settings.WORKER_STUCK_S for about in told)
        parts["broker"] = True
    is_ready = all(parts.values())
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", **parts}, status=200 if is_ready else 503
    )


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True
