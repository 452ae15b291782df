"""The embedded PostgreSQL and Valkey: first start, restart, recovery after a crash."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from embedded.paths import SOCKET_PATH_LIMIT, Paths
from embedded.services.managed_process import ServiceError
from embedded.services.postgres import Postgres
from embedded.services.valkey import Valkey
from tests.conftest import REPOSITORY, wait_until
from tests.embedded.services.test_managed_process import WITHOUT_NAMESPACES, only_root_changes_uid


@pytest.fixture
def postgres(paths: Paths) -> Iterator[Postgres]:
    server = Postgres(data=paths.data, sockets=paths.sockets, log=paths.logs / "postgres.log")
    yield server
    server.stop()


def write_a_row(server: Postgres, text: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        cursor.execute("INSERT INTO note VALUES (%s)", [text])
    connection.close()


def rows(server: Postgres) -> list[str]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text FROM note")
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


def write_megabytes(client: redis.Redis, count: int) -> None:
    for number in range(count):
        client.set(f"picture:{number}", b"x" * 1_000_000)


def test_data_survives_a_stop_and_a_start(postgres: Postgres) -> None:
    postgres.start()
    write_a_row(postgres, "kept")
    postgres.stop()
    with pytest.raises(psycopg2.OperationalError):
        postgres.connect()
    postgres.start()
    assert rows(postgres) == ["kept"]


def test_a_committed_row_survives_a_kill(postgres: Postgres) -> None:
    postgres.start()
    write_a_row(postgres, "kept")
    os.kill(postgres.process.pid, signal.SIGKILL)
    wait_until(lambda: not postgres.process.is_running(), timeout_s=20, what="the end of PostgreSQL")
    postgres.start()
    assert rows(postgres) == ["kept"]


def test_an_incomplete_cluster_is_recreated(postgres: Postgres) -> None:
    half_made = postgres.data.with_name(postgres.data.name + ".new")
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    postgres.start()
    write_a_row(postgres, "works")
    assert not half_made.exists()


def test_a_stale_lock_file_with_a_reused_pid_is_ignored(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n")
    postgres.start()
    postgres.connect().close()


def test_the_reason_is_reported_if_postgres_cannot_start(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    with (postgres.data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(ServiceError, match="no_such_setting"):
        postgres.start()


START = """
import sys
from pathlib import Path
from embedded.paths import Paths
from embedded.services.postgres import Postgres
from embedded.services.managed_process import ServiceError
paths = Paths(Path(sys.argv[1]))
server = Postgres(data=paths.data, sockets=paths.sockets, log=paths.logs / "postgres.log")
try:
    server.start()
    print("up")
except ServiceError as error:
    print(error)
finally:
    server.stop()
"""


@only_root_changes_uid
def test_files_of_another_owner_are_reported_with_the_required_owner(
    postgres: Postgres, paths: Paths
) -> None:
    """Root could create user namespaces when the cluster was created but not at the start, or vice versa."""

    def start(*inside: str) -> str:
        command = [*inside, sys.executable, "-c", START, str(paths.var)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    without_namespaces = (sys.executable, "-c", WITHOUT_NAMESPACES)
    assert start() == "up"
    for inside, owner in ((without_namespaces, "nobody"), ((), "root")):
        told = start(*inside)
        assert f"run chown -R {owner} {paths.data} and start again" in told
        subprocess.run(["chown", "-R", owner, str(paths.data)], check=True)
        assert start(*inside) == "up"


def test_valkey_stores_nothing_on_disk_and_refuses_writes_when_full(paths: Paths) -> None:
    server = Valkey(sockets=paths.sockets, log=paths.logs / "valkey.log", memory="4mb")
    server.start()
    try:
        client = redis.Redis(unix_socket_path=str(server.socket))
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            write_megabytes(client, 64)
        client.close()
        server.stop()
        server.start()
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            assert client.dbsize() == 0
    finally:
        server.stop()


def test_sockets_are_in_a_short_path_if_that_of_var_is_long() -> None:
    deep = Paths(Path("/srv") / ("x" * 120) / "var")
    assert not str(deep.sockets).startswith(str(deep.var))
    assert len(str(deep.sockets / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT
    assert deep.sockets == Paths(deep.var).sockets
    assert Paths(Path("/srv/facecloud/var")).sockets == Path("/srv/facecloud/var/run")
