"""A DNS server that records the requested names and answers SERVFAIL."""

import contextlib
import socket
import threading
from typing import Self


class Resolver:
    """Listens on UDP port 53 of every address, if that is free and allowed."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.listens = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._socket.bind(("0.0.0.0", 53))
            self._thread.start()
            self.listens = True
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                query, address = self._socket.recvfrom(4096)
            except OSError:
                return
            self.names.add(name_of(query))
            # The query's id and question, with the flags of a reply and the code SERVFAIL.
            self._socket.sendto(query[:2] + b"\x81\x82" + query[4:6] + bytes(6) + query[12:], address)


def name_of(query: bytes) -> str:
    """Return the first name of a DNS query, or an empty string if it is truncated."""
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode(errors="replace"))
        at += 1 + query[at]
    return ".".join(labels)
