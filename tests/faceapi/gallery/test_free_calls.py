"""The free APIs of the gallery need no worker."""

import pytest

from accounts.models import App
from common import valkey
from embedded.services.managed_process import Process
from faceapi.limits import unpaid
from gallery import groups
from tests.faceapi.conftest import inline
from tests.faceapi.dispatch.workers import silent
from tests.faceapi.gallery.conftest import Gallery
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
