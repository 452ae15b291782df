"""/healthz: this process responds. /readyz: a call could be served now (database, broker, a warm worker).

/readyz lists each region whose queue has no worker. As long as another region is served, it still returns
200: only the calls of that region are rejected with 5003.
"""

import contextlib

import redis
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import regions
from accounts.models import Region
from common import clock, valkey
from inference.worker import exchange


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 while this process serves requests; no other service is checked."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if every service responds, otherwise 503; the body names those that do not.

    A worker whose slots have all worked on the same chunks for WORKER_STUCK_S or longer is not ready.
    """
    known = _regions()
    parts = {"database": known is not None, "broker": False, "worker": False}
    served: set[str] = set()
    with contextlib.suppress(redis.RedisError, ValueError):
        client = valkey.client()
        alive = exchange.workers(client, now_s=clock.now_s(client))
        descriptions = exchange.about(client, [worker.id for worker in alive])
        for about in descriptions:
            if about.get("stuck_s", 0.0) < settings.WORKER_STUCK_S:
                served.update(exchange.queues_of(about))
        parts["broker"] = True
    unserved = regions.without_worker(known or [], served)
    parts["worker"] = len(unserved) < len(known) if known else bool(served)
    is_ready = all(parts.values())
    answer = {
        "status": "ready" if is_ready else "not ready",
        **parts,
        "regions_without_worker": [region.code for region in unserved],
    }
    return JsonResponse(answer, status=200 if is_ready else 503)


def _regions() -> list[Region] | None:
    """Return the regions whose Apps may make calls; None if the database does not respond."""
    try:
        return list(regions.in_use())
    except DatabaseError:
        return None
