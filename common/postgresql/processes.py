"""The limits of each kind of process: web, background worker, migration. A command has none."""

from typing import Any

from django.conf import settings
from django.db import connections

from common.postgresql import base, clock, waits
from common.postgresql.waits import Limits

IDLE_IN_TRANSACTION_S = 30.0


def _as_application() -> None:
    """Connect as the role of DATABASE_URL, even if DATABASE_OWNER_URL (for `migrate`) is set here."""
    application = settings.APPLICATION_DATABASE
    if application is not None:
        database = connections.settings["default"]
        database.update({name: application[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")})
        database["OPTIONS"].update(application.get("OPTIONS", {}))


def web() -> None:
    """A client waits: short limits, and a bounded pool."""
    _as_application()
    waits.limit(Limits(settings.DB_STATEMENT_TIMEOUT_S, settings.DB_LOCK_TIMEOUT_S, IDLE_IN_TRANSACTION_S))
    clock.follow()
    database = connections.settings["default"]
    database["CONN_MAX_AGE"] = 0  # back into the pool when the request ends
    database["CONN_HEALTH_CHECKS"] = False  # the pool looks at the socket, which costs no round trip
    base.use_pool(settings.DB_CONNECTIONS, settings.DB_CONN_MAX_AGE_S)


def background() -> None:
    """Scheduled work may prove a million calls, but must not hang for ever."""
    _as_application()
    clock.follow()
    task_s = settings.DB_TASK_TIMEOUT_S
    waits.limit(Limits(task_s, settings.DB_LOCK_TIMEOUT_S * 6, task_s))


def migration(using: str, **_: Any) -> None:
    """A migration that waits for a lock makes all that come after it wait too: it gives up early instead.

    A receiver of `pre_migrate`. Nothing bounds its statements, which may build an index for an hour.
    """
    if not settings.DB_PGBOUNCER:
        with connections[using].cursor() as cursor:
            milliseconds = int(settings.DB_MIGRATION_LOCK_TIMEOUT_S * 1000)
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{milliseconds}ms"])
