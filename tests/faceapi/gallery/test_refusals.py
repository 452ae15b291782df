"""Requests that the gallery's APIs refuse: free of charge, nothing stored, errors in both languages."""

import pytest

from accounts.models import App
from gallery.models import Face
from tests.faceapi.conftest import inline
from tests.faceapi.gallery.conftest import Gallery, entry, used

pytestmark = pytest.mark.usefixtures("worker")


REFUSED: dict[str, tuple[int, str, object, object]] = {
    "no such group": (4301, "face_search", ["IMAGE"], {"groups": ["nobody"]}),
    "enrol: no such group": (4301, "face_person_add", [{"group_id": "nobody"}], None),
    "list: no such group": (4301, "face_person_list", [{"group_id": "nobody"}], None),
    "no such person": (4302, "face_compare", [["IMAGE", "face:staff/nobody"]], None),
    "no such face": (4302, "face_compare", [["IMAGE", f"face:staff/1001/{'0' * 32}"]], None),
    "a malformed reference": (4302, "face_compare", [["IMAGE", "face:staff"]], None),
    "a reference with a bad id": (4302, "face_compare", [["IMAGE", "face:staff/a b"]], None),
    "a malformed face id": (4302, "face_compare", [["IMAGE", "face:staff/1001/xyz"]], None),
    "no consent": (4306, "face_person_add", [{"consent": None}], None),
    "consent without a reference": (4306, "face_person_add", [{"consent": {}}], None),
    "consent of a blank": (4306, "face_person_add", [{"consent": {"reference": " "}}], None),
    "a past consent": (
        4306,
        "face_person_add",
        [{"consent": {"reference": "HR", "expires_at_ms": 1_700_000_000_000}}],
        None,
    ),
    "no picture": (4001, "face_person_add", [{"image": None}], None),
    "a broken picture": (4012, "face_person_add", [{"image": inline(b"<html>")}], None),
    "an id with a space": (4007, "face_person_add", [{"person_id": "a b"}], None),
    "an id of 65": (4007, "face_person_add", [{"person_id": "a" * 65}], None),
    "an empty id": (4007, "face_group_delete", [{"group_id": ""}], None),
    "an id that is a number": (4007, "face_group_delete", [{"group_id": 7}], None),
    "an id with a slash": (4007, "face_person_delete", [{"group_id": "staff", "person_id": "a/b"}], None),
    "a control character": (4007, "face_person_add", [{"note": "a\nb"}], None),
    "an unknown field": (4007, "face_group_add", [{"group_id": "x", "retention_day": 3}], None),
    "no retention": (4007, "face_group_add", [{"group_id": "x", "retention_days": 0}], None),
    "an entry that is text": (4007, "face_group_list", ["staff"], None),
    "a limit of 1001": (4007, "face_person_list", [{"group_id": "staff", "limit": 1001}], None),
    "a limit of true": (4007, "face_group_list", [{"limit": True}], None),
    "no options": (4007, "face_search", ["IMAGE"], None),
    "no groups": (4007, "face_search", ["IMAGE"], {"groups": []}),
    "eleven groups": (4007, "face_search", ["IMAGE"], {"groups": [f"g{n}" for n in range(11)]}),
    "top 101": (4007, "face_search", ["IMAGE"], {"groups": ["staff"], "top": 101}),
    "an unknown option": (4007, "face_search", ["IMAGE"], {"groups": ["staff"], "tops": 1}),
    "a confidence of 101": (4007, "face_search", ["IMAGE"], {"groups": ["staff"], "min_confidence": 101}),
    "faces: some": (4007, "face_search", ["IMAGE"], {"groups": ["staff"], "faces": "some"}),
    "101 entries": (4015, "face_group_list", [{}] * 101, None),
    "no data": (4001, "face_group_list", [], None),
}


def test_a_group_of_the_options_is_named_without_an_index(gallery: Gallery, portrait: bytes) -> None:
    answer = gallery.send("face_search", [inline(portrait)], {"groups": ["staff", "nobody"]})
    assert (answer.code, answer.json["detail"]) == (4301, "group_id nobody")
    assert "index" not in answer.json


def test_4302_names_the_face_of_an_existing_person(gallery: Gallery, portrait: bytes) -> None:
    assert gallery.enrol("1001", portrait).code == 0
    none = "0" * 32
    answer = gallery.send("face_compare", [[inline(portrait), f"face:staff/1001/{none}"]])
    assert (answer.code, answer.json["index"]) == (4302, 0)
    assert answer.json["detail"] == f"face_id {none} of person_id 1001 of group staff"
    assert answer.json["detail_zh"] == f"组 staff 中 person_id 1001 的 face_id 为 {none}"
    answer = gallery.send("face_compare", [[inline(portrait), "face:staff/nobody"]])
    assert answer.json["detail"] == "person_id nobody of group staff"


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_cost_nothing_and_store_nothing(
    case: str, gallery: Gallery, app: App, portrait: bytes
) -> None:
    code, api, data, options = REFUSED[case]
    image = inline(portrait)

    def filled(value: object) -> object:
        if value == "IMAGE":
            return image
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, dict) and api == "face_person_add":
            return entry("1001", portrait) | value
        return value

    answer = gallery.send(api, filled(data), options)
    assert answer.code == code, answer.json
    assert answer.json["remedy"]
    assert not answer.json.get("detail") or answer.json["detail_zh"], answer.json
    assert answer.headers["X-Billed-Units"] == "0"
    assert used(app) == 0
    assert not Face.objects.filter(group__app=app).exists()
