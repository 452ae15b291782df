"""Check the preconditions of a start, and explain each problem in one sentence."""

import errno
import fcntl
import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.paths import Paths

NEEDED_DISK_BYTES = 500_000_000


class Refusal(Exception):
    """The product can't start. The message is one sentence for the user."""


def check_machine() -> None:
    """Raise Refusal unless this is Linux: the embedded services are Linux binaries."""
    if platform.system() != "Linux":
        raise Refusal("The embedded PostgreSQL and Valkey need Linux; elsewhere use compose.yaml.")


def make_folders(paths: Paths) -> None:
    """Create the folders. Raises Refusal if they are not writable or the disk is nearly full."""
    try:
        paths.make()
        probe = paths.var / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Refusal(
            f"{paths.var} cannot be written to ({error.strerror or error}): change its owner, or set "
            "FACECLOUD_VAR_DIR to another folder."
        ) from error
    if shutil.disk_usage(paths.var).free < NEEDED_DISK_BYTES:
        raise Refusal(
            f"The disk of {paths.var} is nearly full: {NEEDED_DISK_BYTES // 1_000_000} MB are needed."
        )


@contextmanager
def only_one(lock: Path, note: str) -> Iterator[bool]:
    """Hold the lock of the instance; the kernel releases it even if the process is killed.

    Yields whether the last run ended cleanly. Raises Refusal if another process holds it.
    """
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            note = lock.read_text() or "another process"
            raise Refusal(f"It is already running ({note}). Stop it first, with Ctrl-C.") from error
        ended_cleanly = not lock.read_text()
        file.truncate(0)
        file.write(f"process {os.getpid()}, {note}")
        file.flush()
        try:
            yield ended_cleanly
        finally:
            file.truncate(0)


def is_held(lock: Path) -> bool:
    """Return whether a running instance holds the lock."""
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def check_address(host: str, port: int, patience_s: float = 0) -> None:
    """Raise Refusal if the address can't be bound. A port in use is retried for `patience_s`."""
    if not 1 <= port <= 65535:
        raise Refusal(f"{port} is not a port: it must be between 1 and 65535.")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            _try_to_listen(host, port)
        except socket.gaierror as error:
            raise Refusal(f"{host} is not an address of this machine.") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise Refusal(_why_no_address(host, port, error)) from error
            time.sleep(0.1)
        else:
            return


def _try_to_listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
        probe.bind(address)
        probe.listen()


def _why_no_address(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is in use by another program; choose another: bin/start --port {port + 1}"
        case errno.EACCES:
            return f"Only root may use port {port}; choose one from 1024 up: bin/start --port 8000"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine."
    return f"Nothing can listen on {host}, port {port}: {error.strerror}."
