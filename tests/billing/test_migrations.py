"""Each migration of ours can be undone and done again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty_database(db: None) -> Iterator[str]:
    """The address of a database of its own beside that of the tests."""
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


def test_back_and_forth(empty_database: str) -> None:
    def manage(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=REPOSITORY,
            env={**os.environ, "DATABASE_URL": empty_database},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout

    manage("migrate", "--verbosity", "0")
    manage("migrate", "billing", "0001", "--verbosity", "0")  # leaves the catalogue's rows behind
    manage("migrate", "--verbosity", "0")
    manage("migrate", "accounts", "0001", "--verbosity", "0")
    manage("migrate", "accounts", "zero", "--verbosity", "0")
    manage("migrate", "--verbosity", "0")
    manage("seed_demo")
    assert "0 breaks" in manage("reconcile")
