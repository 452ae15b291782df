"""The rows for people and the JSON lines for programs, of accepted and rejected pictures."""

import json

import pytest
from facecloud_client import ApiError, Box, CompareResult, Face, FaceResult, InputError
from facecloud_client.command.report import summary
from facecloud_client.command.tables import Rows, json_line
from facecloud_client.outcomes import Outcome
from facecloud_client.request.body import Item
from facecloud_client.request.sources import Source
from rich.cells import cell_len

SMALL = ApiError(
    4008,
    "图片分辨率不符合要求",
    http_status=400,
    details={"code": 4008, "detail": "24x24 [px]", "request_id": "r-1", "index": 3, "remedy": "缩放图片"},
)
PICTURE, OTHER = Source("a.png", data=b"x"), Source("b.png", data=b"x")


def test_a_picture_has_a_line_for_each_face() -> None:
    faces = (Face(Box(40, 60, 50, 30), age=32, gender="F"), Face(Box(4999, 4999, 1, 1), age=7, gender="M"))
    rows = Rows("face_analyse", [PICTURE, Source("人.png", data=b"x")])
    lines = [rows.head(), *rows.of(Outcome(PICTURE, result=FaceResult(faces, 0, {})))]
    assert [line.split() for line in lines] == [
        ["图片", "#", "左、上", "宽×高", "性别", "年龄", "结果"],
        ["a.png", "1", "40,", "60", "50×30", "女", "32", "合格"],
        ["a.png", "2", "4999,", "4999", "1×1", "男", "7", "合格"],
    ]
    (none,) = rows.of(Outcome(Source("人.png", data=b"x"), result=FaceResult((), 1, {})))
    assert none == "人.png  没有人脸"
    assert {cell_len(line[: line.rindex("  ")]) for line in lines} == {46}


def test_a_pair_has_its_answer_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    rows = Rows("face_compare", [(PICTURE, OTHER)])
    (line,) = rows.of(
        Outcome((PICTURE, OTHER), result=CompareResult(True, 87.125, 1, {}, ("blurred", "new")))
    )
    assert line.split(maxsplit=4) == ["a.png", "b.png", "yes", "87.125", "poor quality: blurred, new"]


@pytest.mark.parametrize(("api", "item"), [("face_detect", PICTURE), ("face_compare", (PICTURE, OTHER))])
def test_a_refused_picture_states_the_reason(api: str, item: Item) -> None:
    (line,) = Rows(api, [item]).of(Outcome(item, error=SMALL))
    assert line.startswith("a.png")
    assert line.endswith("  4008 图片分辨率不符合要求: 24x24 [px]")
    (line,) = Rows(api, [item]).of(Outcome(item, error=InputError("a.png", "empty")))
    assert line.endswith("  empty")


def test_the_summary_counts_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert summary(2, 1, 1, 99_999, 1.25) == "共 2 项，1 项失败，用时 1.2 秒，计量 1，剩余 99,999"
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    assert summary(2, 1, 1, 99_999, 1.25) == "2 in all, 1 failed, 1.2 s, 1 unit, 99,999 left"
    assert summary(1, 0, 2, None, 1.25) == "1 in all, 1.2 s, 2 units"


def test_a_json_line_has_names_code_and_request_id() -> None:
    line = json.loads(json_line(Outcome((PICTURE, OTHER), error=SMALL)))
    assert line == {
        "pair": ["a.png", "b.png"],
        "error": {
            "code": 4008,
            "message": "图片分辨率不符合要求",
            "detail": "24x24 [px]",
            "request_id": "r-1",
        },
    }
    unread = json.loads(json_line(Outcome(PICTURE, error=InputError("a.png", "empty"))))
    assert unread == {"source": "a.png", "error": {"message": "a.png: empty"}}
