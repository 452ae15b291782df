"""The application's role can add to ledgers and audit log, but not change or delete entries."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction

from accounts import audit
from accounts.models import User
from billing.payments import wallet
from embedded.paths import Paths, memory_folder
from embedded.services.postgres import APPLICATION, Postgres
from facecloud import database_role
from tests.conftest import REPOSITORY

APPEND_ONLY = (
    "accounts_auditentry", "billing_cataloguechange", "billing_voucherentry", "billing_walletentry",
    "gallery_trailentry",
)  # fmt: skip


@pytest.fixture
def application(django_db_setup: None) -> Iterator[Any]:
    """Yield a connection to the test database as the application's role."""
    parameters = {name: connection.get_connection_params().get(name) for name in ("host", "port", "dbname")}
    opened = psycopg2.connect(**parameters, user=APPLICATION, password=APPLICATION)
    opened.autocommit = True
    yield opened
    opened.close()


def refused(application: Any, statement: str) -> bool:
    with application.cursor() as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return True
    return False


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_application_cannot_change_history(application: Any, table: str) -> None:
    for statement in (
        f"TRUNCATE {table}",
        f"TRUNCATE {table} CASCADE",
        f"UPDATE {table} SET id = id",
        f"DELETE FROM {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER append_only",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TRIGGER append_only ON {table}",
        f"ALTER TABLE {table} ADD COLUMN note text",
        f"DROP TABLE {table}",
        f"CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION billing_append_only()",
    ):
        assert refused(application, statement), statement


def test_the_application_cannot_gain_rights(application: Any) -> None:
    for statement in (
        "SET ROLE postgres",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (x integer)",
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE OR REPLACE FUNCTION accounts_append_only() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
        f"ALTER ROLE {APPLICATION} SUPERUSER",
        "CREATE ROLE another LOGIN",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'x', now())",
        "COPY accounts_user TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
    ):
        assert refused(application, statement), statement
    with application.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls FROM pg_roles"
                       " WHERE rolname = current_user")  # fmt: skip
        assert cursor.fetchone() == (False,)


@pytest.mark.django_db
def test_the_application_can_read_and_write_its_tables() -> None:
    """Every table is readable and, but for history and migrations, writable."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, has_table_privilege(%s, format('public.%%I', tablename), 'SELECT'),"
            " has_table_privilege(%s, format('public.%%I', tablename), 'INSERT'),"
            " has_table_privilege(%s, format('public.%%I', tablename), 'UPDATE')"
            " FROM pg_tables WHERE schemaname = 'public'",
            [APPLICATION] * 3,
        )
        rights = {table: flags for table, *flags in cursor.fetchall()}
    assert len(rights) > 25
    assert [table for table, (read, _, _) in rights.items() if not read] == []
    assert [table for table, (_, add, _) in rights.items() if not add] == ["django_migrations"]
    fixed = {table for table, (_, _, change) in rights.items() if not change}
    assert fixed == {*APPEND_ONLY, "django_migrations"}


@pytest.mark.django_db
def test_payments_work_as_the_application_role(alice: User, bob: User, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {APPLICATION}")
    wallet.top_up(alice, Decimal("5"), by=bob, reason="why", at=now)
    audit.record("top-up", alice, by=bob, reason="why", at=now)
    assert wallet.balance(alice) == Decimal("5.00")


@pytest.mark.django_db
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_truncate_is_rejected_even_for_the_owner(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE {table} ENABLE TRIGGER no_truncate"
        )  # disabled while the tests empty the tables
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.django_db
def test_an_over_privileged_role_is_rejected() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE facecloud_too_much SUPERUSER")
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
    for role in (owner, "facecloud_too_much"):
        with pytest.raises(ImproperlyConfigured, match=role):
            database_role.grant(role)


def manage(owner: str, application: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": application, "DATABASE_OWNER_URL": owner},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("process", ["web", "background"])
def test_only_migrate_connects_as_the_owner(process: str) -> None:
    """Even if a .env shared by all processes names both roles."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from django.db import connection;"
            f" from common.postgresql import processes; processes.{process}();"
            " print(connection.get_connection_params()['user'])",
        ],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "facecloud.settings",
            "DATABASE_URL": "postgres://somebody:a-password@db/facecloud",
            "DATABASE_OWNER_URL": "postgres://owner:a-password@db/facecloud",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "somebody"


def test_migrate_creates_the_role_and_grants(postgres: Postgres) -> None:
    """Starts from an empty database, as compose does: migrate as the owner, all else as the application."""
    application = postgres.url_of("somebody")
    assert manage(postgres.url, application, "migrate", "--verbosity=0").returncode == 0
    assert manage("", application, "reconcile").returncode == 0
    backwards = manage("", application, "migrate", "operations", "zero")
    assert backwards.returncode != 0
    assert "permission denied" in backwards.stderr or "must be owner" in backwards.stderr


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="facecloud-", dir=memory_folder()) as folder:
        paths = Paths(Path(folder))
        paths.make()
        server = Postgres(
            data=paths.data, sockets=paths.sockets, log=paths.logs / "postgres.log", durable=False
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()
