"""An HTTP server with scripted replies, to simulate network failures.

The replies of the real API are tested against the product in test_product.py.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = {"code": 0, "message": "成功", "result": [{"face_list": [], "pic_quality": 1}]}


def reply(status: str, body: object, *headers: str, cut: int = 0) -> bytes:
    """Return an HTTP reply; the last `cut` bytes are missing, although Content-Length counts them."""
    content = body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content[: len(content) - cut]


@dataclass
class Request:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """Sends its replies one after another, and repeats the last one. An empty reply closes the connection."""

    replies: list[bytes]
    url: str = ""
    requests: list[Request] = field(default_factory=list)

    def answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            line = stream.readline().decode()
            headers: dict[str, str] = {}
            while (header := stream.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", "0")))
            self.requests.append(Request(line.split(" ")[1], headers, body))
            connection.sendall(self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])


@contextmanager
def scripted(*replies: bytes) -> Iterator[Scripted]:
    """Yield a running server on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(list(replies), f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # closed, because the test has ended
                server.answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
