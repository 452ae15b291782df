"""`python -m embedded.ephemeral COMMAND…`: a PostgreSQL and a Valkey for one command.

Used by bin/test. Durability is off; a test that needs it starts its own PostgreSQL.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embedded.environment import KEYS, secret_values
from embedded.paths import REPOSITORY, Paths, memory_folder
from embedded.preflight import is_held, only_one
from embedded.services.managed_process import ServiceError
from embedded.services.pair import Services

PREFIX = "facecloud-"
TERMINATED = 128 + signal.SIGTERM


def main(command: list[str]) -> int:
    """Run the command with temporary services and return its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        with running(os.environ) as environment:
            return run(command, environment)
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run the command and return its exit status. A SIGTERM at any time is passed on to it."""
    child: subprocess.Popen[bytes] | None = None
    terminated = False

    def pass_on(*_: object) -> None:
        nonlocal terminated
        terminated = True
        if child is not None:
            child.terminate()

    # The handler must not raise: it may run between the fork and the assignment of `child`, and then nothing
    # would end the child.
    signal.signal(signal.SIGTERM, pass_on)
    child = subprocess.Popen(command, env=environment)
    if terminated:
        child.terminate()
    # Ctrl-C reaches the child through the terminal: the child ends first, then the services.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = child.wait()
    return TERMINATED if terminated else status


@contextmanager
def running(inherited: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the environment of a process with its own services and folder.

    Services whose addresses are set in `inherited` are used; only the others are started.
    """
    parent = memory_folder() or Path(tempfile.gettempdir())
    sweep(parent)
    var = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    paths = Paths(var)
    paths.make()
    services = Services.of(paths, durable=False, environment=inherited)
    try:
        with only_one(paths.lock, "bin/test"), services.running() as addresses:
            yield {
                "MODELS_DIR": str(REPOSITORY / "var" / "models"),  # shared, since models never change
                **inherited,
                **addresses,
                **secret_values(paths.secrets, KEYS),
                "FACECLOUD_VAR_DIR": str(var),
            }
    finally:
        shutil.rmtree(var, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Delete the folders of killed runs: their lock file has a note, but no process holds the lock."""
    for lock in parent.glob(f"{PREFIX}*/lock"):
        if os.access(lock, os.W_OK) and lock.read_text() and not is_held(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
