"""The thread pools of a web process: how many threads each kind of request has, and whether they suffice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from facecloud.web.request_head import Kind

LEAST = 4  # of each kind
UPLOADS, READY, HEALTH = 8, 2, 1  # in addition to WEB_THREADS
QUEUED = 128  # requests of one kind that may wait for a thread; further ones are rejected


@dataclass(slots=True)
class Pool:
    """The threads for one kind of request. `inside` is accessed only by the event loop."""

    threads: int
    executor: ThreadPoolExecutor
    inside: int = 0

    @property
    def is_full(self) -> bool:
        return self.inside >= self.threads + QUEUED


def pools(threads: int) -> dict[Kind, Pool]:
    """Return a pool for each kind of request, of which pages and API share `threads`."""
    counts = {
        Kind.HEALTH: HEALTH,
        Kind.READY: READY,
        Kind.API: for_api(threads),
        Kind.PAGE: for_pages(threads),
        Kind.UPLOAD: UPLOADS,
    }
    return {
        kind: Pool(count, ThreadPoolExecutor(count, thread_name_prefix=kind))
        for kind, count in counts.items()
    }


def for_pages(threads: int) -> int:
    """Return the number of WEB_THREADS for pages."""
    return max(LEAST, threads // 5)


def for_api(threads: int) -> int:
    """Return the number of WEB_THREADS for the API."""
    return max(LEAST, threads - for_pages(threads))


def check(threads: int, *, calls: int, uploads: int) -> None:
    """Raise ImproperlyConfigured if calls and slow bodies could take all threads of the API.

    Excess calls would then wait for a thread instead of being refused.
    """
    if for_api(threads) < calls + uploads:
        least = next(number for number in range(threads, 10**6) if for_api(number) >= calls + uploads)
        raise ImproperlyConfigured(
            f"WEB_THREADS={threads} leaves {for_api(threads)} threads for the API, but CALLS_AT_ONCE="
            f"{calls} and UPLOADS_AT_ONCE={uploads} need {calls + uploads}: set WEB_THREADS to {least}"
        )
