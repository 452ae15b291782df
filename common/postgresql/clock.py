"""PostgreSQL's clock, by which holds expire and Periods begin, whatever the clocks of the web hosts say."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

IGNORED = timedelta(milliseconds=500)  # a slow answer is not a wrong clock

_follows = False
_offset = timedelta(0)


def follow() -> None:
    """Let `now` follow the database in this process; each connection that opens measures its clock."""
    global _follows
    _follows = True


def now() -> datetime:
    """Return the time of PostgreSQL's clock, or of this host's if `follow` was not called."""
    return timezone.now() - _offset


def measure(connection: Any) -> None:
    """Compare this host's clock with that of the server behind a new psycopg2 connection."""
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
