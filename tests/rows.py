"""The rows that migrations create: saved once per run, restored after each test that commits.

Django's `serialized_rollback` restores them only before tests that request it, so that the others would
depend on the order of the tests.
"""

from collections.abc import Callable
from io import BytesIO

from django.db import OperationalError, connection, transaction
from psycopg2.errors import DeadlockDetected
from psycopg2.sql import SQL, Identifier, Literal

_TRIES = 20

_rows: dict[str, bytes] = {}


def keep() -> None:
    """Save the rows of all tables."""
    _rows.clear()
    for table in _filled():
        copy = BytesIO()
        with connection.cursor() as cursor:
            cursor.copy_expert(SQL("COPY {} TO STDOUT").format(Identifier(table)), copy)
        _rows[table] = copy.getvalue()


def restore() -> None:
    """Empty all tables, then create the saved rows. Foreign keys are checked at the end."""
    undisturbed(_restore)


def undisturbed(work: Callable[[], None]) -> None:
    """Run `work` in a transaction or savepoint, and again after a deadlock.

    A web process may still write rows of an earlier call, such as the confirmation of its answer. It and
    `work` lock tables in different orders, so PostgreSQL may end either of them.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if not tries_left or not isinstance(error.__cause__, DeadlockDetected):
                raise


def _restore() -> None:
    with connection.cursor() as cursor:
        tables = SQL(", ").join(map(Identifier, _filled()))
        if tables.seq:
            cursor.execute(SQL("TRUNCATE {} CASCADE").format(tables))
        for table, rows in _rows.items():
            cursor.copy_expert(SQL("COPY {} FROM STDIN").format(Identifier(table)), BytesIO(rows))


def _filled() -> list[str]:
    """Return the names of the tables that have rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'django_migrations'"
            " AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        tables = [name for (name,) in cursor.fetchall()]
        one = SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
        each = (one.format(Literal(name), Identifier(name)) for name in tables)
        cursor.execute(SQL(" UNION ALL ").join(each))
        return [name for (name,) in cursor.fetchall()]
