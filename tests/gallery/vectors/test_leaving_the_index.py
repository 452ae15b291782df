"""A group that becomes small leaves the index while a face is enrolled into it."""

import threading
from datetime import datetime

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from gallery import groups
from gallery.groups import Wanted
from gallery.locks import lock
from gallery.models import Face, Group
from gallery.trail import Actor
from gallery.vectors import indexing
from tests.conftest import wait_until
from tests.gallery.conftest import app_of, store, template


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_no_face_stays_in_the_index(now: datetime, settings: Settings) -> None:
    """The enrolment has read that the group is indexed: leaving waits for it and covers its face too."""
    app = app_of("alice", now)
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    store(app, "p", template(1), at=now)
    settings.GALLERY_EXACT_FACES = 0
    indexing.update(now)
    settings.GALLERY_EXACT_FACES = 100

    def leave() -> None:
        try:
            indexing.update(now)
        finally:
            connection.close()

    leaving = threading.Thread(target=leave)

    def is_waiting_or_over() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0]) or not leaving.is_alive()

    with transaction.atomic():
        lock(app)
        assert Group.objects.get().indexed_at is not None
        leaving.start()
        wait_until(is_waiting_or_over, timeout_s=60, what="leaving, or its wait for the lock")
        face = Face.objects.get()
        face.pk, face.indexed = face.call_id, True  # as an enrolment that read the group before
        face.save(force_insert=True)
    leaving.join(60)
    assert Group.objects.get().indexed_at is None
    assert Face.objects.count() == 2
    assert not Face.objects.filter(indexed=True).exists()
