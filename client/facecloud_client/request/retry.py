"""Retry policy: which calls are retried, and after how long. Pure functions."""

from datetime import datetime
from email.utils import parsedate_to_datetime

RETRIES = 4
LONGEST_WAIT_S = 60.0  # with a longer Retry-After the error is raised at once
FIRST_WAIT_S = 0.5
RETRIED_STATUSES = (429, 502, 503, 504)
RETRIED_CODES = (4019, 4105)  # incomplete body; identical calls signed in the same millisecond


def retry_after_s(header: str | None, at: datetime) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date); None if it is neither."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header.strip())
    ahead_s = seconds_ahead(header, at)
    return None if ahead_s is None else max(0.0, -ahead_s)


def seconds_ahead(http_date: str | None, at: datetime) -> float | None:
    """Return how many seconds `at` is after an HTTP date; None if that is not a date."""
    try:
        when = parsedate_to_datetime(http_date or "")
    except ValueError:
        return None
    return (at - when).total_seconds() if when.tzinfo else None


def wait_s(attempt: int, asked_s: float | None, jitter: float) -> float | None:
    """Return the seconds to wait before attempt `attempt + 1`, or None to give up.

    `attempt` counts from 0, `asked_s` is the service's Retry-After, `jitter` is in [0, 1). Waits at least
    `asked_s`; without it, the wait doubles with each attempt, from half a second.
    """
    if attempt >= RETRIES:
        return None
    if asked_s is not None:
        return asked_s * (1 + 0.1 * jitter) if asked_s <= LONGEST_WAIT_S else None
    return FIRST_WAIT_S * 2.0**attempt * (0.5 + jitter)
