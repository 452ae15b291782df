"""Hosts as network namespaces, joined by a switch in user space that can lose, delay and drop frames.

Each host has one TAP device, whose frames this process forwards. So faults need no kernel module (netem is
missing from many kernels), and a partition is a rule between two hosts. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = "facecloud-"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000
FRAME_BYTES = 65536
libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Port:
    """One end of the switch."""

    name: str
    ip: str
    descriptor: int


class Network:
    """All hosts of one run. The calling process is the host `client`, in its own namespace."""

    def __init__(self, seed: int) -> None:
        self.loss = 0.0  # share of the frames, each way
        self.delay_s = 0.0  # each way
        self._cut: set[frozenset[str]] = set()
        self._ports: dict[str, Port] = {}
        self._rng = random.Random(seed)
        self._learned: dict[bytes, Port] = {}
        self._waiting: list[tuple[float, int, Port, bytes]] = []
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="switch")

    def add(self, name: str, ip: str) -> None:
        """Create a host. `client` is this process's own namespace."""
        if name == "client":
            descriptor = _tap(PREFIX + "0")
            _ip("address", "add", f"{ip}/24", "dev", PREFIX + "0")
            _ip("link", "set", PREFIX + "0", "up")
        else:
            space = PREFIX + name
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)  # left by a killed run
            _ip("netns", "add", space)
            with self.inside(name):
                descriptor = _tap("eth0")
            for command in (["address", "add", f"{ip}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
                _ip("-n", space, *command)
            _ip("-n", space, "link", "set", "lo", "up")
        os.set_blocking(descriptor, False)
        port = self._ports[name] = Port(name, ip, descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ, port)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for name, port in self._ports.items():
            os.close(port.descriptor)
            if name != "client":
                _ip("netns", "delete", PREFIX + name)

    # --- faults --------------------------------------------------------------------

    @contextlib.contextmanager
    def partition(self, some: list[str], others: list[str] | None = None) -> Iterator[None]:
        """Drop all frames between `some` and `others`, by default all other hosts."""
        rest = others if others is not None else [name for name in self._ports if name not in some]
        pairs = {frozenset((one, other)) for one in some for other in rest}
        self._cut = self._cut | pairs
        try:
            yield
        finally:
            self._cut = self._cut - pairs

    @contextlib.contextmanager
    def impaired(self, *, loss: float = 0.0, delay_s: float = 0.0) -> Iterator[None]:
        """Drop this share of all frames, and delay the others, in both directions."""
        self.loss, self.delay_s = loss, delay_s
        try:
            yield
        finally:
            self.loss, self.delay_s = 0.0, 0.0

    # --- processes -----------------------------------------------------------------

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Run the block on that host: processes and sockets that this thread starts or opens stay there."""
        with open("/proc/thread-self/ns/net") as net, open("/proc/thread-self/ns/uts") as uts:
            with open(f"/run/netns/{PREFIX}{name}") as space:
                _checked(libc.setns(space.fileno(), CLONE_NEWNET))
            _checked(libc.unshare(CLONE_NEWUTS))  # its own host name, for heartbeats and clock offsets
            _checked(libc.sethostname(name.encode(), len(name)))
            try:
                yield
            finally:
                _checked(libc.setns(net.fileno(), CLONE_NEWNET))
                _checked(libc.setns(uts.fileno(), CLONE_NEWUTS))

    # --- the switch ----------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(self._pause_s()):
                self._receive(key.data)
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, _, target, frame = heapq.heappop(self._waiting)
                _write(target, frame)

    def _pause_s(self) -> float:
        if not self._waiting:
            return 0.1
        return max(0.0, min(0.1, self._waiting[0][0] - time.monotonic()))

    def _receive(self, source: Port) -> None:
        with contextlib.suppress(OSError):
            while frame := os.read(source.descriptor, FRAME_BYTES):
                self._learned[frame[6:12]] = source
                known = self._learned.get(frame[:6])
                for target in [known] if known else self._ports.values():
                    if target is not source:
                        self._forward(source, target, frame)

    def _forward(self, source: Port, target: Port, frame: bytes) -> None:
        if frozenset((source.name, target.name)) in self._cut:
            return
        if self.loss and self._rng.random() < self.loss:
            return
        if self.delay_s:
            due = time.monotonic() + self.delay_s
            heapq.heappush(self._waiting, (due, next(self._numbers), target, frame))
        else:
            _write(target, frame)


def _write(port: Port, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # a full queue drops frames, as in any switch
        os.write(port.descriptor, frame)


def _tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _checked(result: int) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
