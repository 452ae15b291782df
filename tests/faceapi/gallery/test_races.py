"""Concurrent enrolments, searches and erasures; a process killed between; a switched-off gallery."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psutil
import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import keys
from accounts.models import App
from billing import quota
from billing.models import Api, Debit
from embedded.services.managed_process import Process
from gallery.models import Face, Group, Person
from tests.conftest import wait_until
from tests.faceapi.conftest import LIMITS, Caller, inline, running_site
from tests.faceapi.gallery.conftest import Gallery, entry, used

pytestmark = pytest.mark.usefixtures("worker")


def kill_all(pid: int) -> None:
    """Send SIGKILL to a process and to all that it started, children first."""
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        process.kill()


@pytest.mark.race
def test_concurrent_enrolments_stop_at_the_limit_of_faces(
    gallery: Gallery, app: App, portrait: bytes
) -> None:
    App.objects.filter(pk=app.pk).update(face_limit=5)
    callers = [
        Gallery(Caller(gallery.caller.address, gallery.caller.key, gallery.caller.secret)) for _ in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(
                lambda one: one.send("face_person_add", [entry("1001", portrait), entry("1001", portrait)]),
                callers,
            )
        )
    for one in callers:
        one.caller.close()
    codes = sorted(answer.code for answer in answers)
    assert codes == [0, 0, 4303, 4303]
    assert Person.objects.filter(group__app=app).count() == 1
    assert Face.objects.filter(group__app=app).count() == Group.objects.get(app=app).faces == 4
    assert used(app) == 4


@pytest.mark.race
def test_searches_do_not_fail_while_persons_are_erased(gallery: Gallery, app: App, portrait: bytes) -> None:
    """A search names a person or does not; it never fails."""
    gallery.result("face_person_add", [entry(f"p{n}", portrait) for n in range(8)])
    other = Gallery(Caller(gallery.caller.address, gallery.caller.key, gallery.caller.secret))

    def erase() -> None:
        for n in range(8):
            other.result("face_person_delete", [{"group_id": "staff", "person_id": f"p{n}"}])

    with ThreadPoolExecutor(1) as threads:
        erasing = threads.submit(erase)
        counts = []
        while not erasing.done():
            (found,) = gallery.result("face_search", [inline(portrait)], {"groups": ["staff"], "top": 20})
            counts.append(len(found["face_list"][0]["person_list"]))
        erasing.result()
    other.caller.close()
    assert counts == sorted(counts, reverse=True)
    (found,) = gallery.result("face_search", [inline(portrait)], {"groups": ["staff"]})
    assert found["face_list"][0]["person_list"] == []


@pytest.mark.race
def test_a_process_killed_before_it_stores_a_face_costs_nothing(
    app: App, gallery: Gallery, worker: Process, product_environment: dict[str, str], portrait: bytes
) -> None:
    """Send SIGKILL between the debit and the row: the sweep gives the units back, nothing is stored."""
    with running_site(product_environment | LIMITS, "killed") as site:
        caller = Caller(site.address, app.keys.get(), keys.secret_of(app.keys.get()))
        with connection.cursor() as cursor, ThreadPoolExecutor(1) as threads:
            with transaction.atomic():  # the store waits for the App's lock
                cursor.execute("SELECT 1 FROM accounts_app WHERE id = %s FOR UPDATE", [app.pk])
                sending = threads.submit(Gallery(caller).enrol, "1001", portrait)
                waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

                def is_waiting() -> bool:
                    cursor.execute(waits)
                    return bool(cursor.fetchone()[0])

                wait_until(is_waiting, timeout_s=30, what="a store that waits for the lock")
                kill_all(site.pid)
            with pytest.raises(Exception):  # noqa: B017, PT011 - however http.client calls a lost connection
                sending.result()
        caller.close()
    assert Debit.objects.filter(app=app, api=Api.FACE_SEARCH, state="held").count() == 1
    assert not Face.objects.filter(group__app=app).exists()
    assert quota.sweep(timezone.now() + timedelta(minutes=5)) >= 1
    assert used(app) == 0


def test_a_switched_off_gallery_lists_and_deletes_only(
    app: App, gallery: Gallery, product_environment: dict[str, str], portrait: bytes
) -> None:
    gallery.result("face_person_add", [entry("1001", portrait)])
    with running_site(product_environment | LIMITS | {"GALLERY": "false"}, "switched-off") as site:
        off = Gallery(Caller(site.address, app.keys.get(), keys.secret_of(app.keys.get())))
        assert off.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 4020
        assert off.enrol("1002", portrait).code == 4020
        assert off.send("face_group_add", [{"group_id": "x"}]).code == 4020
        assert off.send("face_compare", [["face:staff/1001", inline(portrait)]]).code == 4020
        assert len(off.result("face_person_list", [{"group_id": "staff"}])[0]["persons"]) == 1
        assert off.result("face_group_delete", [{"group_id": "staff"}])[0]["deleted_faces"] == 1
        off.caller.close()
