"""The open connections of a web process: what was received, which of them wait, how many an address has."""

from __future__ import annotations

import math
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn

from common import watchdog
from facecloud.web import request_head, response_buffer

if TYPE_CHECKING:  # at run time, only after Django is set up
    from faceapi.limits.shedding import Refusal

Address = IPv4Address | IPv6Address


class Connection(TConn):
    """A client's connection, with the bytes received of its next request.

    It belongs either to the event loop or to the thread that serves its request.
    """

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.address = peer(client)
        self.received = bytearray()
        self.head: request_head.Head | None = None
        self.wanted = 0  # bytes to receive before the request gets a thread
        self.is_idle = True  # nothing of the next request has been received
        self.is_ending = False
        self.drained = 0
        self.keeps_open = False
        self.deadline = math.inf
        self.outbox: response_buffer.Outbox | None = None
        self.guard: watchdog.Guard
        self.refusal: Refusal | None = None  # of the call whose body is being received
        self.is_answered = False  # the refusal was sent, and the rest of the body is discarded


class Connections:
    """The connections of one event loop, which alone accesses it. Iterates over those that wait."""

    def __init__(self, per_address: int, proxies: Iterable[str]) -> None:
        self._per_address = per_address
        self._uncapped = [ip_network(text, strict=False) for text in proxies]
        self._waiting: dict[Connection, None] = {}  # in the order in which their waits began
        self._waiting_of: defaultdict[Address, dict[Connection, None]] = defaultdict(dict)
        self._open_of: Counter[Address] = Counter()

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._waiting)

    def __contains__(self, conn: Connection) -> bool:
        return conn in self._waiting

    def opened(self, conn: Connection) -> None:
        """Count a new connection."""
        if conn.address is not None:
            self._open_of[conn.address] += 1

    def closed(self, conn: Connection) -> None:
        """Stop counting a connection that no longer waits."""
        if conn.address is not None:
            self._open_of[conn.address] -= 1
            if not self._open_of[conn.address]:
                del self._open_of[conn.address]
                self._waiting_of.pop(conn.address, None)

    def wait(self, conn: Connection) -> None:
        """Add the connection to those that wait, as the newest."""
        self._waiting[conn] = None
        if conn.address is not None:
            self._waiting_of[conn.address][conn] = None

    def stop_waiting(self, conn: Connection) -> None:
        """Remove the connection from those that wait, if it does."""
        self._waiting.pop(conn, None)
        if conn.address is not None:
            self._waiting_of[conn.address].pop(conn, None)

    def longest_waiting(self, address: Address | None = None) -> Connection | None:
        """Return the connection that has waited longest, of this address if given; None if none waits."""
        return next(iter(self._waiting if address is None else self._waiting_of[address]), None)

    def is_over_cap(self, address: Address | None) -> bool:
        """Return whether the address has too many connections.

        Unix sockets, which have no address, and trusted proxies are exempt.
        """
        if address is None or self._open_of[address] <= self._per_address:
            return False
        return not any(address in network for network in self._uncapped if network.version == address.version)


def peer(client: Any) -> Address | None:
    """Return the address by which connections are counted, or None for a unix socket.

    For IPv6 it is the /64 network, which belongs to one customer.
    """
    if not isinstance(client, tuple) or not client:
        return None  # a unix socket
    address = ip_address(client[0].partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64)
