"""A migration that waits for a lock times out, so that it does not block others for long."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management.sql import emit_pre_migrate_signal
from django.db import OperationalError, connection, transaction

LOCK = "LOCK TABLE accounts_region IN ACCESS {} MODE"


@pytest.fixture
def short(settings) -> None:
    settings.DB_MIGRATION_LOCK_TIMEOUT_S = 0.2


def migrate() -> None:
    """Announce migrations as `migrate` does, and take a lock as one of them would."""
    try:
        emit_pre_migrate_signal(0, False, connection.alias)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK.format("EXCLUSIVE"))
    finally:
        connection.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.mark.django_db
def test_a_migration_waits_for_no_lock_longer_than_the_setting(short: None, pool: ThreadPoolExecutor) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK.format("SHARE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            pool.submit(migrate).result(timeout=60)
