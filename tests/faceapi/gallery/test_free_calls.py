"""The free APIs of the gallery need no worker, and act once for an Idempotency-Key."""

import json
from datetime import datetime
from uuid import uuid4

import pytest

from accounts.models import App
from billing.models import Api
from common import valkey
from embedded.services.managed_process import Process
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.gallery import requests
from faceapi.gallery.views import PersonDeleteView
from faceapi.limits import idempotency, unpaid
from faceapi.request.spool import Spool
from gallery import groups
from gallery.models import Person
from tests.faceapi.conftest import as_options, inline
from tests.faceapi.dispatch.workers import silent
from tests.faceapi.gallery.conftest import Gallery
from tests.faceapi.limits.test_idempotency import forget_answers
from tests.gallery.conftest import store, template

PERSON = {"group_id": "staff", "person_id": "1001"}


@pytest.fixture
def stored(gallery: Gallery, app: App) -> Gallery:
    """Return the gallery with a person who has one face."""
    store(app, "1001", template(1), at=groups.find(app, ["staff"])["staff"].created_at)
    return gallery


def erase_everything(gallery: Gallery) -> list[int]:
    """Add a group, list, and delete the person and the group; return the codes."""
    sent = [
        ("face_group_add", {"group_id": "visitors"}),
        ("face_group_list", {}),
        ("face_person_list", {"group_id": "staff"}),
        ("face_person_delete", PERSON),
        ("face_group_delete", {"group_id": "staff"}),
    ]
    return [gallery.send(api, [entry]).code for api, entry in sent]


def test_faces_are_erased_without_a_worker(
    stored: Gallery, app: App, portrait: bytes, worker: Process
) -> None:
    large = b'{"data": [{"group_id": "other"}]' + b" " * 300_000 + b"}"  # checked before it is read
    with silent(worker):
        assert stored.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 5003
        assert erase_everything(stored) == [0] * 5
        assert stored.caller.send(large, "/api/v1/face_group_delete.json").code == 0
    assert [group.group_id for group in app.groups.all()] == ["visitors"]


def test_unpaid_inference_does_not_hinder_an_erasure(stored: Gallery, app: App, portrait: bytes) -> None:
    unpaid.add(valkey.client(), app.customer_id, 10**6)
    assert stored.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 4291
    assert erase_everything(stored) == [0] * 5


def test_the_limits_of_the_app_apply(gallery: Gallery, app: App) -> None:
    App.objects.filter(pk=app.pk).update(rate_per_s=1)
    codes = {gallery.send("face_group_list", [{}]).code for _ in range(10)}
    assert codes == {0, 4291}


REPEATED = {  # API → its entry, and a part of the first answer that a second execution would not give
    "face_group_add": ({"group_id": "visitors"}, ("created", True)),
    "face_group_delete": ({"group_id": "staff"}, ("deleted_faces", 1)),
    "face_person_delete": (PERSON, ("deleted_faces", 1)),
}


@pytest.mark.parametrize("api", REPEATED)
def test_a_repeat_with_its_key_gets_the_first_answer(api: str, stored: Gallery) -> None:
    entry, (name, value) = REPEATED[api]
    key = uuid4().hex
    body = json.dumps({"data": [entry]}).encode()
    path = f"/api/v1/{api}.json"
    signed = as_options(stored.caller.headers(body, path))
    first = stored.caller.send(body, path, **signed, Idempotency_Key=key)
    assert first.json["result"][0][name] == value
    assert "Idempotent-Replayed" not in first.headers
    again = stored.send(api, [entry], Idempotency_Key=key)
    byte_for_byte = stored.caller.send(body, path, **signed, Idempotency_Key=key)
    for repeat in (again, byte_for_byte):
        assert (repeat.json, repeat.headers["Idempotent-Replayed"]) == (first.json, "true")
        assert repeat.headers["X-Billed-Units"] == "0"
    assert stored.caller.send(body, path, **signed).code == 4105
    forget_answers()
    assert stored.send(api, [entry], Idempotency_Key=key).code == 4022


def test_a_key_belongs_to_one_request(stored: Gallery) -> None:
    """The body of one API may also be a valid body of another."""
    key = uuid4().hex
    assert stored.send("face_group_add", [{"group_id": "visitors"}], Idempotency_Key=key).code == 0
    assert stored.send("face_group_add", [{"group_id": "others"}], Idempotency_Key=key).code == 4018
    for api in ("face_group_delete", "face_person_list"):
        assert stored.send(api, [{"group_id": "visitors"}], Idempotency_Key=key).code == 4018
    assert stored.send("face_person_delete", [PERSON], Idempotency_Key="a key").code == 4018
    (staff, visitors) = stored.result("face_group_list", [{}])[0]["groups"]
    assert (staff["faces"], visitors["group_id"]) == (1, "visitors")


def test_a_refused_call_leaves_its_key_free(stored: Gallery) -> None:
    key = uuid4().hex
    for data in ([{"group_id": "nowhere"}], [{"group_id": "a b"}]):
        assert stored.send("face_person_list", data, Idempotency_Key=key).code in (4301, 4007)
    assert stored.send("face_person_list", [{"group_id": "staff"}], Idempotency_Key=key).code == 0


def test_a_list_of_persons_is_not_repeated_after_an_erasure(stored: Gallery) -> None:
    key = uuid4().hex
    first = stored.send("face_person_list", [{"group_id": "staff"}], Idempotency_Key=key)
    again = stored.send("face_person_list", [{"group_id": "staff"}], Idempotency_Key=key)
    assert again.json == first.json
    assert first.json["result"][0]["persons"][0]["person_id"] == "1001"
    assert stored.result("face_person_delete", [PERSON]) == [{"deleted_faces": 1}]
    assert stored.send("face_person_list", [{"group_id": "staff"}], Idempotency_Key=key).code == 4022


def deletion(app: App, now: datetime) -> PersonDeleteView:
    """Return a deletion that has just taken its Idempotency-Key, and lost the lease."""
    view = PersonDeleteView()
    call = view.call = CallContext(calls.new_id(now), Api.FACE_SEARCH.value, now, "127.0.0.1")
    call.key = app.keys.get()
    view.entries = requests.erasures({"data": [PERSON]})
    call.hold = idempotency.take(
        valkey.client(), "k", app_pk=app.pk, api=call.api, body_sha1="", call_id=call.id, at=now
    )
    idempotency.end_lease(valkey.client(), call.hold)
    return view


def test_of_two_deletions_with_one_key_one_acts(stored: Gallery, app: App, now: datetime) -> None:
    """The first process was suspended for longer than its lease, and continues after the second."""
    suspended, second = deletion(app, now), deletion(app, now)
    with Spool() as spool:
        with pytest.raises(ApiError) as caught:
            suspended.perform([], spool, valkey.client())
        assert caught.value.code == errors.NO_ANSWER
        assert Person.objects.filter(group__app=app).exists()
        assert json.loads(second.perform([], spool, valkey.client()))["result"] == [{"deleted_faces": 1}]
    calls.fail(suspended.call, caught.value, now)
    repeat = deletion(app, now).call.hold
    assert repeat is not None
    assert idempotency.answer_of(valkey.client(), repeat) == second.done


def test_a_retried_transaction_deletes_once(stored: Gallery, app: App, now: datetime) -> None:
    """Its commit was done but not acknowledged; the answer is that of the first attempt."""
    view = deletion(app, now)
    with Spool() as spool:
        view.perform([], spool, valkey.client())
    calls.succeed(view.call, now)
    assert json.loads(view.done)["result"] == [{"deleted_faces": 1}]
    assert app.calls.filter(pk=view.call.id).count() == 1
