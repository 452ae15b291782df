"""The migrations of each room were squashed into one: older databases are taken over or refused."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

from facecloud import squashed
from tests.conftest import REPOSITORY

ROOMS = {"accounts": 14, "billing": 23, "faceapi": 10, "gallery": 3, "operations": 2}  # and how many they had
WRITES = ("ALTER", "CREATE", "DROP", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "GRANT", "REVOKE", "DO")


def replaced() -> dict[str, list[str]]:
    """Return the names of the old migrations by room."""
    found: dict[str, list[str]] = {}
    for migration in MigrationLoader(None).replacements.values():
        found[migration.app_label] = [name for _app, name in migration.replaces]
    return {app: names for app, names in found.items() if app in ROOMS}


def as_before() -> None:
    """Record the rooms' migrations as the previous version did: by the old names only."""
    old = [(app, name) for app, names in replaced().items() for name in names]
    recorder = MigrationRecorder(connection)
    squashed_names = [name for app, name in MigrationLoader(None).replacements if app in ROOMS]
    recorder.migration_qs.filter(app__in=ROOMS, name__in=squashed_names).delete()
    for app, name in old:
        recorder.record_applied(app, name)


def refused(command: str, **options: object) -> str:
    """Run a command that must fail in its checks; return its message."""
    with pytest.raises(SystemCheckError) as found:
        call_command(command, stdout=io.StringIO(), stderr=io.StringIO(), **options)
    return str(found.value)


def test_every_migration_of_the_last_version_is_replaced() -> None:
    assert {app: len(names) for app, names in replaced().items()} == ROOMS


@pytest.mark.django_db
def test_a_database_of_the_previous_version_is_taken_over() -> None:
    as_before()
    assert squashed.fault(connection) is None
    out = io.StringIO()
    with CaptureQueriesContext(connection) as queries:
        call_command("migrate", skip_checks=False, stdout=out)
    assert "No migrations to apply." in out.getvalue()
    writes = [query["sql"] for query in queries if query["sql"].startswith(WRITES)]
    assert len(writes) == len(ROOMS)
    assert all(sql.startswith('INSERT INTO "django_migrations"') for sql in writes)
    call_command("migrate", check_unapplied=True, stdout=out)


@pytest.mark.django_db
@pytest.mark.parametrize("app", ROOMS)
def test_an_older_database_is_reported_in_one_sentence(app: str) -> None:
    as_before()
    last = replaced()[app][-1]
    MigrationRecorder(connection).record_unapplied(app, last)
    for said in (
        refused("migrate", skip_checks=False),
        refused("showmigrations", skip_checks=False),
        refused("check", databases=["default"]),
    ):
        assert said.count("facecloud.E012") == 1
        assert f"({app}.{last} is missing): run migrate with revision {squashed.LAST_REVISION} first" in said


@pytest.mark.django_db
def test_a_room_without_tables_is_not_reported() -> None:
    as_before()
    MigrationRecorder(connection).migration_qs.filter(app="operations").delete()
    assert squashed.fault(connection) is None


@pytest.fixture
def empty_database(db: None) -> Iterator[str]:
    """Yield the address of an empty database on the server of the tests."""
    server, _slash, _name = os.environ["DATABASE_URL"].rpartition("/")
    alone = connections.create_connection("default")
    alone.set_autocommit(True)
    with alone.cursor() as cursor:
        cursor.execute("CREATE DATABASE back_and_forth")
        try:
            yield f"{server}/back_and_forth"
        finally:
            cursor.execute("DROP DATABASE back_and_forth WITH (FORCE)")
            alone.close()


BACK_AND_FORTH = """
import sys
import django
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
django.setup()
call_command("migrate", verbosity=0)
call_command("migrate", "operations", "zero", verbosity=0)  # at least one is reverted
for app, name in MigrationLoader(connection).replacements:
    if app in sys.argv and app != "operations":
        call_command("migrate", app, name, verbosity=0)
call_command("migrate", verbosity=0)
call_command("seed_demo")
call_command("reconcile")
"""


@pytest.mark.timeout(600)
def test_later_migrations_can_be_reverted_and_applied_again(empty_database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BACK_AND_FORTH, *ROOMS],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": empty_database},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 breaks" in done.stdout
