"""The product on several hosts.

Two web hosts, three workers, one host for scheduled tasks, PostgreSQL, two Valkeys under three Sentinels, and
nginx as the load balancer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from bench.chaos.database import Database, wait_until
from bench.hosts.network import Network
from embedded.environment import KEYS, read_env, secret_values
from embedded.paths import REPOSITORY, Paths
from embedded.services.managed_process import Process
from embedded.services.postgres import APPLICATION, BINARIES, DATABASE, SUPERUSER, Postgres
from embedded.services.valkey import server
from embedded.site import beat_process, scheduled_process, web_process, worker_process

MODELS = REPOSITORY / "var" / "models"
ADDRESSES = {
    "client": "10.77.0.1",
    "balancer": "10.77.0.2",
    "web1": "10.77.0.11",
    "web2": "10.77.0.12",
    "worker1": "10.77.0.21",
    "worker2": "10.77.0.22",
    "worker3": "10.77.0.23",
    "beat": "10.77.0.31",
    "postgres": "10.77.0.41",
    "valkey1": "10.77.0.51",
    "valkey2": "10.77.0.52",
}
SENTINELS = ("valkey1", "valkey2", "beat")
WEB_PORT, BALANCER_PORT, SENTINEL_PORT = 8000, 8080, 26379
READY_TIMEOUT_S = 180.0
MASTER = "facecloud"
NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream webs {{
        server {web1}:{port} max_fails=1 fail_timeout=5s;
        server {web2}:{port} max_fails=1 fail_timeout=5s;
    }}
    server {{
        listen {listen};
        client_max_body_size 64m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_connect_timeout 3s;
        proxy_read_timeout 60s;
        location / {{ proxy_pass http://webs; }}
    }}
}}
"""
SENTINEL = """\
port {port}
bind {ip}
dir {folder}
protected-mode no
sentinel monitor {master} {primary} 6379 2
sentinel down-after-milliseconds {master} 5000
sentinel failover-timeout {master} 20000
"""
CLOCK = """\
import datetime
import time_machine
shift = datetime.timedelta(seconds={shift_s})
time_machine.travel(datetime.datetime.now(datetime.UTC) + shift, tick=True).start()
"""


class RemotePostgres(Postgres):
    """The embedded PostgreSQL, listening on an IP address as well."""

    def __init__(self, *, data: Path, sockets: Path, log: Path, ip: str) -> None:
        super().__init__(data=data, sockets=sockets, log=log)
        options = {
            "listen_addresses": ip,
            "unix_socket_directories": str(sockets),
            "max_connections": "200",
            "timezone": "UTC",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = Process(
            "PostgreSQL",
            [BINARIES / "postgres", "-D", data, *flags],
            log=log,
            cwd=data.parent,
            stop_signal=signal.SIGINT,
            as_root=False,
        )

    def _initialise(self) -> None:
        super()._initialise()
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.77.0.0/24 trust\n")


class Cluster(Database):
    """The hosts by name, each with its processes."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder, self.network = folder, network
        self.postgres = RemotePostgres(
            data=folder / "postgres",
            sockets=self._folder("sockets"),
            log=folder / "postgres.log",
            ip=ADDRESSES["postgres"],
        )
        super().__init__(self.postgres)
        paths = Paths(self._folder("client"))
        paths.make()
        self._paths = paths
        hosts = ",".join(f"{ADDRESSES[name]}:{SENTINEL_PORT}" for name in SENTINELS)
        self.address = f"{ADDRESSES['balancer']}:{BALANCER_PORT}"
        self.environment = {
            **os.environ,
            "DATABASE_URL": f"postgres://{APPLICATION}@{ADDRESSES['postgres']}/{DATABASE}",
            "DATABASE_OWNER_URL": "",
            "REDIS_URL": f"sentinel://{hosts}/0?service={MASTER}",
            "DJANGO_ALLOWED_HOSTS": ",".join(ADDRESSES.values()),
            "TRUSTED_PROXIES": f"{ADDRESSES['balancer']}/32",
            "WEB_WORKERS": "1",
            "WORKER_CONCURRENCY": "2",
            **secret_values(paths.secrets, KEYS),
            "MODELS_DIR": str(MODELS),
            "FACECLOUD_VAR_DIR": str(paths.var),
            "DJANGO_SETTINGS_MODULE": "facecloud.settings",
        }
        self._make: dict[str, Callable[[], list[Process]]] = {
            "balancer": self._balancer,
            "web1": lambda: [self._web("web1")],
            "web2": lambda: [self._web("web2")],
            "worker1": lambda: [self._worker("worker1")],
            "worker2": lambda: [self._worker("worker2")],
            "worker3": lambda: [self._worker("worker3")],
            "beat": lambda: [*self._background("beat"), self._sentinel("beat")],
            "valkey1": lambda: [self._valkey("valkey1"), self._sentinel("valkey1")],
            "valkey2": lambda: [self._valkey("valkey2", replica_of="valkey1"), self._sentinel("valkey2")],
        }
        self.processes: dict[str, list[Process]] = {}
        self.shift_s: dict[str, float] = {}

    def start(self) -> None:
        """Start all hosts, and wait until the balancer reaches both web hosts."""
        with self.network.inside("postgres"):
            self.postgres.start()
        for name in ("valkey1", "valkey2"):
            self.up(name)
        with self.network.inside("beat"):  # its other processes need the tables
            sentinel = self._sentinel("beat")
            sentinel.start()
        self.processes["beat"] = [sentinel]
        wait_until(self._sentinels_agree, timeout_s=60, what="the Sentinels")
        url = f"http://{self.address}"
        prepare = [sys.executable, "-m", "embedded.prepare", url]
        owner = f"postgres://{SUPERUSER}@{ADDRESSES['postgres']}/{DATABASE}"
        subprocess.run(
            prepare,
            env=self.environment | {"DATABASE_OWNER_URL": owner},
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        demo = {name: value.strip("'\"") for name, value in read_env(self._paths.demo).items()}
        self.key, self.secret = demo["FACECLOUD_APP_KEY"], demo["FACECLOUD_SECRET_KEY"]
        with self.network.inside("beat"):
            for process in self._background("beat"):
                process.start()
                self.processes["beat"].append(process)
        for name in ("worker1", "worker2", "worker3", "web1", "web2", "balancer"):
            self.up(name)
        for name in ("web1", "web2"):
            self.wait_ready(name)

    def up(self, name: str) -> None:
        """Start the processes of a host."""
        if name == "postgres":
            with self.network.inside(name):
                self.postgres.start()
            return
        self.processes[name] = self._make[name]()
        with self.network.inside(name):
            for process in self.processes[name]:
                process.start()

    def lose(self, name: str) -> None:
        """End all processes of a host at once, as in a power failure."""
        processes = [self.postgres.process] if name == "postgres" else self.processes[name]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.stop()

    def restart(self, name: str, shift_s: float = 0.0) -> None:
        """Restart a host with its clock off by `shift_s` seconds."""
        for process in self.processes[name]:
            process.stop()
        self.shift_s[name] = shift_s
        self.up(name)

    def stop(self) -> None:
        for name in (
            "balancer",
            "web1",
            "web2",
            "worker1",
            "worker2",
            "worker3",
            "beat",
            "valkey2",
            "valkey1",
        ):
            for process in self.processes.get(name, []):
                process.stop(timeout_s=5)
        self.postgres.stop()

    def wait_ready(self, name: str) -> None:
        url = f"http://{ADDRESSES[name]}:{WEB_PORT}/readyz"
        wait_until(lambda: _answers(url), timeout_s=READY_TIMEOUT_S, what=f"{url}, logs in {self.folder}")

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        started = time.monotonic()
        while (passed := time.monotonic() - started) < seconds and not until():
            time.sleep(0.05)
        return passed

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, env=self.environment, cwd=REPOSITORY, capture_output=True, text=True)

    def primary(self) -> str:
        """Return the host of Valkey's primary, as the Sentinel of the host `beat` sees it."""
        with redis.Redis(ADDRESSES["beat"], SENTINEL_PORT, socket_timeout=2, decode_responses=True) as client:
            address, _port = client.sentinel_get_master_addr_by_name(MASTER)
        return next(name for name, ip in ADDRESSES.items() if ip == address)

    def has_one_primary(self) -> bool:
        """Return whether Sentinel has made one of the two Valkeys a replica, and it is connected.

        A primary that was cut off is still one when it returns, for some ten seconds. Clients that connect to
        it meanwhile lose what they stored there.
        """
        roles = []
        for name in ("valkey1", "valkey2"):
            with redis.Redis(ADDRESSES[name], socket_timeout=2, decode_responses=True) as client:
                try:
                    role = client.info("replication")
                except redis.RedisError:
                    return False
                roles.append((role["role"], role.get("master_link_status", "up")))
        return sorted(roles) == [("master", "up"), ("slave", "up")]

    # --- processes -----------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        found = self.folder / name
        found.mkdir(exist_ok=True)
        found.chmod(0o777)
        return found

    def _environment(self, name: str) -> dict[str, str]:
        """Return the product's environment on that host: its own folder, and a shifted clock if set."""
        environment = self.environment | {"FACECLOUD_VAR_DIR": str(self._folder(name))}
        if shift_s := self.shift_s.get(name, 0.0):
            custom = self._folder(name) / "clock"
            custom.mkdir(exist_ok=True)
            (custom / "sitecustomize.py").write_text(CLOCK.format(shift_s=shift_s))
            environment["PYTHONPATH"] = str(custom)
        return environment

    def _logs(self, name: str) -> Path:
        logs = self._folder(name) / "log"
        logs.mkdir(exist_ok=True)
        return logs

    def _web(self, name: str) -> Process:
        return web_process(
            self._environment(name), host=ADDRESSES[name], port=WEB_PORT, logs=self._logs(name)
        )

    def _worker(self, name: str) -> Process:
        return worker_process(self._environment(name), logs=self._logs(name))

    def _background(self, name: str) -> list[Process]:
        environment, logs = self._environment(name), self._logs(name)
        return [scheduled_process(environment, logs=logs), beat_process(environment, logs=logs)]

    def _balancer(self) -> list[Process]:
        folder = self._folder("balancer")
        text = NGINX.format(
            folder=folder,
            web1=ADDRESSES["web1"],
            web2=ADDRESSES["web2"],
            port=WEB_PORT,
            listen=self.address,
        )
        (folder / "nginx.conf").write_text(text)
        command = [shutil.which("nginx") or "nginx", "-e", folder / "nginx.log", "-c", folder / "nginx.conf"]
        return [Process("balancer", command, log=folder / "out.log", cwd=folder)]

    def _valkey(self, name: str, replica_of: str = "") -> Process:
        options = {"bind": ADDRESSES[name], "protected-mode": "no", "save": "", "appendonly": "no"}
        flags = [part for option, value in options.items() for part in (f"--{option}", value)]
        if replica_of:
            flags += ["--replicaof", ADDRESSES[replica_of], "6379"]
        folder = self._folder(name)
        return Process(name, [server(), *flags], log=folder / "valkey.log", cwd=folder)

    def _sentinel(self, name: str) -> Process:
        folder = self._folder(name)
        conf = folder / "sentinel.conf"
        if not conf.exists():  # Sentinel stores its state in it
            conf.write_text(
                SENTINEL.format(
                    port=SENTINEL_PORT,
                    ip=ADDRESSES[name],
                    folder=folder,
                    master=MASTER,
                    primary=ADDRESSES["valkey1"],
                )
            )
        command = [server(), conf, "--sentinel"]
        return Process(f"sentinel {name}", command, log=folder / "sentinel.log", cwd=folder)

    def _sentinels_agree(self) -> bool:
        with redis.Redis(ADDRESSES["beat"], SENTINEL_PORT, socket_timeout=2) as client:
            try:
                state = client.sentinel_master(MASTER)
            except redis.RedisError:
                return False
        return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def running_cluster(seed: int, keep: Path | None = None) -> Iterator[Cluster]:
    """Start all hosts. Their folders are moved to `keep` at the end."""
    (REPOSITORY / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="hosts-", dir=REPOSITORY / "var"))
    folder.chmod(0o711)
    network = Network(seed)
    try:
        for name, ip in ADDRESSES.items():
            network.add(name, ip)
        network.start()
        cluster = Cluster(folder, network)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        network.close()
        if keep is not None:
            shutil.copytree(
                folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("postgres", "sockets")
            )
        shutil.rmtree(folder, ignore_errors=True)
