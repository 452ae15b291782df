"""The whole product for a run of faults, with its own services, processes and folders, under a supervisor.

PostgreSQL is reached through a proxy whose connections can be cut. As root, everything is on a small tmpfs
that can be filled. The kernel ends a child with the thread that started it, so only the thread that started
the site may start processes; therefore it also waits, in `wait`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from bench.chaos.database import Database
from bench.chaos.proxy import Proxy
from bench.ports import free_port
from embedded.environment import KEYS, read_env, secret_values
from embedded.paths import REPOSITORY, Paths
from embedded.services.managed_process import Process
from embedded.services.postgres import APPLICATION, DATABASE, Postgres
from embedded.services.valkey import Valkey
from embedded.site import beat_process, scheduled_process, web_process, worker_process
from embedded.supervisor import Supervisor

MODELS = REPOSITORY / "var" / "models"
DISK_BYTES = 1_000_000_000
READY_TIMEOUT_S = 120.0


class Site(Database):
    """A running product, its processes by name, and ways to break it."""

    def __init__(self, folder: Path, *, is_mounted: bool) -> None:
        self.folder, self.is_mounted = folder, is_mounted
        self.paths = Paths(folder)
        self.paths.make()
        front = folder / "front"
        front.mkdir()
        sockets = self.paths.sockets
        self.valkey = Valkey(sockets=sockets, log=self.paths.logs / "valkey.log")
        super().__init__(
            Postgres(data=self.paths.data, sockets=sockets, log=self.paths.logs / "postgres.log")
        )
        self._front = front
        self.says: list[str] = []
        self._supervisor = Supervisor(self.says.append)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "REDIS_URL": self.valkey.url,
            "DATABASE_URL": f"postgres://{APPLICATION}@/{quote(str(front))}/{DATABASE}",
            "DATABASE_OWNER_URL": "",
            **secret_values(self.paths.secrets, KEYS),
            "FACECLOUD_VAR_DIR": str(folder),
            "MODELS_DIR": str(MODELS),
            "DJANGO_SETTINGS_MODULE": "facecloud.settings",
        }
        environment, logs = self.environment, self.paths.logs
        self.web = web_process(environment, host="127.0.0.1", port=self.port, logs=logs)
        self.worker = worker_process(environment, logs=logs)
        self.scheduled = scheduled_process(environment, logs=logs)
        self.beat = beat_process(environment, logs=logs)

    def start(self) -> None:
        """Start the site, and wait until it is ready."""
        self._supervisor.start(self.postgres.process, self.postgres)
        self._supervisor.start(self.valkey.process, self.valkey)
        self.proxy = Proxy(self._front / ".s.PGSQL.5432", self.paths.sockets / ".s.PGSQL.5432")
        self.ask("ALTER SYSTEM SET max_wal_size = '128MB'")  # space on the small disk; has also taken effect
        prepare = [sys.executable, "-m", "embedded.prepare", f"http://{self.address}"]
        owner = {"DATABASE_OWNER_URL": self.postgres.url}
        subprocess.run(
            prepare, env=self.environment | owner, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL
        )
        demo = {name: value.strip("'\"") for name, value in read_env(self.paths.demo).items()}
        self.key, self.secret = demo["FACECLOUD_APP_KEY"], demo["FACECLOUD_SECRET_KEY"]
        for process in (self.worker, self.web, self.scheduled, self.beat):
            self._supervisor.start(process)
        self.wait(READY_TIMEOUT_S, until=self._is_ready)
        if not self._is_ready():
            raise TimeoutError(f"the site is not ready; its logs are in {self.paths.logs}")

    def stop(self) -> None:
        self._supervisor.stop()
        self.proxy.close()

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Restart processes that end, for `seconds` or until the condition holds; return the elapsed time."""
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds and not until():
            self._supervisor.look(time.monotonic())
            time.sleep(0.05)
        return passed

    def _is_ready(self) -> bool:
        import urllib.request

        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    # --- its processes -------------------------------------------------------------

    def children(self, process: Process) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(process.pid).children(recursive=True)
        return []

    def backends(self) -> list[int]:
        """Return the process ids of the sessions of the product; none while the server is down."""
        sql = "SELECT pid FROM pg_stat_activity WHERE usename = %s"
        with contextlib.suppress(psycopg2.Error):
            return [int(str(pid)) for (pid,) in self.ask(sql, APPLICATION)]
        return []

    # --- its disk ------------------------------------------------------------------

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the tmpfs."""
        used = shutil.disk_usage(self.folder).used
        self._resize(used + 16 * 1024)
        try:
            yield
        finally:
            self._resize(DISK_BYTES)

    def _resize(self, size: int) -> None:
        options = f"remount,size={size // 1024}k"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    # --- its commands --------------------------------------------------------------

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, env=self.environment, cwd=REPOSITORY, capture_output=True, text=True)


@contextlib.contextmanager
def running_site(keep: Path | None = None) -> Iterator[Site]:
    """Run a site that has served no call yet. Its logs are copied to `keep` at the end."""
    (REPOSITORY / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=REPOSITORY / "var"))
    is_mounted = _mount(folder)
    try:
        site = Site(folder, is_mounted=is_mounted)
        try:
            site.start()
            yield site
        finally:
            site.stop()
            if keep is not None:
                shutil.copytree(site.paths.logs, keep, dirs_exist_ok=True)
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _mount(folder: Path) -> bool:
    """Mount a small tmpfs there; return False without permission."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={DISK_BYTES // 1024}k,mode=711"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "facecloud-chaos", str(folder)], capture_output=True
    )
    return done.returncode == 0
