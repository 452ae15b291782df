"""Retry policy: which calls are retried, and after how long. Pure functions."""

from datetime import datetime
from email.utils import parsedate_to_datetime

RETRIES = 4  # of a call without a reply or without a Retry-After
RETRY_FOR_S = 120.0  # if the service sends Retry-After
LONGEST_WAIT_S = 60.0  # with a longer Retry-After the error is raised at once
FIRST_WAIT_S = 0.5
LAST_WAIT_S = 8.0  # to which the wait grows
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


def wait_s(
    attempt: int, asked_s: float | None, jitter: float, *, spent_s: float = 0.0, limit_s: float = RETRY_FOR_S
) -> float | None:
    """Return the seconds to wait before attempt `attempt + 1`, or None to give up.

    `attempt` counts from 0, `asked_s` is the service's Retry-After, `jitter` is in [0, 1). The wait doubles
    with each attempt. With `asked_s`, it is at least that, and retries end when the time since the first
    attempt, `spent_s` so far, would exceed `limit_s`.
    """
    grown_s = min(FIRST_WAIT_S * 2.0**attempt, LAST_WAIT_S)
    if asked_s is None:
        return grown_s * (0.5 + jitter) if attempt < RETRIES else None
    pause_s = max(asked_s, grown_s) * (1 + 0.1 * jitter)
    return pause_s if asked_s <= LONGEST_WAIT_S and spent_s + pause_s <= limit_s else None
