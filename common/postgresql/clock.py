"""PostgreSQL's clock, the reference for holds and Periods on all web hosts."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection as default_connection
from django.utils import timezone

IGNORED = timedelta(milliseconds=500)  # smaller offsets may be network latency

_follows = False
_is_needed = False
_offset: timedelta | None = None  # until it is measured


def follow(*, is_needed: bool = False) -> None:
    """Make `now` follow the database's clock; each new connection measures the offset.

    With `is_needed`, `now` raises DatabaseError instead of returning the time of this host.
    """
    global _follows, _is_needed
    _follows, _is_needed = True, is_needed


def now() -> datetime:
    """Return the time of PostgreSQL's clock, or this host's if `follow` was not called.

    The first call opens a connection to measure the offset, because a sweep by the clock of a host that is
    ahead would return the units of running calls.
    """
    if _follows and _offset is None:
        try:
            default_connection.ensure_connection()
        except DatabaseError:
            if _is_needed:
                raise
    return timezone.now() - (_offset or timedelta(0))


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
