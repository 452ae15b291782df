"""Prepared statements. Each connection plans a query once: planning a join takes longer than executing it."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import NotSupportedError, connection

_prepared: "WeakKeyDictionary[Any, set[str]]" = WeakKeyDictionary()  # names, by psycopg2 connection


def fetch_one(name: str, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """Execute `sql`, with %s for each parameter, as a statement prepared under `name`; return its first row.

    It is executed without being prepared in two cases: with PgBouncer, which may send the next statement to
    another server connection, and inside a transaction, which an error would abort. PostgreSQL rejects a
    prepared statement if the type of a result column has changed, for example by a migration; then it is
    deallocated, and this call executes it unprepared.
    """
    with connection.cursor() as cursor:
        if not settings.DB_PGBOUNCER and not connection.in_atomic_block:
            try:
                _prepare(cursor, name, sql, len(parameters))
                cursor.execute(f"EXECUTE {name}({', '.join(['%s'] * len(parameters))})", parameters)
                return cursor.fetchone()
            except NotSupportedError:
                cursor.execute(f"DEALLOCATE {name}")
                _prepared[connection.connection].discard(name)
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def _prepare(cursor: Any, name: str, sql: str, parameters: int) -> None:
    known = _prepared.setdefault(connection.connection, set())
    if name not in known:
        numbered = sql % tuple(f"${number}" for number in range(1, parameters + 1))
        cursor.execute(f"PREPARE {name} AS {numbered}")
        known.add(name)
