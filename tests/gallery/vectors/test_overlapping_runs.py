"""The task that indexes large groups does not overlap with itself."""

import threading
from datetime import datetime

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from gallery import groups, tasks
from gallery.groups import Wanted
from gallery.locks import lock
from gallery.models import Face, Group
from gallery.trail import Actor
from tests.conftest import wait_until
from tests.gallery.conftest import app_of, store, template


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_a_run_ends_at_once_while_another_is_in_progress(now: datetime, settings: Settings) -> None:
    settings.GALLERY_EXACT_FACES = 0
    apps = [app_of(name, now) for name in ("alice", "bob")]
    for app in apps:
        groups.add(app, [Wanted("staff", "员工")], now, Actor())
        store(app, "p", template(1), at=now)

    def run() -> None:
        try:
            tasks.index_large_groups()
        finally:
            connection.close()

    first, second = threading.Thread(target=run), threading.Thread(target=run)
    with transaction.atomic():
        lock(apps[0])
        lock(apps[1])
        first.start()
        wait_until(lambda: waits() == 1, timeout_s=60, what="the first run's wait for an App")
        second.start()
        wait_until(lambda: not second.is_alive() or waits() == 2, timeout_s=60, what="the second run's end")
        assert not second.is_alive()
        assert waits() == 1
        assert not Face.objects.filter(indexed=True).exists()
    first.join(60)
    assert Group.objects.filter(indexed_at__isnull=False).count() == 2
    Group.objects.update(indexed_at=None)
    tasks.index_large_groups()  # the lock was released
    assert Group.objects.filter(indexed_at__isnull=False).count() == 2


def waits() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])
