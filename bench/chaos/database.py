"""A PostgreSQL server that can be made to wait at a chosen point."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from embedded.services.postgres import Postgres

HOT_ROWS = "SELECT 1 FROM faceapi_usagehour WHERE code = 0 FOR UPDATE"


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Poll until the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.05)


class Database:
    """Access to the server as superuser, without the proxy."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres

    def ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Run one statement in a separate transaction."""
        connection = self.postgres.connect()
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @contextmanager
    def commits_that_wait(self) -> Iterator[None]:
        """Let each durable commit keep waiting after it is on disk."""
        self.hold_commits()
        try:
            yield
        finally:
            self.ask("ALTER SYSTEM RESET synchronous_standby_names")
            self.ask("SELECT pg_reload_conf()")

    def hold_commits(self) -> None:
        self.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self.ask("SELECT pg_reload_conf()")

    def forget_held_commits(self) -> None:
        """Undo `hold_commits` while the server is down."""
        (self.postgres.data / "postgresql.auto.conf").write_text("")

    def wait_for(self, event: str, timeout_s: float = 30) -> None:
        """Return once a session waits for this event. Raises TimeoutError."""
        sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event = %s"
        wait_until(lambda: bool(self.ask(sql, event)), timeout_s=timeout_s, what=event)

    @contextmanager
    def locked(self, sql: str) -> Iterator[None]:
        """Hold the locks of this statement during the block."""
        connection = self.postgres.connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                yield
        finally:
            connection.close()

    @contextmanager
    def settles_that_wait(self) -> Iterator[None]:
        """Lock the roll-up that every settle of this hour adds to."""
        with self.locked(HOT_ROWS):
            yield
