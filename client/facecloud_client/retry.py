"""When a call is tried again, and after how long. Pure."""

from datetime import datetime
from email.utils import parsedate_to_datetime

RETRIES = 4
LONGEST_WAIT_S = 60.0  # a longer Retry-After is handed to the caller instead of slept through
FIRST_WAIT_S = 0.5
RETRIED_STATUSES = (429, 502, 503, 504)
RETRIED_CODES = (4019, 4105)  # the body did not arrive whole; two calls were signed in one millisecond


def retry_after_s(header: str | None, at: datetime) -> float | None:
    """Seconds out of a Retry-After header (a number, or a date seen from `at`); None where it is neither."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header.strip())
    ahead_s = seconds_ahead(header, at)
    return None if ahead_s is None else max(0.0, -ahead_s)


def seconds_ahead(http_date: str | None, at: datetime) -> float | None:
    """How far `at` is past an HTTP date; None where it is no date."""
    try:
        when = parsedate_to_datetime(http_date or "")
    except ValueError:
        return None
    return (at - when).total_seconds() if when.tzinfo else None


def wait_s(attempt: int, asked_s: float | None, jitter: float) -> float | None:
    """Seconds to sleep before attempt `attempt + 1`; None: give up now.

    `attempt` counts from 0, `asked_s` is the service's Retry-After, `jitter` is in [0, 1). The service's wish
    is the least that is waited; without one the wait doubles from half a second.
    """
    if attempt >= RETRIES:
        return None
    if asked_s is not None:
        return asked_s * (1 + 0.1 * jitter) if asked_s <= LONGEST_WAIT_S else None
    return FIRST_WAIT_S * 2.0**attempt * (0.5 + jitter)
