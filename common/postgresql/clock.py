"""PostgreSQL's clock, the reference for holds and Periods whatever the clocks of the web hosts show."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

IGNORED = timedelta(milliseconds=500)  # smaller offsets may be network latency

_follows = False
_offset = timedelta(0)


def follow() -> None:
    """Make `now` follow the database's clock; each new connection measures the offset."""
    global _follows
    _follows = True


def now() -> datetime:
    """Return the time of PostgreSQL's clock, or this host's if `follow` was not called."""
    return timezone.now() - _offset


def measure(connection: Any) -> None:
    """Measure the offset between this host's clock and the server of a new psycopg2 connection."""
    global _offset
    if not _follows:
        return
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (server,) = cursor.fetchone()
    connection.rollback()
    host = datetime.fromtimestamp((before + time.time()) / 2, UTC)
    found = host - server
    _offset = found if abs(found) > IGNORED else timedelta(0)
