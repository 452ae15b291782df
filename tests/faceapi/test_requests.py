"""Valid requests and their results (manual 4.2.2)."""

import base64
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from accounts.models import App
from embedded.services.managed_process import Process
from faceapi.authentication.signing import PREFIXES
from faceapi.models import Call
from tests.conftest import wait_until
from tests.faceapi.conftest import DETECT, PREFIX, Answer, Caller, encode, inline
from tests.faceapi.dispatch.workers import left_behind
from tests.faceapi.servers import Servers

COMPARE = "/api/v1/face_compare.json"
ANALYSE = "/api/v1/face_analyse.json"
NO_FACE = {"score": 0.0, "reasons": ["no_face"]}
MARKS = {"left_eye", "right_eye", "nose", "mouth_left", "mouth_right"}


@pytest.fixture(scope="module")
def face(astronaut: bytes) -> bytes:
    """One person, 512x512, as a small JPEG."""
    out = BytesIO()
    Image.open(BytesIO(astronaut)).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def test_detect_returns_boxes_and_landmarks(caller: Caller, face: bytes) -> None:
    answer = caller.call([inline(face), inline(encode())])
    assert answer.status == 200
    assert list(answer.json) == ["code", "message", "result"]
    assert (answer.json["code"], answer.json["message"]) == (0, "成功")
    with_face, without = answer.json["result"]
    assert without == {"face_list": [], "pic_quality": 1}
    assert with_face["pic_quality"] == 0
    (found,) = with_face["face_list"]
    assert set(found) == {"location", "face_probability", "landmark"}
    location = found["location"]
    assert {name: type(value) for name, value in location.items()} == dict.fromkeys(
        ("left", "top", "width", "height"), int
    )
    assert location["left"] < 220 < location["left"] + location["width"]
    assert location["top"] < 125 < location["top"] + location["height"]
    assert isinstance(found["face_probability"], float)
    assert set(found["landmark"]) == MARKS
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["X-Billed-Units"], answer.headers["X-Quota-Remaining"]) == ("2", "998")


def test_analyse_returns_age_and_gender(caller: Caller, face: bytes) -> None:
    (result,) = caller.call([inline(face)], ANALYSE).json["result"]
    (found,) = result["face_list"]
    assert set(found) == {"age", "gender", "location"}
    assert found["gender"] == "F"
    assert 15 < found["age"] < 60
    assert isinstance(found["age"], int)


def test_compare_returns_a_confidence_for_each_pair(caller: Caller, face: bytes) -> None:
    answer = caller.call([[inline(face), inline(face)], [inline(face), inline(encode())]], COMPARE)
    same, none = answer.json["result"]
    assert same["face_compare"] == "true"
    assert same["confidence"] > 90
    assert same["pic_quality"] == 0
    assert none == {"face_compare": "false", "confidence": 0.0, "pic_quality": 1}
    assert answer.headers["X-Billed-Units"] == "1"  # one call, whatever the number of pairs


def worked_on(request_id: str, log: Path) -> int:
    """Return how many pictures of a call the worker processed, from its log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
    return sum(line["images"] for line in lines if line["message"] == "chunk done")


def test_an_anchor_is_embedded_once(caller: Caller, face: bytes, worker: Process) -> None:
    anchor, other, none = inline(face), inline(face + b"!"), inline(encode())
    answer = caller.call([[anchor, other], [anchor, none], [anchor, anchor], [other, anchor]], COMPARE)
    first, without, itself, back = answer.json["result"]
    assert itself["confidence"] == 100.0
    assert first == back == itself
    assert without["confidence"] == 0.0
    request_id = answer.headers["X-Request-Id"]
    wait_until(lambda: worked_on(request_id, worker.log) >= 3, timeout_s=20, what="the worker's last line")
    assert worked_on(request_id, worker.log) == 3
    broken = inline(face[:-2000])
    answer = caller.call([[anchor, anchor], [anchor, broken], [broken, anchor]], COMPARE)
    assert (answer.code, answer.json["index"]) == (4003, 1)


def test_options_quality_adds_the_reasons(caller: Caller, face: bytes) -> None:
    def ask(data: object, path: str, options: object) -> Answer:
        return caller.send(json.dumps({"data": data, "options": options}).encode(), path)

    good, none = inline(face), inline(encode())
    for path in (DETECT, ANALYSE):
        with_face, without = ask([good, none], path, {"quality": True}).json["result"]
        assert with_face["pic_quality"] == 0
        assert with_face["quality"]["reasons"] == []
        assert 0.5 <= with_face["quality"]["score"] <= 1
        assert without == {"face_list": [], "pic_quality": 1, "quality": NO_FACE}
    same, missing = ask([[good, good], [good, none]], COMPARE, {"quality": True}).json["result"]
    assert (same["pic_quality"], same["quality"]["reasons"]) == (0, [])
    assert missing["quality"] == NO_FACE
    for nothing in ({}, {"quality": False}, {"later": 1}):
        (result,) = ask([none], DETECT, nothing).json["result"]
        assert result == {"face_list": [], "pic_quality": 1}
    for wrong in (True, ["quality"], {"quality": "yes"}, {"quality": 1}, None):
        answer = ask([none], DETECT, wrong)
        assert (answer.code, answer.headers["X-Billed-Units"]) == (4007, "0")
        assert "options" in answer.json["detail"]


def test_coordinates_are_those_of_the_upright_picture(caller: Caller, face: bytes) -> None:
    out = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise when shown
    Image.open(BytesIO(face)).rotate(90, expand=True).save(out, "JPEG", quality=95, exif=exif)
    plain, turned = caller.call([inline(face), inline(out.getvalue())]).json["result"]
    for name, value in plain["face_list"][0]["location"].items():
        assert abs(turned["face_list"][0]["location"][name] - value) < 12


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix_of_the_manual_is_served(caller: Caller, prefix: str) -> None:
    for name, data in (
        ("face_detect", [inline(encode())]),
        ("face_analyse", [inline(encode())]),
        ("face_compare", [[inline(encode())] * 2]),
    ):
        assert caller.call(data, f"{prefix}{name}.json").code == 0


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/face%5Fdetect.json",
        "/api/v1/face_detect.json?",
        "/api/v1/face_detect.json?b=2&a=1&a=0",
        "/api/v1/face_detect.json?q=%20+%2F%E4%BA%BA",
        "/%61pi/v1/face_detect%2Ejson?x=%zz",
    ],
)
def test_path_and_query_are_verified_as_received(caller: Caller, path: str) -> None:
    assert caller.call([inline(encode())], path).code == 0


def written(picture: bytes) -> dict[str, str]:
    standard = base64.b64encode(picture).decode()
    safe = base64.urlsafe_b64encode(picture).decode()
    return {
        "standard alphabet": PREFIX + standard,
        "URL-safe alphabet": PREFIX + safe,
        "no padding": PREFIX + safe.rstrip("="),
        "a space after the comma": PREFIX + " " + safe,
        "a line break after the comma": PREFIX + "\n" + safe,
        "lines of 76": PREFIX + "\n".join(standard[i : i + 76] for i in range(0, len(standard), 76)),
        "image/png": "data:image/png;base64," + standard,
        "image/jpeg": "data:image/jpeg;base64," + standard,
    }


@pytest.mark.parametrize(
    "size", [(33, 32), (200, 161)]
)  # below and above the splitter's limit of short strings
@pytest.mark.parametrize("form", written(b""))
def test_every_form_of_base64_is_accepted(caller: Caller, size: tuple[int, int], form: str) -> None:
    text = written(encode(size, kind="PNG"))[form]
    assert caller.call([text]).code == 0
    php = json.dumps({"data": [text]}).replace("/", "\\/").encode()
    assert caller.send(php).code == 0


@pytest.mark.parametrize(
    "picture",
    [
        encode((32, 32)),
        encode((5000, 32)),
        encode((32, 5000), kind="PNG"),
        encode((64, 64), "L"),
        encode((64, 64), "L", "PNG"),
        encode((64, 64), "RGB", "PNG"),
        encode((64, 64), progressive=True),
    ],
    ids=["32x32", "5000x32", "32x5000", "grey jpeg", "grey png", "png", "progressive"],
)
def test_images_at_the_limits_are_accepted(caller: Caller, picture: bytes) -> None:
    assert caller.call([inline(picture)]).code == 0


def test_the_order_of_the_results_is_that_of_the_request(
    caller: Caller, face: bytes, servers: Servers
) -> None:
    data = [
        inline(face) if i % 3 == 0 else servers.url("image") if i % 3 == 1 else inline(encode())
        for i in range(11)
    ]
    answer = caller.call(data)
    assert [len(result["face_list"]) for result in answer.json["result"]] == [
        1 if i % 3 == 0 else 0 for i in range(11)
    ]


def test_a_hundred_images_are_accepted(caller: Caller) -> None:
    answer = caller.call([inline(encode((32, 32)))] * 100)
    assert len(answer.json["result"]) == 100
    assert answer.headers["X-Billed-Units"] == "100"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_wrong_content_type_is_tolerated(caller: Caller, kind: str) -> None:
    assert caller.call([inline(encode())], Content_Type=kind).code == 0


def test_additional_fields_of_the_body_are_ignored(caller: Caller) -> None:
    body = {"options": {"data": [1]}, "data": [inline(encode())], "note": "人脸" * 1000}
    assert caller.send(json.dumps(body).encode()).code == 0
    assert caller.send(json.dumps(body, ensure_ascii=False).encode()).code == 0


def test_the_reply_to_another_method_names_the_allowed_one(caller: Caller) -> None:
    refused = caller.send(b"", method="OPTIONS")
    assert (refused.status, refused.code, refused.headers["Allow"]) == (405, 4016, "POST")


def test_a_call_is_recorded(caller: Caller, app: App, face: bytes) -> None:
    answer = caller.call([inline(face)] * 2)
    call = Call.objects.get(pk=answer.headers["X-Request-Id"])
    assert (call.app, call.api, call.region) == (app, "face_detect", app.region)
    assert (call.code, call.http_status, call.images, call.units) == (0, 200, 2, 2)
    assert call.address == "127.0.0.1"
    assert call.app_key == app.keys.get()
    assert call.infer_ms > 0
    assert call.latency_ms > 0
    assert call.body_bytes == len(json.dumps({"data": [inline(face)] * 2}))
    (hour,) = app.usage.all()
    assert (hour.calls, hour.images, hour.units, hour.latency_sum_ms) == (1, 2, 2, call.latency_ms)
    assert sum(hour.latency_histogram) == sum(hour.queue_histogram) == sum(hour.infer_histogram) == 1
    assert app.keys.get().last_used_at is not None


def test_a_call_leaves_nothing_in_valkey(caller: Caller, face: bytes) -> None:
    answers = [
        caller.call([inline(face)] * 9),
        caller.call([inline(face), inline(encode((400, 400))[:4000])]),
    ]
    assert [answer.code for answer in answers] == [0, 4003]
    assert left_behind() == []
