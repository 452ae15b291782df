"""Stored answers: none names a deleted face, and a call whose answer was repeated stays charged."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import redis
from django.db import connection
from django.utils import timezone

from accounts.models import App
from billing import quota
from billing.models import Api, Debit
from common import valkey
from faceapi import calls
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.gallery.views import FaceSearchView
from faceapi.limits import idempotency
from gallery import enrolment, groups
from gallery.enrolment import Entry
from gallery.groups import Wanted
from gallery.models import Face, Person, TrailEntry
from gallery.retention import erasure, remembered
from gallery.trail import Actor
from tests.conftest import wait_until
from tests.faceapi.conftest import inline
from tests.faceapi.gallery.conftest import Gallery, entry, used
from tests.gallery.conftest import store, template


def running(app: App, now: datetime) -> FaceSearchView:
    """Return a search with an Idempotency-Key that has just begun."""
    view = FaceSearchView()
    call = view.call = CallContext(calls.new_id(now), Api.FACE_SEARCH.value, now, "127.0.0.1")
    call.key = app.keys.get()
    view.epoch = remembered.epoch(app.pk)
    call.hold = idempotency.take(
        valkey.client(), uuid4().hex, app_pk=app.pk, api=call.api, body_sha1="", call_id=call.id, at=now
    )
    idempotency.end_lease(valkey.client(), call.hold)
    return view


def is_kept(view: FaceSearchView) -> bool:
    return any(str(view.call.id) in name.decode() for name in valkey.client().scan_iter("faceapi:answer:*"))


def test_an_erasure_during_a_search_leaves_nothing_of_its_answer(app: App, now: datetime) -> None:
    """Even if the answer is stored after the deletion has cleared its list."""
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    for number in range(2):
        store(app, "p", template(1), at=now)
        view = running(app, now)
        if number:
            view._remember(b"p", valkey.client())
            assert is_kept(view)
        assert erasure.delete_person(app, "staff", "p", now, Actor()) == 1
        if not number:
            view._remember(b"p", valkey.client())
        assert not is_kept(view)


def test_an_answer_that_could_not_be_deleted_is_not_repeated(
    gallery: Gallery, app: App, portrait: bytes, worker: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.result("face_person_add", [entry("1001", portrait)])
    key, options = uuid4().hex, {"groups": ["staff"]}
    assert gallery.send("face_search", [inline(portrait)], options, Idempotency_Key=key).code == 0

    def unreachable() -> redis.Redis:
        raise redis.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("gallery.retention.remembered.valkey.client", unreachable)
        erasure.delete_person(app, "staff", "1001", timezone.now(), Actor())
    assert gallery.send("face_search", [inline(portrait)], options, Idempotency_Key=key).code == 4022


def test_a_repeat_charges_the_call_whose_answer_it_gets(
    gallery: Gallery, app: App, portrait: bytes, worker: object
) -> None:
    """The web process died before it noted that the answer was sent: the face must not be withdrawn."""
    key, data = uuid4().hex, [entry("1001", portrait)]
    first = gallery.send("face_person_add", data, Idempotency_Key=key)
    call_id = UUID(first.headers["X-Request-Id"])
    wait_until(lambda: Debit.objects.get(pk=call_id).state == "settled", timeout_s=60, what="the end")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE billing_debit SET state = 'settling' WHERE call_id = %s", [call_id])
        cursor.execute("SET session_replication_role = origin")
    again = gallery.send("face_person_add", data, Idempotency_Key=key)
    assert again.json == first.json
    assert Debit.objects.get(pk=call_id).state == "settled"
    assert calls.withdraw_unconfirmed(timezone.now() + timedelta(minutes=10)) == 0
    assert Face.objects.filter(group__app=app).count() == used(app) == 1


def settling(app: App, now: datetime) -> CallContext:
    """Return an enrolment that is ready to be settled."""
    call = CallContext(calls.new_id(now), Api.FACE_SEARCH.value, now, "127.0.0.1", key=app.keys.get())
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=now)
    faces = enrolment.with_ids([Entry("staff", "p", "HR-12")], [template(1)], call.id)
    call.effect = partial(_store, app, faces, call.id)
    return call


def _store(app: App, faces: list[enrolment.Enrolled], call_id: UUID, at: datetime) -> None:
    enrolment.store(app, faces, at, Actor(call_id))


def test_a_retried_settle_restores_no_erased_person(app: App, now: datetime) -> None:
    """The commit was done but not acknowledged; the person is erased before the second attempt."""
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    call = settling(app, now)
    calls.succeed(call, now)
    assert erasure.delete_person(app, "staff", "p", now, Actor()) == 1
    calls.succeed(call, now)
    assert not Person.objects.filter(group__app=app).exists()
    assert TrailEntry.objects.filter(app=app, action="enrol").count() == 1
    calls.fail(call, ApiError(5003), now)


def test_a_charged_call_cannot_fail(app: App, now: datetime) -> None:
    """Its answer was repeated, so it stays charged although its own client had disconnected."""
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    call = settling(app, now)
    calls.succeed(call, now)
    assert calls.charge_repeated(call.id)
    calls.fail(call, ApiError(4019), now)
    assert Face.objects.filter(call_id=call.id).count() == 1
    assert app.calls.get(pk=call.id).code == 0
    assert not calls.withdraw_unconfirmed(now + timedelta(minutes=10))
