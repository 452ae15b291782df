"""A proxy for a unix socket, whose connections can be cut without the server's notice."""

import contextlib
import socket
import threading
from pathlib import Path


class Proxy:
    """Forwards each connection to `path` to the socket `target`, until it is cut."""

    def __init__(self, path: Path, target: Path) -> None:
        self._target = str(target)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._is_cut: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """End the clients' side of all connections; the server's side stays open."""
        with self._lock:
            for client, server in self._pairs:
                self._is_cut.add(server)
                _end(client)
            self._pairs.clear()

    def release(self) -> None:
        """End the server's side of the connections that were cut."""
        with self._lock:
            for server in self._is_cut:
                _end(server)
            self._is_cut.clear()

    def close(self) -> None:
        _end(self._listener)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    _end(end)
        self.release()
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
                with self._lock:
                    self._pairs = [pair for pair in self._pairs if pair[0].fileno() >= 0]
                    self._pairs.append((client, server))
                self._threads = [thread for thread in self._threads if thread.is_alive()]
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
