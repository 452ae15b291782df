"""Divide the threads of a web process between pages and the API, and check that there are enough."""

from django.core.exceptions import ImproperlyConfigured

LEAST = 4  # of each kind


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
