"""What a refused picture looks like: in the table for people, in the lines for programs."""

import io
import json

import pytest
from facecloud_client import ApiError, FaceResult, InputError
from facecloud_client.cli import summary
from facecloud_client.outcomes import Outcome
from facecloud_client.sources import Source
from facecloud_client.tables import compare_table, face_table, json_line
from rich.console import Console
from rich.table import Table

SMALL = ApiError(
    4008,
    "图片分辨率不符合要求",
    http_status=400,
    details={"code": 4008, "detail": "24x24 [px]", "request_id": "r-1", "index": 3, "remedy": "缩放图片"},
)
PICTURE, OTHER = Source("a.png", data=b"x"), Source("b.png", data=b"x")


def shown(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return out.getvalue()


def test_the_table_says_what_was_wrong_with_this_picture() -> None:
    for text in (
        shown(face_table([Outcome(PICTURE, error=SMALL)])),
        shown(compare_table([Outcome((PICTURE, OTHER), error=SMALL)])),
    ):
        assert "4008 图片分辨率不符合要求: 24x24 [px]" in text
        assert "缩放图片" not in text
    assert "a.png: empty" in shown(face_table([Outcome(PICTURE, error=InputError("a.png", "empty"))]))


def test_the_summary_counts_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [Outcome(PICTURE, error=SMALL), Outcome(PICTURE, result=FaceResult((), 1, {}))]
    assert summary(outcomes, 1, 99_999, 1.25) == "共 2 项，1 项失败，用时 1.2 秒，计量 1，剩余 99,999"
    monkeypatch.setenv("FACECLOUD_LANG", "en")
    assert summary(outcomes, 1, 99_999, 1.25) == "2 in all, 1 failed, 1.2 s, 1 unit, 99,999 left"
    assert summary(outcomes[1:], 2, None, 1.25) == "1 in all, 1.2 s, 2 units"


def test_a_line_of_json_has_what_a_fault_report_needs() -> None:
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
