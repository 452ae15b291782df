"""Queries that a connection prepares once."""

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from common.postgresql import prepared

SQL = "SELECT name FROM things WHERE number = %s AND name <> %s"


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def find(number: int) -> object:
    return prepared.fetch_one("find_thing", SQL, [number, "nobody"])


def is_prepared() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = 'find_thing'")
        return bool(cursor.fetchone()[0])


@pytest.fixture
def things(transactional_db: None) -> None:
    connection.close()  # nothing is prepared on a new one
    execute("CREATE TEMPORARY TABLE things (number integer, name varchar(20))")
    execute("INSERT INTO things VALUES (1, 'one')")


@pytest.mark.usefixtures("things")
def test_a_query_is_prepared_and_finds_its_row() -> None:
    assert (find(1), find(2)) == (("one",), None)
    assert is_prepared()


@pytest.mark.usefixtures("things")
def test_a_migration_may_change_the_type_of_a_column() -> None:
    assert find(1) == ("one",)
    execute("ALTER TABLE things ALTER name TYPE varchar(30)")
    assert find(1) == ("one",)
    assert not is_prepared()
    assert find(1) == ("one",)
    assert is_prepared()


@pytest.mark.usefixtures("things")
def test_nothing_is_prepared_in_a_transaction_or_behind_pgbouncer(settings: Settings) -> None:
    with transaction.atomic():
        assert find(1) == ("one",)
    settings.DB_PGBOUNCER = True
    assert find(1) == ("one",)
    assert not is_prepared()
