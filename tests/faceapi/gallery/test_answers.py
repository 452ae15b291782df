"""The gallery's answers conform to the OpenAPI description, and each of its codes can be caused."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
import requests
from PIL import Image

from accounts.models import App
from billing.models import Debit, DebitState
from faceapi import errors
from faceapi.gallery import codes
from faceapi.models import Call
from gallery.models import Face, Group
from tests.faceapi.conftest import Answer, encode, inline
from tests.faceapi.gallery.conftest import Gallery, entry, used
from tests.faceapi.test_schema import Signature, schema

pytestmark = pytest.mark.usefixtures("worker")


def twice(picture: bytes) -> bytes:
    """Return the picture next to a copy of itself: two faces of the same size."""
    one = Image.open(BytesIO(picture))
    both = Image.new("RGB", (one.width * 2, one.height))
    both.paste(one, (0, 0))
    both.paste(one, (one.width, 0))
    out = BytesIO()
    both.save(out, "JPEG", quality=92)
    return out.getvalue()


def test_answers_to_enrolments_and_searches_conform_to_the_description(
    gallery: Gallery, portrait: bytes
) -> None:
    options: dict[str, Any] = {"groups": ["staff"], "faces": "all", "quality": True, "min_confidence": 0}
    sent = [
        ("face_person_add", {"data": [entry("1001", portrait)], "options": {"unique": True}}),
        ("face_search", {"data": [inline(twice(portrait)), inline(encode())], "options": options}),
        ("face_person_list", {"data": [{"group_id": "staff"}]}),
        ("face_group_list", {"data": [{}]}),
    ]
    for name, body in sent:
        path = f"/api/v1/{name}.json"
        url = f"http://{gallery.caller.address}{path}"
        response = requests.post(url, json=body, auth=Signature(gallery.caller), timeout=60)
        assert response.json()["code"] == 0, response.text
        schema[path]["POST"].validate_response(response)
        if name == "face_search":
            both, nobody = response.json()["result"]
            assert [len(face["person_list"]) for face in both["face_list"]] == [1, 1]
            assert (nobody["face_list"], nobody["pic_quality"]) == ([], 1)


Way = Callable[[Gallery, App, bytes], Answer]


def full(gallery: Gallery, app: App, portrait: bytes) -> Answer:
    App.objects.filter(pk=app.pk).update(face_limit=1)
    return gallery.send("face_person_add", [entry("1", portrait), entry("2", portrait)])


def a_look_alike(gallery: Gallery, app: App, portrait: bytes) -> Answer:
    pair = [entry("1", portrait), entry("2", portrait)]
    return gallery.send("face_person_add", pair, {"unique": True})


def another_model(gallery: Gallery, app: App, portrait: bytes) -> Answer:
    assert gallery.enrol("1001", portrait).code == 0
    Group.objects.filter(app=app).update(model_version="of-last-year")
    Face.objects.filter(group__app=app).update(model_version="of-last-year")
    return gallery.enrol("1002", portrait)


WAYS: dict[int, tuple[int, Way]] = {  # code → the index in the reply, and how it is caused
    codes.NO_GROUP: (0, lambda gallery, _app, portrait: gallery.enrol("1", portrait, "nowhere")),
    codes.NO_FACE: (
        1,
        lambda gallery, _app, portrait: gallery.send(
            "face_compare", [[inline(portrait)] * 2, [inline(portrait), "face:staff/nobody"]]
        ),
    ),
    codes.GALLERY_FULL: (1, full),
    codes.NOT_GOOD_ENOUGH: (0, lambda gallery, _app, portrait: gallery.enrol("1", twice(portrait))),
    codes.LOOKS_LIKE: (1, a_look_alike),
    codes.NO_CONSENT: (
        0,
        lambda gallery, _app, portrait: gallery.enrol(
            "1", portrait, consent={"reference": "HR", "expires_at_ms": 1}
        ),
    ),
    codes.OTHER_MODEL: (0, another_model),
    codes.TOO_MANY_FACES: (
        20,
        lambda gallery, _app, portrait: gallery.send("face_person_add", [entry("1", portrait)] * 21),
    ),
}


def test_every_code_of_the_gallery_has_a_case() -> None:
    assert sorted(WAYS) == sorted(row.number for row in codes.ROWS)


@pytest.mark.parametrize("code", sorted(WAYS))
def test_each_code_of_the_gallery_can_be_caused(
    code: int, gallery: Gallery, app: App, portrait: bytes
) -> None:
    index, reach = WAYS[code]
    answer = reach(gallery, app, portrait)
    row = errors.TABLE[code]
    assert (answer.code, answer.status) == (code, row.http), answer.json
    assert (answer.json["message"], answer.json["index"]) == (row.zh, index)
    assert (answer.json["remedy"], answer.json["remedy_en"]) == (row.remedy_zh, row.remedy_en)
    assert answer.json["detail"]
    assert re.search(r"[\u4e00-\u9fff]", answer.json["detail_zh"])
    assert answer.headers["X-Billed-Units"] == "0"
    request_id = answer.headers["X-Request-Id"]
    assert answer.json["request_id"] == request_id
    assert not Debit.objects.filter(call_id=request_id).exclude(state=DebitState.RETURNED).exists()
    recorded = Call.objects.get(pk=request_id)
    assert (recorded.code, recorded.units, recorded.fault_index) == (code, 0, index)
    assert used(app) == (1 if code == codes.OTHER_MODEL else 0)


def test_several_faces_are_reported(gallery: Gallery, portrait: bytes) -> None:
    refused = gallery.enrol("1", twice(portrait))
    assert refused.json["detail"] == "several faces of similar size"
    assert refused.json["detail_zh"] == "有多张大小相近的人脸"
    assert refused.json["quality"]["reasons"] == ["several_faces"]
    small = Image.open(BytesIO(portrait)).resize((60, 60))
    whole = Image.new("RGB", (700, 400), "grey")
    whole.paste(Image.open(BytesIO(portrait)), (20, 60))
    whole.paste(small, (560, 200))
    out = BytesIO()
    whole.save(out, "JPEG", quality=92)
    (added,) = gallery.result("face_person_add", [entry("1", out.getvalue())])
    assert added["location"]["left"] < 300
