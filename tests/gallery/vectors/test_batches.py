"""Tasks that change many stored faces give way to enrolments and deletions."""

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from accounts.models import App
from gallery import groups
from gallery.groups import Wanted
from gallery.locks import lock
from gallery.models import Face, Group
from gallery.trail import Actor
from gallery.vectors import conversion, indexing
from tests.conftest import wait_until
from tests.gallery.conftest import app_of, store, template

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def app(now: datetime) -> App:
    """Return an App with ten faces, which also have the vectors of the version before."""
    made = app_of("alice", now)
    groups.add(made, [Wanted("staff", "员工")], now, Actor())
    for seed in range(10):
        store(made, f"p{seed}", template(seed), at=now)
    Face.objects.update(embedding=[0.0] * 257, remainder=[0.0] * 257)
    return made


@pytest.fixture(params=["index", "discard"])
def task(request: pytest.FixtureRequest, now: datetime, settings: Settings) -> Callable[[], object]:
    settings.GALLERY_EXACT_FACES = 0
    return conversion.discard if request.param == "discard" else lambda: indexing.update(now)


def start(task: Callable[[], object]) -> threading.Thread:
    """Run the task in a thread with its own connection."""

    def work() -> None:
        try:
            task()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def changed() -> int:
    """Return the number of faces that either task has changed."""
    return Face.objects.filter(indexed=True).count() + Face.objects.filter(embedding=None).count()


def is_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_no_batch_begins_while_the_gallery_is_written(app: App, task: Callable[[], object]) -> None:
    """Otherwise each batch would lock faces again that a deletion of the group has not reached yet."""
    with transaction.atomic():
        lock(app)
        thread = start(task)
        wait_until(lambda: is_waiting() or not thread.is_alive(), timeout_s=60, what="the task's wait")
        assert changed() == 0
    thread.join(60)
    assert changed() == 10


def test_a_locked_face_does_not_hold_up_the_others(app: App, task: Callable[[], object]) -> None:
    """It is changed last, under the lock of the App."""
    with transaction.atomic():
        Face.objects.select_for_update().order_by("pk").first()
        thread = start(task)
        wait_until(lambda: changed() == 9, timeout_s=60, what="nine changed faces")
        assert not Group.objects.filter(indexed_at__isnull=False).exists()
    thread.join(60)
    assert changed() == 10
