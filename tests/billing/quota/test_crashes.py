"""kill -9 of callers and of the database: no unit is lost or counted twice."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg2
import pytest
from django.utils import timezone

from accounts.models import User
from bench.postgresql import races
from billing import quota
from embedded.services.postgres import Postgres
from tests.billing.conftest import Shop, breaks
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.race

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "16"))  # `bin/bench quota` does 200


@pytest.mark.django_db(transaction=True)
def test_callers_killed_at_any_point_lose_no_unit(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, timezone.now(), units=100_000)
    seen = races.crash_rounds(app, rounds=ROUNDS, seed=7)
    now = timezone.now()
    used = 100_000 - quota.remaining(app, races.API, now)
    assert seen.killed == ROUNDS
    assert seen.swept == seen.late > 0  # killed in between: returned, and a late settle is refused
    assert seen.answered > 0
    # A caller that was killed between the settle and its report was charged at most 5 units.
    assert 0 <= used - seen.answered_units <= 5 * seen.settled_unanswered
    assert not breaks(now)


@pytest.fixture
def durable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Yield a separate cluster with fsync on, the product's tables and a demo App."""
    folder = tmp_path_factory.mktemp("pg")
    folder.chmod(0o700)
    postgres = Postgres(data=folder / "data", sockets=folder, log=folder / "log")
    postgres.start()
    try:
        manage(postgres, "migrate", "--verbosity", "0")
        manage(postgres, "seed_demo")
        yield postgres
    finally:
        postgres.stop()


def manage(postgres: Postgres, *command: str) -> None:
    """Run manage.py against that cluster."""
    environment = {**os.environ, "DATABASE_URL": postgres.url}
    subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )


def test_a_database_killed_under_load_keeps_every_confirmed_settle(durable_postgres: Postgres) -> None:
    """A reserve does not wait for the disk, yet a settle that was confirmed survives, with its reserve."""
    confirmed: list[UUID] = []

    def caller() -> None:
        try:
            connection = durable_postgres.connect()
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT id FROM accounts_app")
                (app,) = cursor.fetchone()
                while True:
                    call_id = uuid4()
                    cursor.execute(
                        "SELECT outcome FROM billing_reserve(%s, %s, 'face_detect', 2, 0,"
                        " now(), now() + interval '3 minutes', true)",
                        [str(call_id), app],
                    )
                    assert cursor.fetchone() == ("held",)
                    cursor.execute(
                        "UPDATE billing_debit SET state = 'settled', closed_at = now()"
                        " WHERE call_id = %s AND state = 'held'",
                        [str(call_id)],
                    )
                    if cursor.rowcount == 1:
                        confirmed.append(call_id)
        except psycopg2.Error:
            return  # the server has ended

    for _round in range(3):
        before = len(confirmed)
        callers = [threading.Thread(target=caller) for _i in range(6)]
        for thread in callers:
            thread.start()
        while len(confirmed) < before + 150:
            assert any(thread.is_alive() for thread in callers)
        os.killpg(durable_postgres.process.pid, signal.SIGKILL)
        durable_postgres.process.stop()
        for thread in callers:
            thread.join()
        durable_postgres.start()
        connection = durable_postgres.connect()
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT call_id::text FROM billing_debit WHERE state = 'settled'")
            settled = {UUID(row[0]) for row in cursor.fetchall()}
            cursor.execute("SELECT sum(used) FROM billing_period")
            (used,) = cursor.fetchone()
            cursor.execute("SELECT sum(units) FROM billing_debit WHERE state <> 'returned'")
            (debited,) = cursor.fetchone()
        connection.close()
        assert settled >= set(confirmed)
        assert used == debited
