"""How long a process waits for PostgreSQL: limits that the server keeps, and one that this process keeps
itself.

`statement_timeout` and its like end a statement while the server works. A server that hangs as a whole (a
stopped process, a frozen host whose kernel still answers) keeps no limit, and libpq has none for reading
either. So this process also waits for an answer no longer than the statement may take, and a few seconds;
then the connection is closed and psycopg2.OperationalError is raised, as for a connection that was lost.
"""

import select
import time
from dataclasses import dataclass
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connections
from psycopg2 import extensions

MARGIN_S = 2.0  # the server's own limit comes first: its error says which limit it was

_answer_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one statement, for a lock that another session holds, and for an idle transaction."""

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
    if not settings.DB_PGBOUNCER:  # which refuses startup options: there they belong to the role
        database["OPTIONS"]["options"] = limits.startup_options()
    _answer_s = limits.statement_s + MARGIN_S
    extensions.set_wait_callback(wait)


def wait(connection: Any) -> None:
    """Wait until psycopg2 has what it waits for. Raises psycopg2.OperationalError if that takes too long."""
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
    """Return whether nothing has come from the server on this idle connection: an end, or its last words."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return not poller.poll(0)
