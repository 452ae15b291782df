"""Advisory locks that are held for longer than a transaction, for tasks that must not overlap."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections


@contextmanager
def exclusive(key: int) -> Iterator[bool]:
    """Hold the lock `key` during the block; yield False if another process or thread holds it.

    The lock belongs to a transaction on a connection of its own, which is idle meanwhile: PgBouncer in
    transaction mode would give a lock of the session to another client. It is released if the process dies.
    """
    holder = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
            (is_held,) = cursor.fetchone()
        yield is_held
    finally:
        with suppress(DatabaseError):  # at once; after a close alone, the server takes a moment
            holder.rollback()
        holder.close()
