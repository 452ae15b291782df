"""The database backend (settings.DATABASES): Django's, with a connection pool after `use_pool`."""

from typing import Any

from django.db import connection
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel

from common.postgresql import clock
from common.postgresql.pool import Pool

_pool: Pool | None = None


def use_pool(size: int, idle_s: float) -> None:
    """Share at most `size` connections among the threads of this process. Call it before any is opened."""
    global _pool
    _pool = Pool(size, idle_s)


def release() -> None:
    """Return this thread's connection to the pool before a long wait; does nothing inside a transaction."""
    if _pool is not None and not connection.in_atomic_block:
        connection.close()


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes its connection from the pool, and returns it instead of closing it."""

    _from: Pool | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if _pool is None:
            return self._open(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        taken = _pool.take(lambda: self._open(conn_params))
        self._from = _pool
        return taken

    def _open(self, conn_params: dict[str, Any]) -> Any:
        opened = super().get_new_connection(conn_params)
        clock.measure(opened)
        return opened

    def _close(self) -> None:
        if self._from is None:
            super()._close()  # type: ignore[misc]  # not in django-stubs
        elif self.connection is not None:
            taken_from, self._from = self._from, None
            with self.wrap_database_errors:
                taken_from.put(self.connection)
            self.connection = None
