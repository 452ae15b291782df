"""A database connection that is cut at a chosen point."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, connections

BEFORE_COMMIT, AFTER_COMMIT = -1, -2


class Line:
    """Cuts the connection once: before the statement with that number (from 1), or at the first commit.

    With `is_after`, it is cut after the statement: one that is a transaction of its own is committed then.
    """

    def __init__(self, cut_at: int, *, is_after: bool = False) -> None:
        self.cut_at = cut_at
        self.is_after = is_after
        self.statements = 0
        self.is_cut = False

    def cut(self) -> None:
        """End the server's session, as an administrator, a restart or a network fault would."""
        self.is_cut = True
        backend = connection.connection.info.backend_pid
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        other.close()

    def before_statement(self, execute: Callable[..., object], *statement: object) -> object:
        self.statements += 1
        is_here = self.statements == self.cut_at
        if is_here and not self.is_after:
            self.cut()
        done = execute(*statement)
        if is_here and self.is_after:
            self.cut()
            raise OperationalError("it is executed, but nobody is told")
        return done

    @contextmanager
    def drawn(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        commit = connection._commit  # type: ignore[attr-defined]  # private

        def cut_commit() -> None:
            if self.cut_at == BEFORE_COMMIT and not self.is_cut:
                self.cut()
            commit()
            if self.cut_at == AFTER_COMMIT and not self.is_cut:
                self.cut()
                raise OperationalError("committed, but the acknowledgement is lost")

        with monkeypatch.context() as patch, connection.execute_wrapper(self.before_statement):
            patch.setattr(connection, "_commit", cut_commit)
            yield
