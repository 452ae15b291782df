"""Timeouts for PostgreSQL: those that the server enforces, and one that this process enforces itself.

`statement_timeout` and the like end a statement only on a working server. A server that hangs (a stopped
process, or a frozen host whose kernel still responds) enforces nothing, and libpq has no read timeout. So
this process waits for a reply no longer than a statement may take plus a margin; then the connection is
closed and psycopg2.OperationalError is raised, as for a lost connection.
"""

import select
import time
from dataclasses import dataclass
from typing import Any

import psycopg2
from django.conf import settings
from django.db import DatabaseError, connections
from django.db import connection as default_connection
from psycopg2 import extensions

LOCK_NOT_AVAILABLE = "55P03"  # the SQLSTATE after lock_timeout, or of NOWAIT
MARGIN_S = 2.0  # lets the server's own timeout fire first, as its error names the timeout

_answer_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds: for a statement, for waiting on a lock, and for an idle transaction."""

    statement_s: float
    lock_s: float
    idle_s: float

    def startup_options(self) -> str:
        """Return the value of libpq's `options` parameter."""
        limits = {
            "statement_timeout": self.statement_s,
            "lock_timeout": self.lock_s,
            "idle_in_transaction_session_timeout": self.idle_s,
        }
        return " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items())


def limit(limits: Limits) -> None:
    """Apply `limits` to the connections that this process opens from now on."""
    global _answer_s
    database = connections.settings["default"]
    if not settings.DB_PGBOUNCER:  # PgBouncer rejects startup options: set them on the role instead
        database["OPTIONS"]["options"] = limits.startup_options()
    _answer_s = limits.statement_s + MARGIN_S
    extensions.set_wait_callback(wait)


def limit_locks(seconds: float) -> None:
    """Wait at most `seconds` for each lock until the current transaction ends."""
    with default_connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])


def is_lock_timeout(error: DatabaseError) -> bool:
    """Return whether the statement failed because another transaction held a lock that it needed."""
    return getattr(error.__cause__, "pgcode", None) == LOCK_NOT_AVAILABLE


def wait(connection: Any) -> None:
    """Wait until psycopg2 can continue. Raises psycopg2.OperationalError on a timeout."""
    is_connecting = connection.status == extensions.STATUS_SETUP
    limit_s = settings.DB_CONNECT_TIMEOUT_S if is_connecting else _answer_s
    deadline = time.monotonic() + limit_s
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        poller = select.poll()  # no limit on file descriptors, unlike select()
        events = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        poller.register(connection.fileno(), events)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poller.poll(left_s * 1000):
            raise psycopg2.OperationalError(f"PostgreSQL did not answer within {limit_s:.0f} s")


def is_usable(connection: Any) -> bool:
    """Return whether this idle connection is still usable: pending input would be an error or end of file."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return not poller.poll(0)
