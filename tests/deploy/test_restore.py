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


def run(*command: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return done.stdout


def add_user(server: Postgres, name: str) -> None:
    """Insert a customer as any version of the table takes it: defaults are Django's, not the database's."""
    with server.connect() as found, found.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'accounts_user' AND is_nullable = 'NO' AND is_identity = 'NO'"
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

    with server.connect() as found, found.cursor() as cursor:
        cursor.execute("SELECT username FROM accounts_user")
        assert cursor.fetchall() == [("before",)]
    # As the application: it has its rights again, and the books agree.
    run(sys.executable, "manage.py", "reconcile", env=environment(server))
    assert "[ ]" not in run(sys.executable, "manage.py", "showmigrations", env=environment(server))


def test_an_invalid_dump_does_not_change_the_database(server: Postgres, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dump"
    broken.write_bytes(b"PGDMP and then nothing")
    done = subprocess.run(
        ["deploy/restore", str(broken)],
        cwd=REPOSITORY,
        env=environment(server),
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    with server.connect() as found:
        assert found.status
