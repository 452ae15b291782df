"""The connection pool of a web process: a maximum size, and no dead or long-idle connections."""

import time
from collections.abc import Iterator

import psycopg2
import pytest
from django.db import connection

from common.postgresql import pool as pools
from common.postgresql.pool import Pool
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db


def connect() -> "psycopg2.extensions.connection":
    opened = psycopg2.connect(**connection.get_connection_params())
    opened.autocommit = True
    return opened


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(pools, "TAKE_S", 0.1)
    made = Pool(2, idle_s=3600)
    yield made
    while (left := made._pop()) is not None:
        left.close()


def test_the_pool_never_exceeds_its_size(pool: Pool) -> None:
    one, two = pool.take(connect), pool.take(connect)
    with pytest.raises(psycopg2.OperationalError, match="in use"):
        pool.take(connect)
    pool.put(one)
    assert pool.take(connect) is one
    pool.put(one)
    pool.put(two)


def test_a_failed_connection_frees_its_slot(pool: Pool) -> None:
    def refuse() -> None:
        raise psycopg2.OperationalError("no")

    for _number in range(3):
        with pytest.raises(psycopg2.OperationalError, match="no"):
            pool.take(refuse)
    pool.put(pool.take(connect))


def test_a_connection_closed_by_the_server_is_not_reused(pool: Pool) -> None:
    ended = pool.take(connect)
    pid = ended.info.backend_pid
    pool.put(ended)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

    def is_gone() -> bool:
        taken = pool.take(connect)
        try:
            return bool(taken.info.backend_pid != pid)
        finally:
            pool.put(taken)

    wait_until(is_gone, timeout_s=20, what="the end of the backend")


def test_a_connection_in_a_transaction_is_not_kept(pool: Pool) -> None:
    taken = pool.take(connect)
    taken.autocommit = False
    with taken.cursor() as cursor:
        cursor.execute("SELECT 1")
    pool.put(taken)
    assert taken.closed


def test_an_idle_connection_is_closed() -> None:
    pool = Pool(2, idle_s=0.2)
    taken = pool.take(connect)
    time.sleep(0.3)  # in use is not idle
    assert not taken.closed
    pool.put(taken)
    wait_until(lambda: bool(taken.closed), timeout_s=20, what="the end of the idle connection")
