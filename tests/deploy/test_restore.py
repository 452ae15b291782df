"""deploy/restore restores a dump from before an upgrade, on a PostgreSQL that has the upgrade's tables."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.paths import memory_folder
from embedded.services.postgres import BINARIES, DATABASE, SUPERUSER, Postgres
from tests.conftest import REPOSITORY

OLDER = ("accounts", "billing", "faceapi")  # rooms that the dump knows; they bring Django's tables along


@pytest.fixture
def server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="facecloud-", dir=memory_folder()) as name:
        folder = Path(name)
        (folder / "sockets").mkdir()
        for path in (folder, folder / "sockets"):
            path.chmod(0o777)
        found = Postgres(
            data=folder / "data", sockets=folder / "sockets", log=folder / "postgres.log", durable=False
        )
        found.start()
        try:
            yield found
        finally:
            found.stop()


def environment(server: Postgres, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "DATABASE_URL": server.application_url,
        "PG": "env",
        "PGHOST": str(server.sockets),
        "PGUSER": SUPERUSER,
        "PGDATABASE": DATABASE,
        **more,
    }


def attempt(*command: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def run(*command: str, env: dict[str, str]) -> str:
    done = attempt(*command, env=env)
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return done.stdout


def as_superuser(server: Postgres, statement: str, *, database: str = DATABASE) -> None:
    connection = server.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def names(server: Postgres, query: str) -> list[str]:
    with server.connect() as found, found.cursor() as cursor:
        cursor.execute(query)
        return [name for (name,) in cursor.fetchall()]


def customers(server: Postgres) -> list[str]:
    return names(server, "SELECT username FROM accounts_user ORDER BY username")


def databases(server: Postgres) -> list[str]:
    return names(server, f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}%'")


def add_user(server: Postgres, name: str) -> None:
    """Insert a customer as any version of the table takes it: most defaults are Django's alone."""
    with server.connect() as found, found.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'accounts_user' AND is_nullable = 'NO' AND is_identity = 'NO'"
            " AND column_default IS NULL"
        )
        given = {
            column: {"boolean": False, "timestamp with time zone": "now"}.get(kind, "")
            for column, kind in cursor.fetchall()
        } | {"username": name, "email": f"{name}@example.org"}
        cursor.execute(
            f"INSERT INTO accounts_user ({', '.join(given)}) VALUES ({', '.join(['%s'] * len(given))})",
            list(given.values()),
        )


def test_a_dump_from_before_an_upgrade_is_restored(server: Postgres, tmp_path: Path) -> None:
    dump = str(tmp_path / "before.dump")
    owner = environment(server, DATABASE_OWNER_URL=server.url)
    open_to_all = (
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        " AND has_function_privilege('public', oid, 'EXECUTE')"
    )
    for app in OLDER:
        run(sys.executable, "manage.py", "migrate", app, env=owner)
    add_user(server, "before")
    run("deploy/backup", dump, env=owner)
    assert Path(dump).stat().st_mode & 0o077 == 0

    run(sys.executable, "manage.py", "migrate", env=owner)
    add_user(server, "after")
    run("deploy/restore", dump, env=owner)
    assert "[ ]" in run(sys.executable, "manage.py", "showmigrations", env=owner)
    run(sys.executable, "manage.py", "migrate", env=owner)

    assert customers(server) == ["before"]
    assert names(server, open_to_all) == []  # a dump contains no privileges
    # As the application: it has its rights again, and the books agree.
    run(sys.executable, "manage.py", "reconcile", env=environment(server))
    assert "[ ]" not in run(sys.executable, "manage.py", "showmigrations", env=environment(server))


def test_an_owner_without_superuser_rights_loses_nothing(server: Postgres, tmp_path: Path) -> None:
    """Each step that such a role may not do fails before the old database is deleted."""
    dump = str(tmp_path / "before.dump")
    as_superuser(server, "CREATE ROLE keeper LOGIN")
    as_superuser(server, f"ALTER DATABASE {DATABASE} OWNER TO keeper")
    as_superuser(server, "CREATE EXTENSION vector")
    keeper = environment(server, PGUSER="keeper", DATABASE_OWNER_URL=server.url_of("keeper"))
    run(sys.executable, "manage.py", "migrate", env=keeper)
    add_user(server, "before")
    run("deploy/backup", dump, env=keeper)
    add_user(server, "after")

    for right, refusal in (
        ("LOGIN", "permission denied to create database"),
        ("CREATEDB", 'permission denied to create extension "vector"'),
    ):
        as_superuser(server, f"ALTER ROLE keeper {right}")
        done = attempt("deploy/restore", dump, env=keeper)
        assert done.returncode != 0
        assert (customers(server), databases(server)) == (["after", "before"], [DATABASE])
        assert refusal in done.stderr
        assert f"the database {DATABASE} is unchanged" in done.stderr

    as_superuser(server, "CREATE EXTENSION vector", database="template1")
    run("deploy/restore", dump, env=keeper)
    assert (customers(server), databases(server)) == (["before"], [DATABASE])
    run(sys.executable, "manage.py", "migrate", env=keeper)
    run(sys.executable, "manage.py", "reconcile", "--all", env=environment(server))


def test_a_database_in_use_is_not_replaced(server: Postgres, tmp_path: Path) -> None:
    dump = str(tmp_path / "before.dump")
    run("deploy/backup", dump, env=environment(server))
    session = server.connect()
    done = attempt("deploy/restore", dump, env=environment(server))
    assert done.returncode == 1
    assert "in use (sessions: 1)" in done.stderr
    session.close()
    run("deploy/restore", dump, env=environment(server))


def test_an_invalid_dump_does_not_change_the_database(server: Postgres, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dump"
    broken.write_bytes(b"PGDMP and then nothing")
    assert attempt("deploy/restore", str(broken), env=environment(server)).returncode != 0
    assert databases(server) == [DATABASE]
