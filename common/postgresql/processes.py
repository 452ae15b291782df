"""Timeouts of web, background and migration processes. Other management commands have none."""

from typing import Any

from django.conf import settings
from django.db import connections

from common.postgresql import base, clock, waits
from common.postgresql.waits import Limits

IDLE_IN_TRANSACTION_S = 30.0


def _as_application() -> None:
    """Connect as the role of DATABASE_URL, even if DATABASE_OWNER_URL (for `migrate`) is set."""
    application = settings.APPLICATION_DATABASE
    if application is not None:
        database = connections.settings["default"]
        database.update({name: application[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")})
        database["OPTIONS"].update(application.get("OPTIONS", {}))


def web() -> None:
    """Set short timeouts, because a client is waiting, and a bounded pool."""
    _as_application()
    waits.limit(Limits(settings.DB_STATEMENT_TIMEOUT_S, settings.DB_LOCK_TIMEOUT_S, IDLE_IN_TRANSACTION_S))
    clock.follow()
    database = connections.settings["default"]
    database["CONN_MAX_AGE"] = 0  # return it to the pool when the request ends
    database["CONN_HEALTH_CHECKS"] = False  # the pool checks the socket, without a round trip
    base.use_pool(settings.DB_CONNECTIONS, settings.DB_CONN_MAX_AGE_S)


def background() -> None:
    """Set long timeouts: a scheduled task may check a million calls, but must not hang for ever."""
    _as_application()
    clock.follow(is_needed=True)
    task_s = settings.DB_TASK_TIMEOUT_S
    waits.limit(Limits(task_s, settings.DB_LOCK_TIMEOUT_S * 6, task_s))


def migration(using: str, **_: Any) -> None:
    """Set a lock timeout for migrations; a receiver of `pre_migrate`.

    A migration that waits for a lock makes every later query on that table wait too, so it gives up early.
    Its statements have no timeout, because building an index may take an hour.
    """
    if not settings.DB_PGBOUNCER:
        with connections[using].cursor() as cursor:
            milliseconds = int(settings.DB_MIGRATION_LOCK_TIMEOUT_S * 1000)
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{milliseconds}ms"])
