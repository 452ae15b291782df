"""A connection to the database that is cut at a place of one's choice."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections

BEFORE_COMMIT, AFTER_COMMIT = -1, -2


class Line:
    """The connection, cut once: before the statement of that number (from 1), or at the first commit."""

    def __init__(self, cut_at: int) -> None:
        self.cut_at = cut_at
        self.statements = 0
        self.is_cut = False

    def cut(self) -> None:
        """As an administrator, a restart or a network would: the server's side ends."""
        self.is_cut = True
        backend = connection.connection.info.backend_pid
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        other.close()

    def before_statement(self, execute: Callable[..., object], *statement: object) -> object:
        self.statements += 1
        if self.statements == self.cut_at:
            self.cut()
        return execute(*statement)

    @contextmanager
    def drawn(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        commit = connection._commit

        def cut_commit() -> None:
            if self.cut_at == BEFORE_COMMIT and not self.is_cut:
                self.cut()
            commit()
            if self.cut_at == AFTER_COMMIT and not self.is_cut:
                self.cut()
                raise OperationalError("it is committed, but nobody is told")

        with monkeypatch.context() as patch, connection.execute_wrapper(self.before_statement):
            patch.setattr(connection, "_commit", cut_commit)
            yield


class Proxy:
    """A unix socket in front of another one, whose connections can be cut without the server noticing."""

    def __init__(self, path: Path, target: Path) -> None:
        self._target = str(target)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._is_cut: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """End the clients' side of all connections; the server's side stays open."""
        for client, server in self._pairs:
            self._is_cut.add(server)
            _end(client)
        self._pairs.clear()

    def close(self) -> None:
        _end(self._listener)
        self._threads[0].join()
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                _end(end)
        for server in self._is_cut:
            _end(server)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._target)
                except OSError:
                    client.close()
                    server.close()
                    continue
                self._pairs.append((client, server))
                for ends in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pump, args=ends)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
        if sink not in self._is_cut:
            _end(sink)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
