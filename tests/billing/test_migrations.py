"""Each migration can be reverted and applied again."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import connections

from tests.conftest import REPOSITORY


@pytest.fixture
def empty_database(db: None) -> Iterator[str]:
    """Yield the address of a database of its own beside that of the tests."""
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
import django
from django.core.management import call_command
django.setup()
for target in (
    [],
    ["billing", "0001"],  # leaves the catalogue's rows behind
    [],
    ["accounts", "0001"],
    ["accounts", "zero"],
    [],
):
    call_command("migrate", *target, verbosity=0)
call_command("seed_demo")
call_command("reconcile")
"""


@pytest.mark.timeout(600)
def test_migrate_backwards_and_forwards(empty_database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BACK_AND_FORTH],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": empty_database},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 breaks" in done.stdout
