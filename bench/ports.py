"""Find ports for servers that are started a moment later.

A port that the kernel gives is from the range of outgoing connections. Until the server binds it, any
connection of this machine may take it. The ports here are below that range.
"""

import random
import socket
from pathlib import Path

_LOWEST = 10_000
_LOOPBACK = "127.0.0.1"
_TRIES = 1_000


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free for TCP and UDP, and that no outgoing connection gets.

    Raises:
        OSError: 1 000 ports in turn were taken.
    """
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _try in range(_TRIES):
        port = random.randrange(_LOWEST, outgoing)
        with (
            socket.socket(type=socket.SOCK_STREAM) as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind((_LOOPBACK, port))
                udp.bind((_LOOPBACK, port))
            except OSError:
                continue
        return port
    raise OSError(f"no port of {_LOWEST} to {outgoing - 1} is free")
