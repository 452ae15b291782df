"""An image server on 127.0.0.1 that misbehaves in a different way for each path."""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BOMB = gzip.compress(bytes(50 * 1024 * 1024))


class Servers:
    """One listening socket and a thread per connection. `url(path)` is the address of a behaviour."""

    def __init__(self, image: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self.image = image
        self.requests: list[str] = []
        self._closed = socket.socket()  # bound, so that the port stays free, but it does not listen
        self._closed.bind(("127.0.0.1", 0))
        self.closed_url = f"http://127.0.0.1:{self._closed.getsockname()[1]}/x.jpg"
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def close(self) -> None:
        self._ended.set()
        self._listener.close()
        self._closed.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request:
                if not (piece := client.recv(4096)):
                    return
                request += piece
            text = request.decode("latin-1")
            self.requests.append(text)
            path = text.split(" ", 2)[1].lstrip("/")
            for piece in self.behave(path):
                if self._ended.is_set():
                    return
                client.sendall(piece)

    def behave(self, path: str) -> Iterator[bytes]:
        """Yield the pieces of the reply."""
        name, _, rest = path.partition("?")[0].partition("/")
        if name == "image":
            yield reply(self.image)
        elif name == "once":  # the image for the first request only
            is_first = sum("/once" in request for request in self.requests) == 1
            yield reply(self.image) if is_first else b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
        elif name == "chunked":
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            yield b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.image), self.image)
        elif name == "page":
            yield reply(b"<html>no image</html>")
        elif name == "status":
            yield f"HTTP/1.1 {rest} Whatever\r\nContent-Length: 0\r\n\r\n".encode()
        elif name == "redirect":  # redirect/<status>/<where>
            status, _, where = rest.partition("/")
            yield f"HTTP/1.1 {status} Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
        elif name == "hops":  # hops/<n>: n redirects, then the image
            left = int(rest)
            where = f"/hops/{left - 1}" if left > 1 else "/image"
            yield f"HTTP/1.1 302 Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
        elif name == "loop":
            yield b"HTTP/1.1 302 Go\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n"
        elif name == "no-location":
            yield b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n"
        elif name == "slow-headers":
            yield b"HTTP/1.1 200 OK\r\n"
            yield from drip(b"X-Padding: " + b"x" * 100)
        elif name == "slow-body":
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            yield from drip(self.image[:100])
        elif name == "silent":
            time.sleep(8)
        elif name == "endless":
            yield b"HTTP/1.1 200 OK\r\n\r\n"
            while True:
                yield b"x" * 65536
        elif name == "endless-headers":
            yield b"HTTP/1.1 200 OK\r\n"
            while True:
                yield b"X-Padding: " + b"x" * 1000 + b"\r\n"
        elif name == "large":
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 10485761\r\n\r\n"
        elif name == "too-short":
            yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(self.image) + 10) + self.image
        elif name == "too-long":
            yield (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.image)
                + self.image
                + b"junk" * 100
            )
        elif name == "gzip":
            packed = gzip.compress(self.image)
            yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
            yield packed
        elif name == "brotli":
            yield b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello"
        elif name == "hints":
            yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + reply(self.image)
        elif name == "endless-hints":
            while True:
                yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        elif name == "utf8-location":
            yield "HTTP/1.1 302 Found\r\nLocation: /image/图 片.jpg?a=1\r\nContent-Length: 0\r\n\r\n".encode()
        elif name == "bomb":
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            yield head % len(BOMB) + BOMB
        elif name == "not-http":
            yield b"SSH-2.0-OpenSSH_9.2\r\n"
        elif name == "bad-chunks":
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"


def reply(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def drip(content: bytes) -> Iterator[bytes]:
    """Yield one byte at a time, for longer than a client waits."""
    for byte in content:
        yield bytes([byte])
        time.sleep(0.1)


@contextmanager
def running(image: bytes) -> Iterator[Servers]:
    servers = Servers(image)
    try:
        yield servers
    finally:
        servers.close()
