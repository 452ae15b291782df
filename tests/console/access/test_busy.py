"""The pages while the database refuses for now."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from console.confirmation import CONFIRMED
from gallery import groups
from gallery.groups import Wanted
from gallery.locks import lock
from gallery.models import Group
from gallery.trail import Actor
from tests.gallery.conftest import app_of


@pytest.fixture
def group(transactional_db: None) -> Group:
    app = app_of("alice", timezone.now())
    groups.add(app, [Wanted("staff", "员工")], timezone.now(), Actor())
    return Group.objects.get()


@pytest.fixture
def locked(group: Group) -> Iterator[None]:
    """Hold the lock of the App in another session; wait for a lock for 0.1 s in this one."""
    is_locked, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                lock(group.app)
                is_locked.set()
                is_over.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_locked.wait(60)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    is_over.set()
    holder.join(60)


def test_a_lock_timeout_is_a_page_that_asks_to_try_again(group: Group, locked: None) -> None:
    client = Client()
    client.force_login(User.objects.get())
    address = f"/console/apps/{group.app.app_id}/gallery/{group.pk}/"
    reply = client.post(address, {"act": "delete", CONFIRMED: "1"})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert "服务暂时繁忙" in reply.content.decode()
    assert Group.objects.filter(pk=group.pk).exists()
