"""Broken mail servers on 127.0.0.1, which accept connections only."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def mail_server(line: bytes = b"", pause_s: float = 0.2) -> Iterator[tuple[int, list[float]]]:
    """Yield port and connections of a server that sends `line` byte by byte without end, or nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ended = threading.Event()
    called: list[float] = []

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            while not ended.wait(pause_s):
                for number in range(len(line)):
                    client.sendall(line[number : number + 1])
                    time.sleep(pause_s)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                called.append(time.monotonic())
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], called
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def refusing_server() -> Iterator[int]:
    """Yield the port of a server that refuses the recipient of one mail, and repeats the address."""

    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client, client.makefile("rwb", buffering=0) as stream:
                stream.write(b"220 ready\r\n")
                while line := stream.readline():
                    to = line.strip().removeprefix(b"rcpt TO:")
                    refusal = b"550 5.1.1 " + to + b": unknown\r\n"
                    stream.write(refusal if line.startswith(b"rcpt") else b"250 ok\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
