"""Locks that another database session holds."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections
from django.db.models import Model, QuerySet


@contextmanager
def by_another_session(rows: QuerySet[Model]) -> Iterator[None]:
    """Lock these rows in a transaction of another session. They must be committed."""
    sql, values = rows.order_by().query.sql_with_params()
    other = connections.create_connection("default")
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute(f"{sql} FOR NO KEY UPDATE", values)
        yield
    finally:
        other.rollback()
        other.close()


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Let this session wait this long for a lock, as `processes.background` does."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = %s", [int(seconds * 1000)])
        try:
            yield
        finally:
            cursor.execute("RESET lock_timeout")
